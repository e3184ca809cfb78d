"""State of sessions: the read model with its counters, the summary, and who uses a profile."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from bng.northbound.changes import ChangeLog
from bng.northbound.container import ContainerProvider
from bng.northbound.records import Counters, Event, SessionRecord
from bng.seam.matrix import GENERATION, TOTALS, MatrixReader, Rows
from yang.provider import Change, Columns, Keys

_LEAVES = tuple(
    ("counters", name)
    for name in (
        "in-octets",
        "out-octets",
        "in-packets",
        "out-packets",
        "in-discards",
        "out-discards",
        "tick",
    )
)


class _MatrixCounters:
    """Counters of one slot as of the last sweep."""

    def __init__(self, matrix: MatrixReader) -> None:
        self._matrix = matrix
        self._held: tuple[int, int, Rows] | None = None

    def held(self, records: Iterable[SessionRecord]) -> Iterator[SessionRecord]:
        """Records to be read one after the other: the matrix is looked at once for all that are read before
        the event loop has its next turn, and not for each."""
        for record in records:
            if self._held is None:
                self._hold()
            yield record

    def _hold(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # nobody would release it
            return
        self._held = self._matrix.snapshot()
        loop.call_soon(self._release)

    def _release(self) -> None:
        self._held = None

    def of(self, slot: int, generation: int) -> Counters:
        tick, _, rows = self._held or self._matrix.snapshot()
        if 0 <= slot < len(rows):
            row = rows[slot, :7].tolist()
            if row[GENERATION] == generation:
                return Counters(row[1:], tick)
        return Counters([0] * 6, tick)


class SessionsProvider:
    """``/aether-subscriber:sessions/session``: a StateProvider that is watchable and has columns."""

    path = "/aether-subscriber:sessions/session"

    def __init__(self, matrix: MatrixReader) -> None:
        self._matrix = matrix
        self._counters = _MatrixCounters(matrix)
        self._records: dict[str, SessionRecord] = {}
        self._log = ChangeLog()
        self._gone: dict[str, int] = {}
        self._membership = 0
        self._columns_of: tuple[int, list[Keys], Any, Any] = (-1, [], None, None)
        self.by_status: Counter[str] = Counter()
        self.by_profile: Counter[str] = Counter()
        self.by_router: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._records)

    def reset(self, events: Iterable[Event]) -> None:
        """Take the whole read model in: the last event of each session."""
        self._records = {event["session-id"]: SessionRecord(event, self._counters) for event in events}
        for counter in (self.by_status, self.by_profile, self.by_router):
            counter.clear()
        for record in self._records.values():
            self._count(record)
        self._membership += 1
        self._log.note_all()

    def put(self, event: Event) -> None:
        """A session is now as this event says."""
        record = SessionRecord(event, self._counters)
        self._forget(self._records.get(record.id))
        if record.id not in self._records:
            self._membership += 1
        self._records[record.id] = record
        self._count(record)
        self._gone.pop(record.id, None)
        self._log.note((record.id,))

    def remove(self, session_id: str, time_ns: int) -> None:
        """A session ended."""
        record = self._records.pop(session_id, None)
        if record is not None:
            self._forget(record)
            self._membership += 1
            self._remember_end(session_id, time_ns)
            self._log.note((session_id,))

    def _count(self, record: SessionRecord) -> None:
        for counter, key in self._counted(record):
            counter[key] += 1

    def _forget(self, record: SessionRecord | None) -> None:
        if record is not None:
            for counter, key in self._counted(record):
                counter[key] -= 1
                if not counter[key]:
                    del counter[key]

    def _counted(self, record: SessionRecord) -> Iterator[tuple[Counter[str], str]]:
        """The counters that a session is in, and under which name."""
        yield self.by_status, record.status
        if record.profile:
            yield self.by_profile, record.profile
        if record.access_line.remote_id:
            yield self.by_router, record.access_line.remote_id

    def _remember_end(self, session_id: str, time_ns: int) -> None:
        if len(self._gone) > 100_000:
            self._gone.clear()
        self._gone[session_id] = time_ns

    # StateProvider

    def get(self, keys: Keys) -> SessionRecord | None:
        return self._records.get(keys[0])

    def iter(self) -> Iterator[SessionRecord]:
        """All sessions in the order of their ids' appearance. A copy: the caller may pause in between."""
        return self._counters.held(list(self._records.values()))

    # ColumnProvider

    def columns(self) -> Columns:
        """The counters of all sessions as of the last tick."""
        tick, time_ns, rows = self._matrix.snapshot()
        membership, keys, slots, generations = self._columns_of
        if membership != self._membership:
            records = list(self._records.values())
            keys = [(record.id,) for record in records]
            slots = np.array([record.slot for record in records], np.int64)
            generations = np.array([record.generation for record in records], np.uint64)
            membership = self._membership
            self._columns_of = membership, keys, slots, generations
        values = np.zeros((len(keys), len(_LEAVES)), np.uint64)
        if len(keys) and len(rows):
            there = (slots >= 0) & (slots < len(rows))
            chosen = rows[np.where(there, slots, 0)]
            there &= chosen[:, GENERATION] == generations
            values[:, :6] = np.where(there[:, None], chosen[:, TOTALS], 0)
        values[:, 6] = tick
        # before the first sweep there is no time of one: these zeros are of now, not of 1970
        return Columns(keys, _LEAVES, values, membership, tick, time_ns or time.time_ns())

    # WatchableProvider

    @property
    def version(self) -> int:
        return self._log.version

    def changes(self, since: int) -> Sequence[Change] | None:
        changed = self._log.since(since)
        return None if changed is None else [self._change(keys) for keys in changed]

    def _change(self, keys: Keys) -> Change:
        record = self._records.get(keys[0])
        if record is None:
            return Change(keys, None, self._gone.get(keys[0], 0))
        return Change(keys, record, record.time_ns)


