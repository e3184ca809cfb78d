"""Services: a customer's plan on an access line."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any, Literal

import asyncpg
from pydantic import BaseModel, ConfigDict, Field

from oss.config import AGENT_ID_PATTERN
from oss.database import Connection, Where
from oss.domain import audit, outbox
from oss.domain.errors import Conflict, Invalid, NotFound
from oss.domain.outbox import Actor, Delivery
from oss.domain.paging import Column, Keyset, Order, Page, contains

ServiceStatus = Literal["ACTIVE", "SUSPENDED", "TERMINATED"]


class NewService(BaseModel):
    model_config = ConfigDict(extra="forbid")

    customer_id: int
    plan_id: int
    bng_id: str = Field(max_length=64)
    remote_id: str = Field(pattern=AGENT_ID_PATTERN, max_length=63)
    circuit_id: str = Field(pattern=AGENT_ID_PATTERN, max_length=63)
    billing_start: date | None = None


class ServiceChange(BaseModel):
    """Another plan, another status, or both. TERMINATED is final.

    `disconnect` ends the live session of a service that is suspended or terminated; without it the session
    stays until it is authorised again.
    """

    model_config = ConfigDict(extra="forbid")

    plan_id: int | None = None
    status: ServiceStatus | None = None
    disconnect: bool = False


class Service(BaseModel):
    id: int
    customer_id: int
    customer_name: str
    plan_id: int
    plan_name: str
    bng_id: str
    remote_id: str
    circuit_id: str
    username: str
    status: ServiceStatus
    billing_start: date
    created: datetime
    changed: datetime
    session_id: str | None
    """Of the live session on the access line."""
    session_status: str | None
    deliveries: list[Delivery] = []


_CIRCUIT_ID = re.compile(r"1/0/([1-9][0-9]{0,3})")
_USERNAME = "v.bng_id || '/' || v.remote_id || '/' || v.circuit_id"
_SELECT = f"""SELECT v.id, v.customer_id, c.name AS customer_name, v.plan_id, p.name AS plan_name, v.bng_id,
    v.remote_id, v.circuit_id, {_USERNAME} AS username, v.status, v.billing_start, v.created, v.changed,
    a.session_id, a.status AS session_status"""
_FROM = """FROM services v JOIN customers c ON c.id = v.customer_id JOIN plans p ON p.id = v.plan_id
LEFT JOIN LATERAL (
    SELECT session_id, status FROM sessions_active s
    WHERE v.status <> 'TERMINATED' AND s.bng_id = v.bng_id AND s.remote_id = v.remote_id
      AND s.circuit_id = v.circuit_id ORDER BY s.started DESC NULLS LAST LIMIT 1
) a ON true"""

ServiceSort = Literal["created", "customer_name", "username"]
_SORTS = {
    "created": Column("v.created", "timestamptz"),
    "customer_name": Column("lower(c.name)"),
    "username": Column(f"({_USERNAME})"),
}


def line(bng_id: str, remote_id: str, circuit_id: str) -> str:
    """The access line as User-Name."""
    return f"{bng_id}/{remote_id}/{circuit_id}"


class ServiceFilter(BaseModel):
    """Which services are asked for; what is None does not restrict."""

    q: str | None = None
    status: list[ServiceStatus] | None = None
    customer_id: int | None = None
    plan_id: int | None = None
    bng_id: str | None = None
    remote_id: str | None = None


async def listing(
    pool: asyncpg.Pool,
    criteria: ServiceFilter,
    sort: ServiceSort,
    order: Order,
    limit: int,
    cursor: str | None,
) -> Page[Service]:
    """One page of services."""
    where = Where()
    for name in ("customer_id", "plan_id", "bng_id", "remote_id"):
        value = getattr(criteria, name)
        if value is not None:
            where.add(f"v.{name} = {{}}", value)
    if criteria.status:
        where.add("v.status = ANY({}::text[])", criteria.status)
    if criteria.q and criteria.q.strip():
        where.add(f"concat_ws(' ', c.name, p.name, {_USERNAME}) ILIKE {{}}", contains(criteria.q.strip()))
    keyset = Keyset(sort, order, (_SORTS[sort], Column("v.id", "bigint")), cursor, limit)
    keyset.apply(where)
    rows = await pool.fetch(
        f"{_SELECT}, {keyset.select} {_FROM} {where.sql()} {keyset.order_by} {keyset.limit_sql}",
        *where.parameters,
    )
    kept, following = keyset.page(rows)
    return Page(items=await _with_deliveries(pool, kept), next_cursor=following)


async def _with_deliveries(pool: asyncpg.Pool, rows: Any) -> list[Service]:
    latest = await outbox.latest(pool, [f"line:{row['username']}" for row in rows])
    return [Service(**row, deliveries=latest.get(f"line:{row['username']}", [])) for row in rows]


async def one(pool: asyncpg.Pool, service_id: int) -> Service:
    row = await pool.fetchrow(f"{_SELECT} {_FROM} WHERE v.id = $1", service_id)
    if row is None:
        raise NotFound(f"There is no service {service_id}.")
    return (await _with_deliveries(pool, [row]))[0]


async def create(pool: asyncpg.Pool, service: NewService, actor: Actor) -> tuple[int, list[int]]:
    """Put a plan on an access line; the session that was rejected there is authorised again at once.

    Answers the service's id and the deliveries under way.

    Raises:
        Invalid: customer, plan, access node or port do not exist, or the plan is no longer sold.
        Conflict: the port has a service.
    """
    username = line(service.bng_id, service.remote_id, service.circuit_id)
    async with pool.acquire() as connection, connection.transaction():
        await _check_port(connection, service)
        plan = await _sold_plan(connection, service.plan_id)
        try:
            service_id = await connection.fetchval(
                "INSERT INTO services (customer_id, plan_id, bng_id, remote_id, circuit_id, billing_start) "
                "VALUES ($1, $2, $3, $4, $5, coalesce($6, current_date)) RETURNING id",
                service.customer_id,
                service.plan_id,
                service.bng_id,
                service.remote_id,
                service.circuit_id,
                service.billing_start,
            )
        except asyncpg.UniqueViolationError as error:
            raise Conflict(f"The port {username} has a service already.") from error
        except asyncpg.ForeignKeyViolationError as error:
            raise Invalid(f"There is no customer {service.customer_id}.") from error
        await audit.record(
            connection, actor, "create", f"service:{service_id}", after=service.model_dump(mode="json")
        )
        return service_id, await _deliver(connection, username, f"Admit {username} with {plan}", actor)


async def change(pool: asyncpg.Pool, service_id: int, change: ServiceChange, actor: Actor) -> list[int]:
    """Change a service's plan or status; answers the deliveries under way."""
    async with pool.acquire() as connection, connection.transaction():
        before = await connection.fetchrow("SELECT * FROM services WHERE id = $1 FOR UPDATE", service_id)
        if before is None:
            raise NotFound(f"There is no service {service_id}.")
        if before["status"] == "TERMINATED":
            raise Conflict("This service is terminated; make a new one.")
        status = change.status or before["status"]
        plan_id = change.plan_id or before["plan_id"]
        if change.disconnect and status == "ACTIVE":
            raise Invalid("disconnect: only for a service that is suspended or terminated.")
        if plan_id != before["plan_id"]:
            await _sold_plan(connection, plan_id)
        after = {**before, "status": status, "plan_id": plan_id}
        await connection.execute(
            "UPDATE services SET status = $2, plan_id = $3, changed = now(), "
            "terminated = CASE WHEN $2 = 'TERMINATED' THEN now() END WHERE id = $1",
            service_id,
            status,
            plan_id,
        )
        await audit.record(connection, actor, "change", f"service:{service_id}", before=before, after=after)
        username = line(before["bng_id"], before["remote_id"], before["circuit_id"])
        if status == "ACTIVE":
            return await _deliver(connection, username, f"Admit {username}", actor)
        return await _withdraw(connection, username, change.disconnect, actor)


