"""A wheel of deadlines: one entry per timer, whatever their number, and no sweep over sessions."""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

GRANULARITY = 50_000_000
"""Nanoseconds: deadlines within the same 50 ms are due together, never early."""


class Wheel(Generic[Key]):
    """Deadlines by key. Setting, replacing and cancelling cost O(1) for all but the first in 50 ms.

    Pure: the caller says what time it is, and when to look next is what `next_due` tells.
    """

    def __init__(self) -> None:
        self._ticks: dict[Key, int] = {}
        self._buckets: dict[int, set[Key]] = {}
        self._order: list[int] = []

    def __len__(self) -> int:
        return len(self._ticks)

    def __contains__(self, key: object) -> bool:
        return key in self._ticks

    def set(self, key: Key, deadline: int) -> None:
        """Set a timer, replacing the one with this key. `deadline`: nanoseconds since the epoch."""
        self.cancel(key)
        tick = -(-deadline // GRANULARITY)
        self._ticks[key] = tick
        bucket = self._buckets.get(tick)
        if bucket is None:
            self._buckets[tick] = {key}
            heapq.heappush(self._order, tick)
        else:
            bucket.add(key)

    def cancel(self, key: Key) -> None:
        """Cancel a timer, if it is set."""
        tick = self._ticks.pop(key, None)
        if tick is not None:
            self._buckets[tick].discard(key)

    def deadline(self, key: Key) -> int | None:
        """When a timer is due, nanoseconds since the epoch; None when it is not set."""
        tick = self._ticks.get(key)
        return None if tick is None else tick * GRANULARITY

    def next_due(self) -> int | None:
        """When `take_due` has something to give, nanoseconds since the epoch; None without timers."""
        while self._order and not self._buckets[self._order[0]]:
            del self._buckets[heapq.heappop(self._order)]
        return self._order[0] * GRANULARITY if self._order else None

    def take_due(self, now: int, limit: int = 1024) -> list[Key]:
        """Up to `limit` timers that are due, earliest first; they are set no longer."""
        due: list[Key] = []
        while self._order and self._order[0] * GRANULARITY <= now and len(due) < limit:
            bucket = self._buckets[self._order[0]]
            while bucket and len(due) < limit:
                key = bucket.pop()
                del self._ticks[key]
                due.append(key)
            if not bucket:
                del self._buckets[heapq.heappop(self._order)]
        return due
