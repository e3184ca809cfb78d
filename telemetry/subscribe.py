"""When each subscription is due, and what happens when its reader is slow: no clock, no I/O.

All times are nanoseconds of a monotonic clock that the caller reads. Nothing here grows with a slow
reader: a sample that waits is replaced by the newer one, changes coalesce per key, a log is a position.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from telemetry.protocol import gnmi_pb2 as pb

SECOND = 1_000_000_000

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


class Mode(Enum):
    """How a subscription of a stream is fed; what TARGET_DEFINED means is decided per part of the tree."""

    SAMPLE = "sample"
    ON_CHANGE = "on-change"
    TARGET_DEFINED = "target-defined"


class TermsError(ValueError):
    """Terms that this target cannot keep. Its text is for the client."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a subscriber asked for, checked and with the target's choices filled in.

    Attributes:
        interval: between samples, nanoseconds.
        heartbeat: everything is sent at least this often, nanoseconds; 0 is never.
        suppress_redundant: a sample leaves out what it was at the sample before.
    """

    mode: Mode
    interval: int
    heartbeat: int = 0
    suppress_redundant: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """What the target can do.

    Attributes:
        fastest: the smallest interval, of samples and heartbeats; what sample_interval 0 means.
        chosen: interval of samples where the client leaves the mode to the target.
        slowest: the largest interval.
    """

    fastest: int = SECOND
    chosen: int = 10 * SECOND
    slowest: int = 24 * 3600 * SECOND


def terms(asked: pb.Subscription, limits: Limits) -> Terms:
    """Check the terms of one subscription of a stream. Raises TermsError."""
    modes = {pb.SAMPLE: Mode.SAMPLE, pb.ON_CHANGE: Mode.ON_CHANGE, pb.TARGET_DEFINED: Mode.TARGET_DEFINED}
    mode = modes.get(asked.mode)
    if mode is None:
        raise TermsError(f"subscription mode {asked.mode} does not exist")
    if mode is Mode.TARGET_DEFINED and asked.sample_interval:
        raise TermsError("the target chooses the interval of TARGET_DEFINED: leave sample_interval out")
    default = limits.chosen if mode is Mode.TARGET_DEFINED else limits.fastest
    interval = asked.sample_interval or default
    heartbeat = asked.heartbeat_interval
    _check_interval("sample_interval", interval, limits)
    if heartbeat:
        _check_interval("heartbeat_interval", heartbeat, limits)
    suppress = asked.suppress_redundant and mode is not Mode.ON_CHANGE
    return Terms(mode, interval, heartbeat, suppress)


def _check_interval(name: str, interval: int, limits: Limits) -> None:
    if not limits.fastest <= interval <= limits.slowest:
        raise TermsError(
            f"{name} is {interval} ns; this target keeps intervals from {limits.fastest} ns "
            f"to {limits.slowest} ns"
        )


class Timer:
    """Due at multiples of an interval, so that equal intervals are due together.

    A caller that is late is due once, not once for each time that it missed.
    """

    __slots__ = ("_due", "_phase", "interval")

    def __init__(self, interval: int, now: int, phase: int = 0) -> None:
        self.interval = interval
        self._phase = phase
        self._due = self._after(now)

    @property
    def due_at(self) -> int:
        """When it is due next."""
        return self._due

    def expired(self, now: int) -> bool:
        """True when it is due; it is then set for the next time."""
        if now < self._due:
            return False
        self._due = self._after(now)
        return True

    def shift(self, by: int) -> None:
        """From now on be due so much later, or earlier, than at multiples of the interval."""
        self._phase += by
        self._due += by

    def _after(self, now: int) -> int:
        return ((now - self._phase) // self.interval + 1) * self.interval + self._phase


class Group(Generic[K, T]):
    """Subscribers that get the same sample at the same time. Keeps the order in which they came."""

    def __init__(self, key: K, interval: int, now: int, phase: int = 0) -> None:
        self.key = key
        self.timer = Timer(interval, now, phase)
        self.members: dict[T, None] = {}


class Wheel(Generic[K, T]):
    """The sampling wheel: subscribers with equal keys share a group, and a group is due once."""

    def __init__(self) -> None:
        self.groups: dict[K, Group[K, T]] = {}
        self._phases: dict[int, int] = {}

    def join(self, key: K, interval: int, member: T, now: int) -> Group[K, T]:
        """Add a subscriber; the key holds all that makes samples differ, the interval among it."""
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = Group(key, interval, now, self._phases.get(interval, 0))
        group.members[member] = None
        return group

    def leave(self, key: K, member: T) -> None:
        """Take a subscriber out; a group without subscribers ends. Safe to call twice."""
        group = self.groups.get(key)
        if group is None:
            return
        group.members.pop(member, None)
        if not group.members:
            del self.groups[key]
            interval = group.timer.interval
            if not any(other.timer.interval == interval for other in self.groups.values()):
                self._phases.pop(interval, None)

    def shift(self, interval: int, by: int) -> None:
        """Move all groups of an interval, also those to come: they stay due together."""
        self._phases[interval] = self._phases.get(interval, 0) + by
        for group in self.groups.values():
            if group.timer.interval == interval:
                group.timer.shift(by)

    def due(self, now: int) -> list[Group[K, T]]:
        """The groups whose time has come."""
        return [group for group in self.groups.values() if group.timer.expired(now)]

    def next_due(self) -> int | None:
        """When `due` will next have something, or None while there is no subscriber."""
        return min((group.timer.due_at for group in self.groups.values()), default=None)


class Mailbox(Generic[T]):
    """Holds one thing for a reader; a newer one takes its place, and how often that happened is kept."""

    __slots__ = ("_duplicates", "_item")

    def __init__(self) -> None:
        self._item: T | None = None
        self._duplicates = 0

    def __bool__(self) -> bool:
        return self._item is not None

    def put(self, item: T) -> None:
        """Leave something for the reader."""
        if self._item is not None:
            self._duplicates += 1
        self._item = item

    def take(self) -> tuple[T, int]:
        """The newest item, and how many before it were not read. Raises LookupError when there is none."""
        if self._item is None:
            raise LookupError("the mailbox is empty")
        taken, self._item = (self._item, self._duplicates), None
        self._duplicates = 0
        return taken


@dataclass(frozen=True, slots=True)
class History:
    """What the History extension asks for; times are nanoseconds since the epoch.

    Attributes:
        start: of a range; of a snapshot, its time.
        end: the first time that is not of it; 0: it goes on.
        snapshot: what there was at `start`, else what happened from then on.
    """

    start: int
    end: int = 0
    snapshot: bool = False


class Lost(LookupError):
    """Entries of a log that a reader asked for are no longer retained.

    Args:
        name: of the number of an entry.
    """

    def __init__(self, oldest: int, name: str = "oldest-seq") -> None:
        super().__init__(f"{name}={oldest}")
        self.oldest = oldest


@dataclass(slots=True)
class Cursor:
    """A position in a log.

    Attributes:
        next: number of the entry to be read next.
        until: time at which reading ends (excluded), nanoseconds since the epoch; 0 is never.
        ended: the entry at `until` has been reached.
    """

    next: int
    until: int = 0
    ended: bool = False

    def pending(self, newest: int) -> bool:
        """True when there is something to read."""
        return not self.ended and self.next <= newest

    def check(self, oldest: int) -> None:
        """Raises Lost when the next entry is no longer retained."""
        if self.next < oldest:
            raise Lost(oldest)

    def accept(self, batch: Iterable[tuple[int, T]], advance: Callable[[T], int]) -> list[tuple[int, T]]:
        """Of (time, entry) pairs in order, those before `until`; moves on behind them.

        `advance` gives the number of an entry.
        """
        taken: list[tuple[int, T]] = []
        for time_ns, entry in batch:
            if self.until and time_ns >= self.until:
                self.ended = True
                break
            self.next = advance(entry) + 1
            taken.append((time_ns, entry))
        return taken
