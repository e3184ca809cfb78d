"""How collectors divide the targets between them. No I/O but a clock.

All collectors see the same in PostgreSQL and decide alike, each for itself: of the targets that nobody holds
each one takes those that fall to it, and who holds more than its share hands some over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

MOST_AT_ONCE = 32
"""Targets that are handed over in one turn: to end and to begin their sessions is work for both sides."""

GIVE_UP = 30.0
"""Seconds without a connection after which another collector shall try."""
REST = 1800.0
"""Seconds until a collector tries again what it gave up."""


@dataclass(frozen=True, slots=True)
class Collector:
    """A collector that is alive.

    Attributes:
        held: number of targets that it holds the lease of.
        wants: the targets that it is configured with.
        settled: whether it has been alive for long enough to be given what another one holds. One that dies
            again and again never is.
    """

    held: int
    wants: Collection[str]
    settled: bool = True


def share(targets: int, collectors: int) -> int:
    """The most targets that a collector has when all have a fair share: targets / collectors, rounded up."""
    return -(-targets // max(1, collectors))


def assign(free: Sequence[str], alive: Mapping[str, Collector]) -> dict[str, str]:
    """Target → collector that is to take it: each in turn goes to the one that holds the fewest of those that
    are configured with it. Those that are not settled get what no settled one is configured with."""
    counts = {owner: collector.held for owner, collector in alive.items()}
    found = {}
    for name in sorted(free):
        able = [owner for owner, collector in alive.items() if name in collector.wants]
        able = [owner for owner in able if alive[owner].settled] or able
        if able:
            found[name] = min(able, key=lambda owner: (counts[owner], owner))
            counts[found[name]] += 1
    return found


def surplus(me: str, held: Collection[str], free: Sequence[str], alive: Mapping[str, Collector]) -> list[str]:
    """Which of my targets I hand over, MOST_AT_ONCE at most.

    Nothing while nobody would be better off: another one that is configured with a target must have two less
    than I, counting what is free and falls to it, and I must have more than my share.
    """
    if me not in alive:
        return []
    counts = {owner: collector.held for owner, collector in alive.items()}
    counts[me] = len(held)
    for owner in assign(free, alive).values():
        counts[owner] += 1
    settled = [owner for owner, collector in alive.items() if collector.settled and owner != me]
    most = share(sum(counts.values()), len(settled) + 1)
    given: list[str] = []
    for name in sorted(held, reverse=True):
        able = [owner for owner in settled if name in alive[owner].wants]
        if counts[me] <= most or len(given) == MOST_AT_ONCE:
            break
        least = min(able, key=lambda owner: (counts[owner], owner), default=None)
        if least is not None and counts[least] + 1 < counts[me]:
            counts[least] += 1
            counts[me] -= 1
            given.append(name)
    return given


class Turn:
    """What one collector decides again and again.

    Args:
        me: its name.
        patience: seconds that a target may stay free that falls to another one; then this one takes it.
        clock: seconds.
    """

    def __init__(self, me: str, patience: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._me, self._patience, self._clock = me, patience, clock
        self._free_since: dict[str, float] = {}

    def mine(self, free: Sequence[str], alive: Mapping[str, Collector]) -> list[str]:
        """Which of the free targets I take."""
        now = self._clock()
        self._free_since = {name: self._free_since.get(name, now) for name in free}
        to = assign(free, alive)
        return [
            name
            for name in free
            if to.get(name, self._me) == self._me or now - self._free_since[name] > self._patience
        ]

    def surplus(
        self, held: Collection[str], free: Sequence[str], alive: Mapping[str, Collector]
    ) -> list[str]:
        """Which of my targets I hand over."""
        return surplus(self._me, held, free, alive)


class Reach:
    """Which targets this collector cannot reach and another one may: they are given up, and not wanted again
    for a while; then one failure is enough. One that nobody reaches stays with whoever tried last, and
    changes hands once in a REST.

    Args:
        me: its name.
        clock: seconds.
    """

    def __init__(self, me: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._me, self._clock = me, clock
        self._until: dict[str, float] = {}

    def wanted(self, targets: Collection[str]) -> list[str]:
        """The targets without those that were given up a short while ago."""
        now = self._clock()
        self._until = {name: until for name, until in self._until.items() if name in targets}
        return [name for name in targets if self._until.get(name, now) <= now]

    def given_up(self, silent: Mapping[str, float], alive: Mapping[str, Collector]) -> list[str]:
        """Which of my targets another one shall try, MOST_AT_ONCE at most. `silent`: since when each that I
        hold cannot be reached, by the clock."""
        now = self._clock()
        others = [one for owner, one in alive.items() if owner != self._me and one.settled]
        given = [
            name
            for name, since in sorted(silent.items())
            if (now - since > GIVE_UP or name in self._until) and any(name in one.wants for one in others)
        ][:MOST_AT_ONCE]
        self._until.update(dict.fromkeys(given, now + REST))
        return given
