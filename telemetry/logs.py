"""The source of a log: the element's journal, or any list that a LogProvider owns."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from telemetry.packing import atomic
from telemetry.plan import Part, Permission
from telemetry.reader import Look
from telemetry.records import Leaf, Projection
from telemetry.source import Source, Wake, follow
from telemetry.subscribe import SECOND, Cursor, History, Lost, Timer
from yang.path import DataPath

BATCH = 500
"""Entries that are read at once."""

NOT_READABLE_YET = 0.02
"""Seconds until a log that has announced entries and does not give them is asked again."""


class LogSource(Source):
    """Each entry of a log once, in order, as an atomic notification with the entry's time.

    Args:
        history: what part of the past is asked for; None: all that there is, and what comes.

    Raises:
        Lost: entries that were asked for are no longer retained.
    """

    def __init__(self, part: Part, look: Look, history: History | None) -> None:
        super().__init__()
        self._part = part
        self._look = look
        self._provider = part.provider
        self._projection = Projection(part.node, part.leaves)
        self._permission = Permission(look.tree, look.user, (part.node, *part.leaves))
        self._history = history
        self._cursor = self._begin(history)
        if self._cursor.until:
            self.timers.append(Timer(SECOND, time.monotonic_ns()))
        self._follower: asyncio.Task[None] | None = None

    def _begin(self, history: History | None) -> Cursor:
        if history is None:
            return Cursor(self._provider.oldest)
        try:
            first = self._provider.seek(history.start)  # raises when entries of that time are lost
        except LookupError:
            raise Lost(self._provider.oldest) from None
        return Cursor(self._provider.oldest if history.snapshot else first, until=history.end)

    def start(self, wake: Wake) -> None:
        """Listen to the bus."""
        watch = self._look.tree.bus.watch(self._part.node.path)
        self._follower = asyncio.create_task(follow(watch, wake), name="gnmi-log")

    def expired(self, timer: Timer) -> None:
        """Only wakes the stream, which then looks at `ended`."""

    @property
    def ended(self) -> bool:
        """The end of the range that was asked for has been reached, by the log or by the clock."""
        over = 0 < self._cursor.until <= time.time_ns() and not self.ready
        return self._cursor.ended or over

    @property
    def ready(self) -> bool:
        """There are entries that were not sent."""
        return self._cursor.pending(self._provider.newest)

    async def initial(self) -> AsyncIterator[bytes]:
        """From the beginning up to what is the newest entry now."""
        self._cursor = self._begin(self._history)
        async for message in self._up_to(self._provider.newest):
            yield message

    async def skip(self) -> AsyncIterator[bytes]:
        """Go on behind the newest entry; entries of a range that was asked for are updates all the same."""
        if self._history is None:
            self._cursor.next = self._provider.newest + 1
        return
        yield b""  # makes this a generator

    async def messages(self) -> AsyncIterator[bytes]:
        """One batch, so that other sources get their turn."""
        async for message in self._up_to(min(self._provider.newest, self._cursor.next + BATCH - 1)):
            yield message

    async def _up_to(self, last: int) -> AsyncIterator[bytes]:
        while self._cursor.pending(last):
            batch = self._read(min(BATCH, last - self._cursor.next + 1))
            for time_ns, record in batch:
                message = self._message(record, time_ns)
                if message is not None:
                    yield message
            await asyncio.sleep(0 if batch else NOT_READABLE_YET)

    def _read(self, limit: int) -> list[tuple[int, Any]]:
        """The next entries; the cursor moves on behind them. Raises Lost."""
        oldest = self._provider.oldest
        self._cursor.check(oldest)
        try:
            records = self._provider.read(self._cursor.next, limit)
        except LookupError:
            raise Lost(self._provider.oldest) from None
        timed = [(self._provider.time_of(record), record) for record in records]
        return self._cursor.accept(timed, self._number)

    def _number(self, record: Any) -> int:
        return int(getattr(record, self._part.node.key_nodes[0].attr))

    def _message(self, record: Any, time_ns: int) -> bytes | None:
        path = DataPath.of_node(self._part.node, (self._number(record),))
        leaves = self._leaves(path, record)
        if not leaves:
            return None
        look = self._look
        updates = look.updates(leaves)
        return atomic(path.to_gnmi(), updates, time_ns, origin=look.origin, target=look.target)

    def _leaves(self, path: DataPath, record: Any) -> list[Leaf]:
        """The leaves that the user may read."""
        if self._permission.granted:
            return self._look.reach.kept(path, self._projection.leaves(record))
        wanted = set(self._part.leaves)
        entries = self._look.read([path], "all")
        return [leaf for _, leaves in entries for leaf in leaves if leaf[2] in wanted]

    def close(self) -> None:
        """Listen no more."""
        if self._follower is not None:
            self._follower.cancel()
