"""The outbox: what must still reach RADIUS or the BNGs, written in the transaction of the change itself.

An entry names a *subject* (``plan:gold``, ``line:<username>``, ``disconnect:<username>`` …), not what to
send: whoever delivers looks up what is wanted now. So a delivery may be repeated, and one delivery of a
subject settles all older entries of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import asyncpg
from pydantic import BaseModel

from oss.database import Connection, Where
from oss.domain.network import BngResult
from oss.domain.paging import Column, Keyset, Page

Destination = Literal["radius", "network"]
CHANNEL = "oss_outbox"

BACKOFF_FIRST = 1.0
BACKOFF_LONGEST = 60.0


class Delivery(BaseModel):
    """An outbox entry as users see it. `error` is why the last attempt failed."""

    id: int
    created: datetime
    destination: Destination
    subject: str
    summary: str
    state: Literal["pending", "delivered"]
    attempts: int
    next_attempt: datetime
    delivered: datetime | None
    error: str | None
    results: list[BngResult]
    username: str | None


@dataclass(frozen=True, slots=True)
class Actor:
    """On whose behalf something is done."""

    username: str
    request_id: str | None = None


def backoff(attempts: int) -> float:
    """Seconds to wait after so many failed attempts: 1, 2, 4 … 60."""
    return min(BACKOFF_FIRST * 2.0 ** max(0, min(attempts, 30) - 1), BACKOFF_LONGEST)


async def enqueue(
    connection: Connection,
    destination: Destination,
    subject: str,
    summary: str,
    actor: Actor,
    *,
    depends_on: int | None = None,
) -> int:
    """Add an entry; the caller's transaction makes it count. Answers its id.

    Args:
        depends_on: an entry that must have been delivered before this one is tried.
    """
    # an older entry of this subject may be waiting after a failure: what the user changed may have cured it
    await connection.execute(
        "UPDATE outbox SET next_attempt = now() "
        "WHERE subject = $1 AND destination = $2 AND state = 'pending'",
        subject,
        destination,
    )
    entry: int = await connection.fetchval(
        "INSERT INTO outbox (destination, subject, summary, depends_on, username, request_id) "
        "VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
        destination,
        subject,
        summary,
        depends_on,
        actor.username,
        actor.request_id,
    )
    await connection.execute("SELECT pg_notify($1, '')", CHANNEL)
    return entry


_COLUMNS = (
    "id, created, destination, subject, summary, state, attempts, next_attempt, delivered, error, "
    "results, username"
)


async def due(pool: asyncpg.Pool, destination: Destination, limit: int) -> list[Delivery]:
    """The oldest entry of each subject that may be tried now, oldest first."""
    rows = await pool.fetch(
        f"SELECT {_COLUMNS} FROM outbox o WHERE state = 'pending' AND destination = $1 "  # noqa: S608
        "AND next_attempt <= now() AND NOT EXISTS ("
        "  SELECT 1 FROM outbox d WHERE d.id = o.depends_on AND d.state = 'pending') "
        "AND NOT EXISTS (SELECT 1 FROM outbox e WHERE e.state = 'pending' AND e.destination = o.destination "
        "  AND e.subject = o.subject AND e.id < o.id) "
        "ORDER BY id LIMIT $2",
        destination,
        limit,
    )
    return [Delivery(**row) for row in rows]


async def newest(pool: asyncpg.Pool, entry: Delivery) -> int:
    """The newest pending entry of the same subject: what a delivery that starts now will settle."""
    upto: int = await pool.fetchval(
        "SELECT max(id) FROM outbox WHERE destination = $1 AND subject = $2 AND state = 'pending'",
        entry.destination,
        entry.subject,
    )
    return upto


async def settle(
    pool: asyncpg.Pool, entry: Delivery, upto: int, results: list[BngResult], note: str | None = None
) -> None:
    """The subject was delivered: all its entries up to `upto` are done. `note` says what there is to say."""
    await pool.execute(
        "UPDATE outbox SET state = 'delivered', delivered = now(), error = $5, results = $4, "
        "attempts = attempts + 1 "
        "WHERE destination = $1 AND subject = $2 AND id <= $3 AND state = 'pending'",
        entry.destination,
        entry.subject,
        upto,
        [result.model_dump() for result in results],
        note,
    )
    await pool.execute("SELECT pg_notify($1, '')", CHANNEL)


async def postpone(pool: asyncpg.Pool, entry: Delivery, error: str, results: list[BngResult]) -> None:
    """The attempt failed: try again later."""
    await pool.execute(
        "UPDATE outbox SET attempts = attempts + 1, error = $2, results = $3, "
        "next_attempt = now() + make_interval(secs => $4) WHERE id = $1",
        entry.id,
        error,
        [result.model_dump() for result in results],
        backoff(entry.attempts + 1),
    )
    await pool.execute("SELECT pg_notify($1, '')", CHANNEL)


async def next_due(pool: asyncpg.Pool) -> float | None:
    """Seconds until an entry may be tried again; None when nothing waits."""
    seconds: float | None = await pool.fetchval(
        "SELECT extract(epoch FROM min(next_attempt) - now())::float8 FROM outbox o WHERE state = 'pending' "
        "AND NOT EXISTS (SELECT 1 FROM outbox d WHERE d.id = o.depends_on AND d.state = 'pending')"
    )
    return seconds


async def retry(pool: asyncpg.Pool, entry: int) -> bool:
    """Try a pending entry now; False when there is no such entry."""
    done = await pool.execute(
        "UPDATE outbox SET next_attempt = now() WHERE id = $1 AND state = 'pending'", entry
    )
    await pool.execute("SELECT pg_notify($1, '')", CHANNEL)
    return bool(done == "UPDATE 1")


async def fetch(pool: asyncpg.Pool, ids: list[int]) -> list[Delivery]:
    rows = await pool.fetch(f"SELECT {_COLUMNS} FROM outbox WHERE id = ANY($1) ORDER BY id", ids)  # noqa: S608
    return [Delivery(**row) for row in rows]


async def latest(pool: asyncpg.Pool, subjects: list[str]) -> dict[str, list[Delivery]]:
    """The newest entry of each subject and destination, by subject."""
    rows = await pool.fetch(
        f"SELECT DISTINCT ON (subject, destination) {_COLUMNS} FROM outbox WHERE subject = ANY($1) "  # noqa: S608
        "ORDER BY subject, destination, id DESC",
        subjects,
    )
    found: dict[str, list[Delivery]] = {}
    for row in rows:
        found.setdefault(row["subject"], []).append(Delivery(**row))
    return found


async def listing(
    pool: asyncpg.Pool, state: str | None, subject: str | None, limit: int, cursor: str | None
) -> Page[Delivery]:
    """Entries, newest first."""
    where = Where()
    if state is not None:
        where.add("state = {}", state)
    if subject is not None:
        where.add("subject = {}", subject)
    keyset = Keyset("id", "desc", (Column("id", "bigint"),), cursor, limit)
    keyset.apply(where)
    rows: list[Any] = await pool.fetch(
        f"SELECT {_COLUMNS}, {keyset.select} FROM outbox {where.sql()} {keyset.order_by} {keyset.limit_sql}",  # noqa: S608
        *where.parameters,
    )
    kept, following = keyset.page(rows)
    return Page(items=[Delivery(**row) for row in kept], next_cursor=following)
