"""A database with one BNG whose samples are written, and rolled up, as the collector does it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import asyncpg
import numpy as np

from collector import copyformat, lease, partitions, rollup, writer
from collector.migrations import migrate
from collector.template import SESSION_ID, Samples
from collector.ticks import Part

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


class Store:
    """Tables with one BNG whose samples are written as the collector writes them."""

    def __init__(self, dsn: str, connection: asyncpg.Connection) -> None:
        self.dsn, self.connection = dsn, connection
        self._encoder = copyformat.SampleEncoder("bng-01")

    @classmethod
    async def open(cls, dsn: str) -> Store:
        await migrate(dsn)
        connection = await asyncpg.connect(dsn)
        await writer.prepare(connection)
        await partitions.ensure(connection, NOON)
        await lease.acquire(connection, ["bng-01"], "one", 600)
        await connection.execute("UPDATE rollups SET closed_to = $1, rolled_to = $1", NOON)
        return cls(dsn, connection)

    async def sample(self, seconds: float, on: asyncpg.Connection | None = None, **totals: int) -> None:
        """A sample so long after noon; all counters of a session are the same."""
        at = NOON + timedelta(seconds=seconds)
        sessions = np.array([name * 16 for name in totals], SESSION_ID)
        values = np.array([[round(seconds), *[total] * 6] for total in totals.values()], np.int64)
        samples = Samples(round(at.timestamp() * 1e9), sessions, values)
        part = Part(samples, True, False)
        await writer.write_samples(on or self.connection, self._encoder, ("bng-01", 1), [(part, 0.0)], 10)

    async def turn(self, minutes: float) -> int:
        """A turn so long after noon."""
        return await rollup.turn(self.connection, NOON + timedelta(minutes=minutes, seconds=10))

    async def kept(self, level: str, session: str = "a" * 16) -> list[tuple[float, int, int]]:
        """Rows of a rollup: seconds after noon, samples, in_octets."""
        rows = await self.connection.fetch(
            f"SELECT * FROM session_samples_{level} WHERE session_id = $1 ORDER BY time", session
        )
        return [((row["time"] - NOON).total_seconds(), row["samples"], row["in_octets"]) for row in rows]

    async def passed(self, table: str, session: str = "a" * 16) -> int:
        """Octets between the first and the last row, as readers compute them."""
        return await self.connection.fetchval(
            f"""SELECT coalesce(sum(CASE WHEN in_octets >= before THEN in_octets - before ELSE in_octets
            END), 0)
                FROM (SELECT in_octets, lag(in_octets) OVER (ORDER BY time) AS before
                      FROM {table} WHERE session_id = $1) s WHERE before IS NOT NULL""",
            session,
        )