async def _sold_plan(connection: Connection, plan_id: int) -> str:
    plan = await connection.fetchrow("SELECT name, is_active FROM plans WHERE id = $1", plan_id)
    if plan is None:
        raise Invalid(f"There is no plan {plan_id}.")
    if not plan["is_active"]:
        raise Invalid(f"The plan {plan['name']} is no longer sold.")
    return str(plan["name"])


async def _check_port(connection: Connection, service: NewService) -> None:
    ports = await connection.fetchval(
        "SELECT ports FROM access_nodes WHERE bng_id = $1 AND remote_id = $2",
        service.bng_id,
        service.remote_id,
    )
    if ports is None:
        raise Invalid(f"There is no access node {service.remote_id} behind {service.bng_id}.")
    number = _CIRCUIT_ID.fullmatch(service.circuit_id)
    if number is None or int(number[1]) > ports:
        raise Invalid(f"circuit_id: {service.remote_id} has the ports 1/0/1 to 1/0/{ports}.")


async def _deliver(connection: Connection, username: str, summary: str, actor: Actor) -> list[int]:
    admitted = await outbox.enqueue(connection, "radius", f"line:{username}", summary, actor)
    asked = await outbox.enqueue(
        connection,
        "network",
        f"reauthenticate:{username}",
        f"Authorise the session of {username} again",
        actor,
        depends_on=admitted,
    )
    return [admitted, asked]


async def _withdraw(connection: Connection, username: str, disconnect: bool, actor: Actor) -> list[int]:
    removed = await outbox.enqueue(connection, "radius", f"line:{username}", f"Keep {username} out", actor)
    if not disconnect:
        return [removed]
    ended = await outbox.enqueue(
        connection,
        "network",
        f"disconnect:{username}",
        f"Disconnect {username}",
        actor,
        depends_on=removed,
    )
    return [removed, ended]
