"""Is this the event that follows the last one? No I/O."""

from __future__ import annotations

NEXT = "next"
"""It follows the last one: write it."""
KNOWN = "known"
"""It was written before (a replay begins at a time, inclusively): skip it."""
BROKEN = "broken"
"""Events are missing in between, or the journal began anew: baseline and record the gap."""


class Tracker:
    """Follows seq and time of one journal.

    Attributes:
        seq: the last event that was accepted, 0 before the first.
        time_ns: its time; 0 when reading begins at the oldest event that is retained.
    """

    def __init__(self, seq: int, time_ns: int) -> None:
        self.seq, self.time_ns = seq, time_ns
        self._anew = time_ns == 0

    def judge(self, seq: int, time_ns: int) -> str:
        """Compare an event with the last one, and take it as the last one when it follows."""
        if seq == self.seq + 1 or (self._anew and self.seq == 0):
            self.seq, self.time_ns, self._anew = seq, time_ns, False
            return NEXT
        if seq <= self.seq and time_ns <= self.time_ns:
            return KNOWN
        return BROKEN
