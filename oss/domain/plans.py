"""Plans: what is sold, and how it is shaped."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated

import asyncpg
from pydantic import BaseModel, ConfigDict, Field

from oss.config import NAME_PATTERN
from oss.database import Connection
from oss.domain import audit, outbox
from oss.domain.errors import Conflict, NotFound
from oss.domain.outbox import Actor, Delivery

Kbps = Annotated[int, Field(ge=8, le=100_000_000, description="kbit/s; 8 kbit/s to 100 Gbit/s")]
Kbit = Annotated[int, Field(ge=12, le=2_000_000, description="kbit; at least one full frame")]
Price = Annotated[Decimal, Field(ge=0, le=99_999_999, decimal_places=2)]


class PlanValues(BaseModel):
    """What can be changed of a plan."""

    model_config = ConfigDict(extra="forbid")

    description: str = Field("", max_length=255)
    download_kbps: Kbps
    upload_kbps: Kbps
    download_burst_kbit: Kbit | None = None
    upload_burst_kbit: Kbit | None = None
    price: Price = Decimal(0)
    is_active: bool = True


class NewPlan(PlanValues):
    """The name is also the shaping profile's and the RADIUS group's: it is given once."""

    name: str = Field(pattern=NAME_PATTERN, min_length=1, max_length=64)


class PlanChange(BaseModel):
    """What is absent stays as it is."""

    model_config = ConfigDict(extra="forbid")

    description: str | None = Field(None, max_length=255)
    download_kbps: Kbps | None = None
    upload_kbps: Kbps | None = None
    download_burst_kbit: Kbit | None = None
    upload_burst_kbit: Kbit | None = None
    price: Price | None = None
    is_active: bool | None = None


class Plan(BaseModel):
    """A plan and how far it has come: `deliveries` are the last to RADIUS and to the BNGs."""

    id: int
    name: str
    description: str
    download_kbps: int
    upload_kbps: int
    download_burst_kbit: int | None
    upload_burst_kbit: int | None
    price: float
    is_active: bool
    services: int
    created: datetime
    changed: datetime
    deliveries: list[Delivery] = []


_SELECT = (
    "SELECT p.*, (SELECT count(*) FROM services v WHERE v.plan_id = p.id AND v.status <> 'TERMINATED') "
    "AS services FROM plans p"
)


def subject(name: str) -> str:
    return f"plan:{name}"


async def listing(pool: asyncpg.Pool) -> list[Plan]:
    """All plans, by name. Plans are few: there is no paging."""
    rows = await pool.fetch(f"{_SELECT} ORDER BY lower(p.name) LIMIT 5000")
    deliveries = await outbox.latest(pool, [subject(row["name"]) for row in rows])
    return [Plan(**row, deliveries=deliveries.get(subject(row["name"]), [])) for row in rows]


async def one(pool: asyncpg.Pool, plan_id: int) -> Plan:
    row = await pool.fetchrow(f"{_SELECT} WHERE p.id = $1", plan_id)
    if row is None:
        raise NotFound(f"There is no plan {plan_id}.")
    deliveries = await outbox.latest(pool, [subject(row["name"])])
    return Plan(**row, deliveries=deliveries.get(subject(row["name"]), []))


async def _enqueue(connection: Connection, name: str, verb: str, actor: Actor) -> list[int]:
    return [
        await outbox.enqueue(connection, "radius", subject(name), f"{verb} RADIUS group {name}", actor),
        await outbox.enqueue(connection, "network", subject(name), f"{verb} shaping profile {name}", actor),
    ]


async def create(pool: asyncpg.Pool, plan: NewPlan, actor: Actor) -> tuple[int, list[int]]:
    """Add a plan; answers its id and the deliveries under way.

    Raises:
        Conflict: the name is taken.
    """
    values = plan.model_dump()
    async with pool.acquire() as connection, connection.transaction():
        try:
            plan_id = await connection.fetchval(
                "INSERT INTO plans (name, description, download_kbps, upload_kbps, download_burst_kbit, "
                "upload_burst_kbit, price, is_active) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id",
                *(values[column] for column in ("name", *_VALUES)),
            )
        except asyncpg.UniqueViolationError as error:
            raise Conflict(f"There is a plan {plan.name} already.") from error
        await audit.record(connection, actor, "create", subject(plan.name), after=values)
        return plan_id, await _enqueue(connection, plan.name, "Create", actor)


_VALUES = (
    *("description", "download_kbps", "upload_kbps", "download_burst_kbit", "upload_burst_kbit"),
    *("price", "is_active"),
)


async def change(pool: asyncpg.Pool, plan_id: int, change: PlanChange, actor: Actor) -> list[int]:
    """Change a plan: live sessions follow as soon as their BNG has the profile. Answers the deliveries."""
    async with pool.acquire() as connection, connection.transaction():
        before = await connection.fetchrow("SELECT * FROM plans WHERE id = $1 FOR UPDATE", plan_id)
        if before is None:
            raise NotFound(f"There is no plan {plan_id}.")
        after = {**before, **change.model_dump(exclude_unset=True)}
        for required in ("description", "download_kbps", "upload_kbps", "price", "is_active"):
            after[required] = before[required] if after[required] is None else after[required]
        await connection.execute(
            "UPDATE plans SET description = $2, download_kbps = $3, upload_kbps = $4, "
            "download_burst_kbit = $5, upload_burst_kbit = $6, price = $7, "
            "is_active = $8, changed = now() WHERE id = $1",
            plan_id,
            *(after[column] for column in _VALUES),
        )
        await audit.record(connection, actor, "change", subject(before["name"]), before=before, after=after)
        return await _enqueue(connection, before["name"], "Update", actor)


async def deliver(pool: asyncpg.Pool, plan_id: int, actor: Actor) -> list[int]:
    """Send an unchanged plan again, e.g. to a BNG that has lost it."""
    plan = await one(pool, plan_id)
    async with pool.acquire() as connection, connection.transaction():
        return await _enqueue(connection, plan.name, "Send", actor)


async def delete(pool: asyncpg.Pool, plan_id: int, actor: Actor) -> list[int]:
    """Remove a plan that no service has ever used.

    Raises:
        Conflict: services use it; it can be made inactive instead.
    """
    async with pool.acquire() as connection, connection.transaction():
        try:
            before = await connection.fetchrow("DELETE FROM plans WHERE id = $1 RETURNING *", plan_id)
        except asyncpg.ForeignKeyViolationError as error:
            raise Conflict("Services use this plan, or did; make it inactive to stop selling it.") from error
        if before is None:
            raise NotFound(f"There is no plan {plan_id}.")
        await audit.record(connection, actor, "delete", subject(before["name"]), before=before)
        return await _enqueue(connection, before["name"], "Remove", actor)
