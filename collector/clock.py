"""PostgreSQL's clock. Leases expire by it; what is stored, compared and dropped goes by it, too: the clocks
of the collectors' hosts need not agree, and may be set."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import asyncpg

LOOK = 10.0
"""Seconds after which the database is asked again; between, time goes on by a clock that nobody sets."""

_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)


async def ask(connection: asyncpg.Connection) -> datetime:
    """What PostgreSQL's clock shows."""
    now: datetime = await connection.fetchval("SELECT clock_timestamp()")
    return now


class Clock:
    """PostgreSQL's clock as seen over one connection. Raises what asyncpg does."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._asked: tuple[datetime, float] | None = None

    async def now(self) -> datetime:
        """Its time; right to the time that a question takes."""
        here = time.monotonic()
        if self._asked is None or here - self._asked[1] > LOOK:
            self._asked = await ask(self._connection), here
        return self._asked[0] + timedelta(seconds=here - self._asked[1])

    async def now_ns(self) -> int:
        """The same in nanoseconds since 1970."""
        return (await self.now() - _BEGIN) // timedelta(microseconds=1) * 1000
