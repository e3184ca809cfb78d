"""One budget of bytes for all that was read and is not written yet, whatever target it is from.

Who reads asks for room first. Without room nothing more is read: HTTP/2's flow control then holds the element
back, which coalesces samples and keeps events in its journal. Who has read something and finds no room for
more hands it on, so that the budget always gets free again.
"""

from __future__ import annotations

import asyncio

WINDOW_LEAST, WINDOW_MOST = 64 << 10, 1 << 20


class Budget:
    """Counts bytes; used from one event loop.

    Attributes:
        limit: bytes from which on nothing more is read. What was asked for before may still come: a message
        per
            stream.
        held: bytes in hand.
        most: the highest that `held` was.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.held, self.most = limit, 0, 0
        self._free = asyncio.Event()
        self._free.set()

    @property
    def room(self) -> bool:
        """Whether more may be read."""
        return self.held < self.limit

    async def wait(self) -> None:
        """Until there is room."""
        while not self.room:
            self._free.clear()
            await self._free.wait()

    def take(self, size: int) -> None:
        """Count what was read."""
        self.held += size
        self.most = max(self.most, self.held)

    def give(self, size: int) -> None:
        """What was read is written, or dropped."""
        self.held -= size
        if self.room:
            self._free.set()

    def resize(self, limit: int) -> None:
        """Another limit, from now on."""
        self.limit = limit
        if self.room:
            self._free.set()

    def window(self, streams: int) -> int:
        """Bytes that HTTP/2 may hold unread for each of so many streams: together as much as the budget."""
        return max(WINDOW_LEAST, min(WINDOW_MOST, self.limit // max(1, streams)))
