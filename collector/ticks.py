"""Messages of samples → ticks: what belongs together, what is new of it, whether all of it was read. No I/O.

A BNG sends one tick after the other, each in as many messages as it takes. So a tick is whole when anything
else follows it in its stream. Where a stream breaks off, that is not known: what goes on from there has to
say that samples may be missing, unless it is given the same tick again.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from collector.template import SESSION_ID, Samples

MOST_KNOWN = 4_000_000
"""Sessions of one tick that are remembered; one that never ends must not take all memory."""

MIXER = np.uint64(0x9E37_79B9_7F4A_7C15)
"""Odd and without a pattern: spreads the first half of a session's id over all bits."""

NEAR_NS = 2_000
"""What a time may have lost on its way through the database, which keeps microseconds."""

NEW = "new"
"""A stream begins, and with it a tick."""
GOES_ON = "goes on"
"""It is the stream that the last tick came from, and nothing of it is missing in between."""
CUT = "cut"
"""A part of a stream is missing before this: what comes may be the rest of a tick."""


@dataclass(frozen=True, slots=True)
class Written:
    """The tick that was written last.

    Attributes:
        tick, time_ns: None when there was none.
        whole: all of it was read.
        sessions: whose samples were, as in `Samples`.
    """

    tick: int | None = None
    time_ns: int | None = None
    whole: bool = True
    sessions: np.ndarray = field(default_factory=lambda: np.empty(0, SESSION_ID))


@dataclass(frozen=True, slots=True)
class Part:
    """What is to be written of a tick.

    Attributes:
        samples: those that were not written before; None when the only news is that the tick is whole.
        whole: nothing more of this tick can come.
        first: it is of the first tick of its stream; the one before was read from another, or what followed
            it is missing.
    """

    samples: Samples | None
    whole: bool
    first: bool


class Ticks:
    """The ticks of one stream, from where `last` was written; `begins` is NEW, GOES_ON or CUT."""

    def __init__(self, last: Written, begins: str = NEW) -> None:
        self._last = last
        self._cut, self._goes_on = begins == CUT, begins == GOES_ON
        self._held: list[Samples] = []
        self._time: int | None = None
        self._known: list[np.ndarray] = []
        self._once = Once()
        self._open = not last.whole
        self._first = True

    @property
    def settled(self) -> bool:
        """Whether who takes the stream from here on may say that it GOES_ON."""
        return self._goes_on or (self._time is not None and not self._cut)

    def take(self, messages: Iterable[Samples | None], *, more: bool) -> list[Part]:
        """What is to be written now.

        Args:
            messages: in order; None stands for what follows a tick and has no samples.
            more: there are more to be had at once. The last tick waits for them, if it is not alone.
        """
        made: list[Part] = []
        for message in messages:
            if self._held and (message is None or message.time_ns != self._held[0].time_ns):
                made += self._hand_out(whole=not self._cut)
            if self._cut and (message is None or self._time not in (None, message.time_ns)):
                self._begin_anew()
            if message is not None:
                self._held.append(message)
            elif self._open and (self._goes_on or self._time is not None):
                self._open = False
                made.append(Part(None, True, self._first))
        if self._held and not (more and made):
            made += self._hand_out(whole=False)
        return made

    def _begin_anew(self) -> None:
        """A tick begins behind what was cut; the one before is not whole."""
        self._cut, self._open, self._time, self._last = False, False, None, Written()

    def _hand_out(self, *, whole: bool) -> list[Part]:
        time_ns = self._held[0].time_ns
        samples, self._held = self._once.joined(self._held), []
        if time_ns != self._time:
            begins, self._time = self._time is None, time_ns
            again = begins and self._is_last(samples)
            self._first = begins and not self._goes_on
            self._known = [self._last.sessions] if again else []
            self._open = self._open and again
        if self._known:
            samples = without(samples, np.concatenate(self._known))
        if samples.sessions.size:
            if sum(part.size for part in self._known) > MOST_KNOWN:
                self._known = []
            self._known.append(samples.sessions)
            self._open = not whole
            return [Part(samples, whole, self._first)]
        closes, self._open = self._open and whole, self._open and not whole
        return [Part(None, True, self._first)] if closes else []

    def _is_last(self, samples: Samples) -> bool:
        """Whether these are of the tick that was written before this stream began."""
        if self._last.time_ns is None:
            return False
        near = abs(samples.time_ns - self._last.time_ns) <= NEAR_NS
        return near and samples.tick == self._last.tick


class Once:
    """Joins messages of a tick, of each session the first sample: a row is one session's of one tick. A
    message by itself has none twice.

    Mostly the sessions are those of the tick before, in the very arrays, as these belong to the layouts of
    messages: then there is nothing to look at.
    """

    def __init__(self) -> None:
        self._distinct: list[np.ndarray] = []

    def joined(self, parts: Sequence[Samples]) -> Samples:
        """Messages of one tick as one."""
        samples, arrays = joined(parts), [part.sessions for part in parts]
        if len(arrays) == 1:
            return samples
        if len(arrays) == len(self._distinct) and all(map(operator.is_, arrays, self._distinct)):
            return samples
        if not twice(samples.sessions):
            self._distinct = arrays
            return samples
        _, first = np.unique(samples.sessions, return_index=True)
        first.sort()
        return chosen(samples, first)


def twice(sessions: np.ndarray) -> bool:
    """Whether a session is there twice, or, rarely, looks as if: by a number made of each id, which sort ten
    times as fast."""
    words = np.ascontiguousarray(sessions).view("<u8").reshape(-1, 2)
    mixed = words[:, 0] * MIXER  # the last digits are the highest octets: they are to reach the lowest
    mixed ^= mixed >> np.uint64(32)
    mixed = mixed * MIXER ^ words[:, 1]
    mixed.sort()
    return bool((mixed[1:] == mixed[:-1]).any())


def joined(parts: Sequence[Samples]) -> Samples:
    """Messages of one tick as one."""
    if len(parts) == 1:
        return parts[0]
    sessions = np.concatenate([part.sessions for part in parts])
    values = np.concatenate([part.values for part in parts])
    return Samples(parts[0].time_ns, sessions, values, parts[0].skipped)


def without(samples: Samples, known: np.ndarray) -> Samples:
    """The samples of other sessions than these."""
    return chosen(samples, ~np.isin(samples.sessions, known))


def chosen(samples: Samples, rows: np.ndarray) -> Samples:
    """Some rows."""
    return Samples(samples.time_ns, samples.sessions[rows], samples.values[rows], samples.skipped)
