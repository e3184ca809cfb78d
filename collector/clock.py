"""PostgreSQL's clock. Leases expire by it; what is stored, compared and dropped goes by it, too: the clocks
of the collectors' hosts need not agree, and may be set."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
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
    """PostgreSQL's clock as seen over connections that are borrowed. Raises what asyncpg does."""

    def __init__(self, borrow: Callable[[], AbstractAsyncContextManager[asyncpg.Connection]]) -> None:
        self._borrow = borrow
        self._asked: tuple[datetime, float] | None = None

    async def now(self) -> datetime:
        """Its time; right to the time that a question takes."""
        asked = self._asked
        if asked is None or time.monotonic() - asked[1] > LOOK:
            async with self._borrow() as connection:
                here = time.monotonic()
                self._asked = asked = await ask(connection), here
        return asked[0] + timedelta(seconds=time.monotonic() - asked[1])

    async def now_ns(self) -> int:
        """The same in nanoseconds since 1970."""
        return (await self.now() - _BEGIN) // timedelta(microseconds=1) * 1000
