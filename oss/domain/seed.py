"""What a new database starts with: admin, access nodes, plans, customers, services. Repeatable."""

from __future__ import annotations

import asyncpg
import structlog

from oss.auth.passwords import hash_password
from oss.config import Config, SeedService
from oss.domain import customers, plans, services
from oss.domain.customers import NewCustomer
from oss.domain.errors import Conflict, DomainError
from oss.domain.outbox import Actor
from oss.domain.plans import NewPlan
from oss.domain.services import NewService

log = structlog.get_logger()
_ACTOR = Actor("seed")


async def seed(pool: asyncpg.Pool, config: Config) -> None:
    """Add what is missing; what is there is left as users have changed it."""
    await _admin(pool, config)
    await _access_nodes(pool, config)
    for plan in config.seed.plans:
        try:
            await plans.create(pool, NewPlan(**plan.model_dump()), _ACTOR)
        except Conflict:
            continue
    for customer in config.seed.customers:
        known = await pool.fetchval("SELECT 1 FROM customers WHERE name = $1", customer.name)
        if not known:
            try:
                await customers.create(pool, NewCustomer(**customer.model_dump()), _ACTOR)
            except Conflict as error:
                log.warning("seed.customer_refused", customer=customer.name, error=str(error))
    for service in config.seed.services:
        await _service(pool, service)


async def _admin(pool: asyncpg.Pool, config: Config) -> None:
    """The first user. Its password can be changed later; the file's does not come back."""
    if await pool.fetchval("SELECT 1 FROM users LIMIT 1"):
        return
    await pool.execute(
        "INSERT INTO users (username, password_hash, role) VALUES ($1, $2, 'admin') "
        "ON CONFLICT (username) DO NOTHING",
        config.admin.username,
        await hash_password(config.admin.password),
    )


async def _access_nodes(pool: asyncpg.Pool, config: Config) -> None:
    await pool.executemany(
        "INSERT INTO access_nodes (bng_id, remote_id, ports, access_model) VALUES ($1, $2, $3, $4) "
        "ON CONFLICT (bng_id, remote_id) DO UPDATE SET ports = excluded.ports, "
        "access_model = excluded.access_model",
        [(node.bng_id, node.remote_id, node.ports, node.access_model) for node in config.access_nodes],
    )


async def _service(pool: asyncpg.Pool, service: SeedService) -> None:
    line = (service.bng_id, service.remote_id, service.circuit_id)
    known = await pool.fetchval(
        "SELECT 1 FROM services WHERE bng_id = $1 AND remote_id = $2 AND circuit_id = $3", *line
    )
    if known:  # terminated ones too: what a user has ended does not come back at the next start
        return
    customer_id = await pool.fetchval("SELECT id FROM customers WHERE name = $1", service.customer)
    plan_id = await pool.fetchval("SELECT id FROM plans WHERE name = $1", service.plan)
    if customer_id is None or plan_id is None:
        log.warning("seed.service_refused", line="/".join(line), error="unknown customer or plan")
        return
    new = NewService(
        customer_id=customer_id,
        plan_id=plan_id,
        bng_id=service.bng_id,
        remote_id=service.remote_id,
        circuit_id=service.circuit_id,
    )
    try:
        await services.create(pool, new, _ACTOR)
    except DomainError as error:
        log.warning("seed.service_refused", line="/".join(line), error=str(error))
