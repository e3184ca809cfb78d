"""Customers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import asyncpg
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from oss.database import Where
from oss.domain import audit
from oss.domain.errors import Conflict, NotFound
from oss.domain.outbox import Actor
from oss.domain.paging import Column, Keyset, Order, Page, contains

Presence = Literal["online", "offline", "recent", "new"]
"""online: a live session that forwards; offline: none; recent: a session within the last day; new: added
within the last week."""

Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]
Email = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=254, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")
]


class NewCustomer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Annotated[Text, Field(min_length=1)]
    email: Email | None = None
    phone: Text | None = None
    street: Text | None = None
    city: Text | None = None
    zip: Text | None = None
    state: Text | None = None


class Customer(BaseModel):
    id: int
    name: str
    email: str | None
    phone: str | None
    street: str | None
    city: str | None
    zip: str | None
    state: str | None
    created: datetime
    services: int
    """Services that are not terminated."""
    online: int
    """Live sessions that forward."""


_FIELDS = ("name", "email", "phone", "street", "city", "zip", "state")
_LINE = "a.bng_id = v.bng_id AND a.remote_id = v.remote_id AND a.circuit_id = v.circuit_id"
_ONLINE = (
    "(SELECT count(*) FROM services v JOIN sessions_active a ON "  # noqa: S608
    f"{_LINE} WHERE v.customer_id = c.id AND v.status <> 'TERMINATED' AND a.status IN ('active', 'idle'))"
)
_RECENT = (
    "EXISTS (SELECT 1 FROM services v JOIN sessions_history a ON "  # noqa: S608
    f"{_LINE} WHERE v.customer_id = c.id AND a.stopped > now() - interval '1 day')"
)
_SELECT = (
    "SELECT c.id, c.name, c.email, c.phone, c.street, c.city, c.zip, c.state, c.created, "  # noqa: S608
    "(SELECT count(*) FROM services v WHERE v.customer_id = c.id AND v.status <> 'TERMINATED') AS services, "
    f"{_ONLINE} AS online"
)
CustomerSort = Literal["name", "created"]
_SORTS = {"name": Column("lower(c.name)"), "created": Column("c.created", "timestamptz")}


async def listing(
    pool: asyncpg.Pool,
    q: str | None,
    presence: Presence | None,
    sort: CustomerSort,
    order: Order,
    limit: int,
    cursor: str | None,
) -> Page[Customer]:
    """One page of customers."""
    where = Where()
    if q and q.strip():
        where.add("concat_ws(' ', c.name, c.email, c.phone, c.street, c.city) ILIKE {}", contains(q.strip()))
    if presence == "new":
        where.add("c.created > now() - interval '7 days'")
    elif presence == "online":
        where.add(f"{_ONLINE} > 0")
    elif presence == "offline":
        where.add(f"{_ONLINE} = 0")
    elif presence == "recent":
        where.add(f"({_ONLINE} > 0 OR {_RECENT})")
    keyset = Keyset(sort, order, (_SORTS[sort], Column("c.id", "bigint")), cursor, limit)
    keyset.apply(where)
    rows = await pool.fetch(
        f"{_SELECT}, {keyset.select} FROM customers c {where.sql()} {keyset.order_by} {keyset.limit_sql}",
        *where.parameters,
    )
    kept, following = keyset.page(rows)
    return Page(items=[Customer(**row) for row in kept], next_cursor=following)


async def one(pool: asyncpg.Pool, customer_id: int) -> Customer:
    row = await pool.fetchrow(f"{_SELECT} FROM customers c WHERE c.id = $1", customer_id)
    if row is None:
        raise NotFound(f"There is no customer {customer_id}.")
    return Customer(**row)


async def create(pool: asyncpg.Pool, customer: NewCustomer, actor: Actor) -> int:
    """Add a customer. Raises Conflict when another one has the e-mail address."""
    values = customer.model_dump()
    async with pool.acquire() as connection, connection.transaction():
        try:
            customer_id = await connection.fetchval(
                "INSERT INTO customers (name, email, phone, street, city, zip, state) "
                "VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id",
                *(values[field] for field in _FIELDS),
            )
        except asyncpg.UniqueViolationError as error:
            raise Conflict(f"Another customer has the e-mail address {customer.email}.") from error
        await audit.record(connection, actor, "create", f"customer:{customer_id}", after=values)
        return int(customer_id)


async def replace(pool: asyncpg.Pool, customer_id: int, customer: NewCustomer, actor: Actor) -> None:
    """Give a customer these values."""
    values = customer.model_dump()
    async with pool.acquire() as connection, connection.transaction():
        before = await connection.fetchrow("SELECT * FROM customers WHERE id = $1 FOR UPDATE", customer_id)
        if before is None:
            raise NotFound(f"There is no customer {customer_id}.")
        try:
            await connection.execute(
                "UPDATE customers SET name = $2, email = $3, phone = $4, street = $5, city = $6, zip = $7, "
                "state = $8, changed = now() WHERE id = $1",
                customer_id,
                *(values[field] for field in _FIELDS),
            )
        except asyncpg.UniqueViolationError as error:
            raise Conflict(f"Another customer has the e-mail address {customer.email}.") from error
        await audit.record(
            connection, actor, "change", f"customer:{customer_id}", before=before, after=values
        )


async def delete(pool: asyncpg.Pool, customer_id: int, actor: Actor) -> None:
    """Remove a customer who never had a service. Raises Conflict otherwise."""
    async with pool.acquire() as connection, connection.transaction():
        try:
            before = await connection.fetchrow("DELETE FROM customers WHERE id = $1 RETURNING *", customer_id)
        except asyncpg.ForeignKeyViolationError as error:
            raise Conflict("This customer has services, or had; their history is kept.") from error
        if before is None:
            raise NotFound(f"There is no customer {customer_id}.")
        await audit.record(connection, actor, "delete", f"customer:{customer_id}", before=before)
