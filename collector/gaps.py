"""Is this the event that follows the last one, and are there samples between these two? No I/O."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

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
        self._nameless = 0

    def judge(self, seq: int | None, time_ns: int) -> str:
        """Compare an event with the last one, and take it as the last one when it follows.

        One whose number cannot be read (None) is NEXT wherever it is, and may be the one that is missing
        before the event behind it.
        """
        if seq is None:
            self._nameless += 1
            return NEXT
        nameless, self._nameless = self._nameless, 0
        if self.seq < seq <= self.seq + 1 + nameless or (self._anew and self.seq == 0):
            self.seq, self.time_ns, self._anew = seq, time_ns, False
            return NEXT
        if seq <= self.seq and time_ns <= self.time_ns:
            return KNOWN
        return BROKEN


REGULAR = 0.9, 1.1
"""Intervals between two samples that tell how many ticks are between two of them."""


@dataclass(frozen=True, slots=True)
class Told:
    """What else tells whether a tick is missing.

    Attributes:
        seen: seconds that a tick takes by our own clock (`Pace`), 0 when not known.
        skipped: ticks that the element says it left out of this stream.
        usual: ticks from one sample to the next (`usual_step`), None when not known.
    """

    seen: float = 0.0
    skipped: int = 0
    usual: int | None = None


def missed(
    last: tuple[int | None, datetime | None],
    this: tuple[int, datetime],
    interval: float,
    told: Told = Told(),
) -> tuple[int, int, str] | None:
    """First and last tick that are missing between two samples, and why; None if none is.

    `last` and `this` are tick and time of samples, `interval` is seconds between them as subscribed. Ticks
    count the element's sweeps, of which a sample may skip some on purpose; how many is told by the time
    that they take. A clock that is set is no gap: ticks go on. When the ticks began anew, what is missing
    has no end that is known, and the range is the one tick after the last. Ticks that follow each other later
    than they should are an element that stood still, if its sweeps were not as seldom before. Samples that
    are closer than 1.33 intervals may have one between them that was swept early or late: it is missing if
    there are more ticks between them than usual, or if the element says so.
    """
    tick, time = last
    if tick is None or time is None or this == last:
        return None
    passed = (this[1] - time).total_seconds()
    steps = this[0] - tick
    if steps < 0:
        return tick + 1, tick + 1, f"the count of ticks began anew, no samples for {passed:.1f} s"
    sweep = (max(passed / steps, told.seen) if steps else 0) or interval
    sweep = sweep if sweep > 0 else interval
    # the most that there are as a rule: sweeps of every five seconds are one or two to an interval of six
    regular = max(1, math.ceil(interval / sweep - 0.1))
    if steps > 1.5 * regular or (passed > 2.5 * interval and steps > 1):
        return tick + 1, this[0] - 1, f"no samples for {passed:.1f} s"
    if told.usual and passed > 2.5 * interval:
        return tick + 1, tick + 1, f"the element made no samples for {passed:.1f} s"
    if told.skipped and steps > 1:
        return tick + 1, this[0] - 1, f"the element left samples out that were not read within {passed:.1f} s"
    if told.usual and steps > 1.5 * told.usual and passed > 1.05 * interval:
        return tick + 1, this[0] - 1, f"{steps} ticks within {passed:.1f} s, usually {told.usual}"
    return None


def usual_step(
    last: tuple[int | None, datetime | None], this: tuple[int, datetime], interval: float, usual: int | None
) -> int | None:
    """How many ticks are between two samples as a rule: of those that are an interval apart. `usual` is what
    was known before; samples that are closer than they should be and have more between them than that say
    that it is not known any more, as the element may sweep more often from now on; so do ticks that follow
    each other much later: it may sweep more seldom."""
    tick, time = last
    if tick is None or time is None or this[0] <= tick:
        return usual
    steps, passed = this[0] - tick, (this[1] - time).total_seconds() / interval
    if REGULAR[0] <= passed <= REGULAR[1]:
        return steps
    more_often = usual is not None and steps > 1.5 * usual and passed < 4 / 3
    return None if more_often or (steps == 1 and passed > 2.5) else usual


def torn(tick: int, missing: tuple[int, int, str] | None) -> tuple[int, int, str]:
    """What is missing when of the last tick only a part may have been read: that tick and what `missed` found
    behind it."""
    if missing and missing[0] == tick + 1:
        return tick, missing[1], f"of tick {tick} only a part may have been read; {missing[2]}"
    return tick, tick, f"of tick {tick} only a part may have been read"


class Pace:
    """Seconds between two ticks of a stream by our own clock, which nobody sets."""

    def __init__(self) -> None:
        self._last: tuple[int, float] | None = None

    def seen(self, tick: int, clock: float) -> float:
        """Between this tick and the last one; 0 for the first and when ticks do not go on."""
        last, self._last = self._last, (tick, clock)
        return (clock - last[1]) / (tick - last[0]) if last and tick > last[0] else 0.0
