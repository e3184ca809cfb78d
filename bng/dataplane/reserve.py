"""How many class slots are made ahead of the sessions."""

from __future__ import annotations

_AHEAD = 2.0
"""Seconds of a rush that the reserve lasts."""
_CALM = 0.9
"""What is left of an earlier rush's rate at each look."""
_LOOK = 0.1
"""Seconds between looks at the rate."""
_MOST = 16_384


class Reserve:
    """Follows the rate at which new slots come into use.

    Args:
        least: slots ahead in quiet times.
    """

    def __init__(self, least: int) -> None:
        self.least = least
        self._rate = 0.0
        self._end = -1
        self._when = 0.0

    def target(self, end: int, now: float) -> int:
        """How many slots should have classes.

        Args:
            end: one more than the highest slot in use.
            now: seconds of a clock that is never set.
        """
        if self._end < 0:
            self._end, self._when = end, now
        elif (elapsed := now - self._when) >= _LOOK:
            rate = max(end - self._end, 0) / elapsed
            self._rate = max(rate, self._rate * _CALM)
            self._end, self._when = end, now
        return end + self.least + min(int(self._rate * _AHEAD), _MOST)
