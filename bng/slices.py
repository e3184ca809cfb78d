"""Long work on the loop, done in slices."""

from __future__ import annotations

import asyncio
import time

SLICE = 0.001
"""Seconds of work before the loop gets its turn."""


class Slices:
    """Tells when it is time to let others go on::

    for item in many:
        ...
        if slices.due():
            await slices.rest()
    """

    def __init__(self, limit: float = SLICE) -> None:
        self._limit = limit
        self._began = time.perf_counter()

    def due(self) -> bool:
        """Whether this slice has had its time."""
        return time.perf_counter() - self._began >= self._limit

    async def rest(self, seconds: float = 0) -> None:
        """Let the loop do what waits, and begin the next slice."""
        await asyncio.sleep(seconds)
        self._began = time.perf_counter()