class StatusCount(NamedTuple):
    """aether-subscriber:summary/by-status."""

    status: str
    sessions: int


class RouterCount(NamedTuple):
    """aether-subscriber:summary/by-access-router."""

    remote_id: str
    sessions: int


class ProfileCount(NamedTuple):
    """aether-subscriber:summary/by-profile."""

    profile: str
    sessions: int


class Failure(NamedTuple):
    """aether-subscriber:summary/failure."""

    cause: str
    occurrences: int


class Summary(NamedTuple):
    """aether-subscriber:summary."""

    total: int
    by_status: list[StatusCount]
    by_access_router: list[RouterCount]
    by_profile: list[ProfileCount]
    started_total: int
    rejected_total: int
    setup_rate: int | None
    failure: list[Failure]


class SummaryProvider(ContainerProvider):
    """``/aether-subscriber:summary``.

    Attributes:
        started, rejected: since the control plane started.
    """

    path = "/aether-subscriber:summary"

    def __init__(self, sessions: SessionsProvider) -> None:
        self.started = self.rejected = 0
        self._sessions = sessions
        self._setup_rate: int | None = None
        self._failures: list[Failure] = []

    def counted(self, setup_rate: int | None, failures: Mapping[str, int]) -> None:
        """What control counted: sessions per second over the last period, failures by cause."""
        self._setup_rate = setup_rate
        self._failures = [Failure(*item) for item in sorted(failures.items())]

    def record(self) -> Summary:
        sessions = self._sessions
        return Summary(
            len(sessions),
            [StatusCount(*item) for item in sorted(sessions.by_status.items())],
            [RouterCount(*item) for item in sorted(sessions.by_router.items())],
            [ProfileCount(*item) for item in sorted(sessions.by_profile.items())],
            self.started,
            self.rejected,
            self._setup_rate,
            self._failures,
        )


class ProfileUse(NamedTuple):
    """State of a shaping profile."""

    name: str
    sessions_using: int


class ProfilesProvider:
    """State of ``/aether-shaping:shaping-profiles/profile``: how many sessions it shapes."""

    path = "/aether-shaping:shaping-profiles/profile"

    def __init__(self, sessions: SessionsProvider) -> None:
        self._sessions = sessions

    def get(self, keys: Keys) -> ProfileUse:
        return ProfileUse(keys[0], self._sessions.by_profile.get(keys[0], 0))

    def iter(self) -> list[ProfileUse]:
        return [ProfileUse(*item) for item in self._sessions.by_profile.items()]
