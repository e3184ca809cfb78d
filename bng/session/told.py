"""How often something is told of an access line, however often it happens."""

from __future__ import annotations

from collections import OrderedDict

from bng.seam.clock import NS
from bng.session.records import AccessLine

TELL_AGAIN = 60 * NS
"""Nanoseconds in which a line causes no more than one event of a kind."""
MAX_TOLD = 16384


class Told:
    """When something was told last of an access line, and how often it happened since."""

    def __init__(self) -> None:
        self._told: OrderedDict[tuple[str, AccessLine], list[int]] = OrderedDict()

    def again(self, kind: str, line: AccessLine, now: int) -> int:
        """How often it happened since it was told last, with this time; 0 when it is too early to tell."""
        entry = self._told.setdefault((kind, line), [now - TELL_AGAIN, 0])
        entry[1] += 1
        if now - entry[0] < TELL_AGAIN:
            return 0
        times = entry[1]
        entry[:] = [now, 0]
        self._told.move_to_end((kind, line))
        if len(self._told) > MAX_TOLD:
            self._told.popitem(last=False)
        return times
