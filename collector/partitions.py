"""Partitions by time: made before they are needed, dropped when all of their rows are too old."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import asyncpg

from collector import clock
from collector.migrations import LOCK
from collector.retention import Retention

PATIENCE = "3s"
"""How long a drop waits for those who read or write: they wait behind it meanwhile. Then it is for next
time."""

MONTHLY = frozenset({"session_samples_1h", "node_traffic_1h"})
"""Tables with a partition per month; the others have one per day."""


def ages(retention: Retention) -> dict[str, timedelta]:
    """Partitioned table → how old its rows may become."""
    return {
        "session_samples": retention.samples,
        "session_samples_1m": retention.minute,
        "session_samples_5m": retention.five_minutes,
        "session_samples_1h": retention.hour,
        "node_traffic": retention.samples,
        "node_traffic_1m": retention.minute,
        "node_traffic_5m": retention.five_minutes,
        "node_traffic_1h": retention.hour,
        "foreign_samples": retention.foreign,
    }


ROLLED_BY = {"session_samples": 60, "session_samples_1m": 300, "session_samples_5m": 3600}
"""Table → the rollup that reads it: what was not read yet is not dropped, however old it is."""


def span(table: str, day: date) -> tuple[date, date]:
    """First day of the partition that a day (UTC) lies in, and of the next one."""
    if table not in MONTHLY:
        return day, day + timedelta(days=1)
    first = day.replace(day=1)
    return first, (first + timedelta(days=32)).replace(day=1)


def name(table: str, first: date) -> str:
    """The partition that begins at a day."""
    return f"{table}_{first:%Y%m%d}"


def wanted(table: str, today: date) -> Iterator[tuple[date, date]]:
    """Partitions that must be there: samples may be some minutes late, and clocks ahead."""
    yield from sorted({span(table, today + timedelta(days=n)) for n in (-1, 0, 1)})


async def maintain(connection: asyncpg.Connection, retention: Retention, now: datetime | None = None) -> None:
    """Make the partitions around today; drop those older than the retention. Idempotent. `now` is for tests;
    else it is the database's: a host whose clock is ahead must not drop anything."""
    now = now or await clock.ask(connection)
    await ensure(connection, now)
    for table, age in ages(retention).items():
        for child in await _outdated(connection, table, now - age):
            await _drop(connection, child)
    await connection.execute("DELETE FROM health_samples WHERE time < $1", now - retention.condition)
    await connection.execute("DELETE FROM target_state WHERE until < $1", now - retention.condition)
    await connection.execute("DELETE FROM events_rejected WHERE detected < $1", now - retention.rejected)


async def ensure(connection: asyncpg.Connection, now: datetime) -> None:
    """Make what is missing of yesterday's, today's and tomorrow's partitions."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
        for table in ages(Retention()):
            for first, end in wanted(table, now.date()):
                await connection.execute(
                    f"CREATE TABLE IF NOT EXISTS {name(table, first)} PARTITION OF {table} "
                    f"FOR VALUES FROM ('{first} 00:00+00') TO ('{end} 00:00+00')"
                )


async def _outdated(connection: asyncpg.Connection, table: str, limit: datetime) -> list[str]:
    """Partitions that end before a time, and that the rollup above them has read."""
    rolled = None
    if table in ROLLED_BY:
        rolled = await connection.fetchval("SELECT rolled_to FROM rollups WHERE step = $1", ROLLED_BY[table])
    rows = await connection.fetch(
        "SELECT inhrelid::regclass::text AS child FROM pg_inherits WHERE inhparent = $1::text::regclass "
        "ORDER BY 1",
        table,
    )
    found = []
    for row in rows:
        digits = re.fullmatch(rf"{table}_(\d{{8}})", row["child"])
        if digits:
            begin = datetime.strptime(digits[1], "%Y%m%d").replace(tzinfo=UTC).date()
            end = datetime.combine(span(table, begin)[1], datetime.min.time(), UTC)
            if end <= limit and (rolled is None or end <= rolled):
                found.append(row["child"])
    return found


async def _drop(connection: asyncpg.Connection, child: str) -> None:
    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = '{PATIENCE}'")
            await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
            await connection.execute(f"DROP TABLE IF EXISTS {child}")
    except asyncpg.LockNotAvailableError:
        return
