"""Accounting records that wait for their server: in order per session, bounded in memory and age.

A *window* of records is in memory; what comes behind it, the *tail*, is on the disk only (`bng.aaa.spool`),
or in memory as well while the disk refuses it. A session has at most its Start, one Interim-Update that
waits (a newer one, or the Stop, replaces it) and its Stop; only the first of them is in flight.

Accounting-On and -Off speak of all sessions, so they are barriers: what came before is delivered first,
and nothing that came after leaves before they are.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from bng.codec.radius import Attribute
from bng.session.effects import Account, AccountKind

_AT_ONCE = 128
"""Records read from the disk in one go: some milliseconds."""


class Place(NamedTuple):
    """Where a record is on the disk."""

    segment: int
    number: int


@dataclass(slots=True, eq=False)
class Record:
    """An accounting record on its way.

    Attributes:
        chain: the session's id; records of the same chain are delivered in order. Empty for a barrier.
        kind: None for Accounting-On and -Off.
        time: when it happened, nanoseconds; what Acct-Delay-Time counts from.
        attributes: all but Acct-Delay-Time; of an Interim-Update written when it leaves.
        place: where it is kept; None for an Interim-Update, or while the disk refuses it.
        account: of an Interim-Update.
        given: journal event that it follows from, 0 for none.
    """

    chain: str
    kind: AccountKind | None
    time: int
    attributes: tuple[Attribute, ...] = field(default=())
    place: Place | None = None
    account: Account | None = None
    given: int = 0


class Store(Protocol):
    """Where records are kept; see `bng.aaa.spool.Spool`."""

    unread: int

    def append(self, record: Record, given: int, *, direct: bool) -> Place | None: ...

    def done(self, place: Place) -> None: ...

    def read(self, limit: int) -> list[Record]: ...

    def keep_interim(self, account: Account) -> None: ...

    def drop_interim(self, account: Account) -> None: ...


class Backlog:
    """Records that were not acknowledged yet.

    Args:
        window: records in memory, while the others are kept elsewhere.
        max_records: records in memory that are kept nowhere else; beyond it the oldest is lost.
        max_age_ns: what is older is given up.
        store: where records are kept; without it they are in memory only.

    Attributes:
        lost: records given up: too old, or too many without a disk.
    """

    def __init__(self, window: int, max_records: int, max_age_ns: int, store: Store | None = None) -> None:
        self.window = window
        self.max_records = max_records
        self.max_age_ns = max_age_ns
        self.lost = 0
        self.store = store
        self._chains: dict[str, deque[Record]] = {}
        # chains whose first record may be sent; those that hold an Interim-Update only go last
        self._ready: OrderedDict[str, None] = OrderedDict()
        self._ready_interims: OrderedDict[str, None] = OrderedDict()
        self._flying: set[str] = set()
        self._count = 0  # in the window, without interims
        self._interims = 0  # in chains
        self._barrier: Record | None = None
        self._behind: deque[Record] = deque()  # in the window, behind the barrier
        self._overflow: deque[Record] = deque()  # end of the tail, which the disk refused
        self._parked: dict[str, Record] = {}  # interims of sessions whose Start may be in the tail
        self._loose = 0  # in the window and not on the disk

    def __len__(self) -> int:
        return self._count + self._interims + self._unread + len(self._overflow) + len(self._parked)

    @property
    def _unread(self) -> int:
        return self.store.unread if self.store is not None else 0

    @property
    def flying(self) -> int:
        """Records in flight."""
        return len(self._flying)

    @property
    def unplaced(self) -> int:
        """Records that are to be on the disk and are not."""
        return self._loose + len(self._overflow)

    def add(self, record: Record) -> None:
        """Put a record at the end of its chain."""
        if record.kind is AccountKind.INTERIM:
            self._add_interim(record)
            return
        if record.kind is AccountKind.STOP:
            self._supersede(record.chain)
        self.retry()
        direct = not self._unread and not self._overflow and self._count < self.window
        placed = not self._overflow and self._place(record, direct=direct)
        if direct:
            self._admit(record)
        elif not placed:
            self._overflow.append(record)
            if len(self._overflow) > self.max_records:
                self._overflow.popleft()
                self.lost += 1

    def restore(self, record: Record) -> None:
        """Take in an Interim-Update that is kept since an earlier life."""
        self._add_interim(record, keep=False)

    def take(self, now: int) -> Record | None:
        """The next record to send; it is in flight then. Records that are too old are given up."""
        self._refill()
        while self._ready or self._ready_interims:
            chain_id, _ = (self._ready or self._ready_interims).popitem(last=False)
            chain = self._chains[chain_id]
            while chain and now - chain[0].time > self.max_age_ns:
                self._lose(chain)
            if chain:
                self._flying.add(chain_id)
                return chain[0]
            del self._chains[chain_id]
            self._refill()
        return self._take_barrier(now)

    def _take_barrier(self, now: int) -> Record | None:
        barrier = self._barrier
        if barrier is None or self._chains or "" in self._flying:
            return None
        if now - barrier.time > self.max_age_ns:
            self.lost += 1
            self._settle(barrier)
            self._pass_barrier()
            return self.take(now)
        self._flying.add("")
        return barrier

    def delivered(self, record: Record) -> None:
        """A record in flight was acknowledged."""
        self._flying.discard(record.chain)
        if record.kind is None:
            self._settle(record)
            self._pass_barrier()
            return
        chain = self._chains[record.chain]
        self._remove_first(chain)
        if chain:
            self._make_ready(record.chain, first=True)
        else:
            del self._chains[record.chain]
        self._refill()

    def undelivered(self, record: Record) -> None:
        """A record in flight was not acknowledged by any server: it is tried again, first."""
        self._flying.discard(record.chain)
        if record.kind is not None:
            self._make_ready(record.chain, first=True)

    def retry(self) -> None:
        """Put on the disk what it refused before."""
        while self._overflow and self._place(self._overflow[0], direct=False):
            self._overflow.popleft()

    # interims

    def _add_interim(self, record: Record, *, keep: bool = True) -> None:
        assert record.account is not None
        if keep and self.store is not None:
            self.store.keep_interim(record.account)
        self._parked.pop(record.chain, None)
        chain = self._chains.get(record.chain)
        if chain is not None and _interim_waits(chain, record.chain in self._flying):
            chain[-1] = record
        elif chain is None and (self._unread or self._overflow or self._barrier is not None):
            self._parked[record.chain] = record
        else:
            self._append(record)

    def _supersede(self, chain_id: str) -> None:
        """A Stop says all that an Interim-Update that has not left could say."""
        dropped = self._parked.pop(chain_id, None)
        chain = self._chains.get(chain_id)
        if chain is not None and _interim_waits(chain, chain_id in self._flying):
            dropped = chain.pop()
            self._interims -= 1
            if not chain:
                del self._chains[chain_id]
                self._ready_interims.pop(chain_id, None)
        if dropped is not None:
            self._drop_interim(dropped)

    def _drop_interim(self, record: Record) -> None:
        if self.store is not None:
            assert record.account is not None
            self.store.drop_interim(record.account)

    # the window and the tail

    def _place(self, record: Record, *, direct: bool) -> bool:
        """Put a record on the disk; whether it is there. What is noted with it must not pass over an
        earlier record that the disk does not have."""
        if self.store is not None:
            record.place = self.store.append(record, 0 if self._loose else record.given, direct=direct)
        return record.place is not None

    def _refill(self) -> None:
        store = self.store
        if self._count <= self.window // 2:
            if store is not None and store.unread:
                for record in store.read(min(_AT_ONCE, self.window - self._count)):
                    self._admit(record)
            while self._count < self.window and self._overflow and not self._unread:
                self._admit(self._overflow.popleft())
        if self._parked and not self._unread and not self._overflow and self._barrier is None:
            while self._parked and self._interims < self.window:
                self._append(self._parked.pop(next(iter(self._parked))))

    def _admit(self, record: Record) -> None:
        """Into the window, in order."""
        self._loose += self.store is not None and record.place is None
        self._count += 1
        self._line_up(record)

    def _line_up(self, record: Record) -> None:
        if self._barrier is not None:
            self._behind.append(record)
        elif record.kind is None:
            self._barrier = record
        else:
            self._append(record)

    def _append(self, record: Record) -> None:
        """To the end of its chain."""
        self._interims += record.kind is AccountKind.INTERIM
        chain = self._chains.setdefault(record.chain, deque())
        chain.append(record)
        if record.chain not in self._flying:
            self._make_ready(record.chain)

    def _make_ready(self, chain_id: str, *, first: bool = False) -> None:
        chain = self._chains[chain_id]
        last = len(chain) == 1 and chain[0].kind is AccountKind.INTERIM
        queue, other = (self._ready, self._ready_interims)[:: -1 if last else 1]
        other.pop(chain_id, None)
        queue[chain_id] = None
        if first:
            queue.move_to_end(chain_id, last=False)

    def _pass_barrier(self) -> None:
        self._barrier = None
        self._count -= 1
        behind, self._behind = self._behind, deque()
        for record in behind:
            self._line_up(record)
        self._refill()

    # the end of a record

    def _remove_first(self, chain: deque[Record]) -> None:
        record = chain.popleft()
        if record.kind is not AccountKind.INTERIM:
            self._count -= 1
            self._settle(record)
            return
        self._interims -= 1
        if not any(other.kind is AccountKind.INTERIM for other in chain):
            self._drop_interim(record)

    def _lose(self, chain: deque[Record]) -> None:
        self.lost += 1
        self._remove_first(chain)

    def _settle(self, record: Record) -> None:
        if self.store is None:
            return
        if record.place is not None:
            self.store.done(record.place)
        else:
            self._loose -= 1


def _interim_waits(chain: deque[Record], flying: bool) -> bool:
    """Whether the last of a chain is an Interim-Update that has not left."""
    return len(chain) > flying and chain[-1].kind is AccountKind.INTERIM
