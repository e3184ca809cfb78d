"""How much is remembered for subscribers: what each knows, to be compared with what there is.

An entry of a list takes about a kilobyte. A list of 1,000 paths, each to all of 10,000 sessions, would take
more than an element has.
"""

from __future__ import annotations

from typing import Final

from telemetry.errors import Code, Refused

OF_A_STREAM: Final = 250_000
OF_ALL: Final = 1_000_000
"""Containers and entries of lists; an entry counts for each subscription that it is known to."""


class Memory:
    """Counts entries.

    Attributes:
        entries: how many there are.

    Args:
        limit: of entries.
        whole: what this is a part of.
    """

    def __init__(self, limit: int = OF_ALL, whole: Memory | None = None) -> None:
        self.entries = 0
        self._limit = limit
        self._whole = whole

    def grow(self, entries: int) -> None:
        """So many more, or fewer. Raises Refused (RESOURCE_EXHAUSTED): too many; they are counted."""
        self.entries += entries
        if self._whole is not None:
            self._whole.grow(entries)
        if entries > 0 and self.entries > self._limit:
            raise Refused(
                Code.RESOURCE_EXHAUSTED,
                f"what has to be remembered for subscriptions on change is more than {self._limit} entries: "
                "subscribe to less, or to samples",
            )
