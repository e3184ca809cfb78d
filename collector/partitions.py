"""Partitions of `session_samples`: one per day, made before they are needed, dropped when too old."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import asyncpg

from collector.migrations import LOCK


def name(day: date) -> str:
    """The partition of a day, in UTC."""
    return f"session_samples_{day:%Y%m%d}"


async def maintain(connection: asyncpg.Connection, retention_days: int, now: datetime | None = None) -> None:
    """Make the partitions of today and tomorrow; drop those older than the retention. Idempotent."""
    today = (now or datetime.now(UTC)).date()
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
        for day in (today, today + timedelta(days=1)):
            await connection.execute(
                f"CREATE TABLE IF NOT EXISTS {name(day)} PARTITION OF session_samples "
                f"FOR VALUES FROM ('{day} 00:00+00') TO ('{day + timedelta(days=1)} 00:00+00')"
            )
        rows = await connection.fetch(
            "SELECT inhrelid::regclass::text AS child FROM pg_inherits "
            "WHERE inhparent = 'session_samples'::regclass"
        )
        oldest = name(today - timedelta(days=retention_days))
        for row in rows:
            if row["child"] < oldest:
                await connection.execute(f"DROP TABLE {row['child']}")
