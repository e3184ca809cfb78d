"""When push updates are due (RFC 8641 section 3.1): no clock of its own, no I/O."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Periodic:
    """A series of moments that are a period apart; all times are nanoseconds since the epoch.

    Attributes:
        period: nanoseconds, more than 0.
        anchor: a moment of the series, before or after now.
    """

    period: int
    anchor: int

    def after(self, now: int) -> int:
        """The first moment that is later than `now`."""
        return now + self.period - (now - self.anchor) % self.period

    def skipped(self, last: int, following: int) -> int:
        """Moments strictly between two of the series."""
        return max(0, (following - last) // self.period - 1)


@dataclass(slots=True)
class Dampening:
    """The least time from one update to the next; all times are seconds of one clock.

    Attributes:
        period: seconds, 0 for none.
    """

    period: float
    _last: float | None = None

    def sent(self, now: float) -> None:
        """An update has been made."""
        self._last = now

    def remaining(self, now: float) -> float:
        """Seconds until there may be another one."""
        return 0.0 if self._last is None else max(0.0, self._last + self.period - now)
