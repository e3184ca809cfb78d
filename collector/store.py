"""The connections to PostgreSQL that all sessions of a collector write through: a few for any number."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from collector import lease, writer
from collector.announce import Announcer, Said, announced
from collector.clock import Clock

MOST = 16
"""Connections that are open at a time. Who finds none free waits; what it has read counts in the budget."""


class Store:
    """Lends connections that are ready for `writer`.

    Attributes:
        clock: PostgreSQL's.
    """

    def __init__(self, database: str, owner: str, ttl: float, most: int = MOST) -> None:
        self._database, self._ttl = database, ttl
        self.name = lease.session_name(owner)
        self._idle: list[asyncpg.Connection] = []
        self._room = asyncio.Semaphore(most)
        self.clock = Clock(self.borrow)
        self._announcer = Announcer(self._notify)

    @asynccontextmanager
    async def borrow(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection for one transaction, whose announcements are sent afterwards. One that something went
        wrong with is not used again.

        Raises what asyncpg.connect does.
        """
        async with self._room:
            connection = await self._ready()
            try:
                yield connection
            except BaseException:
                connection.terminate()
                raise
            self._idle.append(connection)
            self._announcer.add(announced(connection))

    async def _notify(self, said: list[Said]) -> None:
        connection = await self._ready()  # not one of the few: hints do not wait behind data
        try:
            async with connection.transaction():
                await connection.execute("SET LOCAL synchronous_commit = off")
                await connection.executemany("SELECT pg_notify($1, $2)", said)
        except BaseException:
            connection.terminate()
            raise
        self._idle.append(connection)

    async def _ready(self) -> asyncpg.Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        connection = await lease.connect(self._database, self._ttl, self.name)
        try:
            await writer.prepare(connection)
        except BaseException:
            connection.terminate()
            raise
        return connection

    def close(self) -> None:
        """End those that nobody has borrowed."""
        self._announcer.close()
        while self._idle:
            self._idle.pop().terminate()
