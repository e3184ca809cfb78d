"""Accounting records that wait for their server: in order per session, bounded in number and age.

A session has at most three records here: its Start, the newest Interim-Update (a newer one replaces one
that was not sent yet) and its Stop. Only the first is in flight.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from bng.codec.radius import Attribute
from bng.session.effects import AccountKind


@dataclass(slots=True, eq=False)
class Record:
    """An accounting record on its way.

    Attributes:
        chain: the session's id; records of the same chain are delivered in order.
        kind: None for Accounting-On and -Off.
        time: when it happened, nanoseconds; what Acct-Delay-Time counts from.
        attributes: all but Acct-Delay-Time.
    """

    chain: str
    kind: AccountKind | None
    time: int
    attributes: tuple[Attribute, ...] = field(default=())


class Backlog:
    """Records that were not acknowledged yet.

    Attributes:
        lost: records given up: too many, or too old.
    """

    def __init__(self, max_records: int, max_age_ns: int) -> None:
        self.max_records = max_records
        self.max_age_ns = max_age_ns
        self.lost = 0
        self._chains: dict[str, deque[Record]] = {}
        self._ready: OrderedDict[str, None] = OrderedDict()  # chains whose first record may be sent
        self._flying: set[str] = set()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def flying(self) -> int:
        """Records in flight."""
        return len(self._flying)

    def add(self, record: Record) -> None:
        """Put a record at the end of its chain."""
        chain = self._chains.get(record.chain)
        if chain is None:
            chain = self._chains[record.chain] = deque()
            self._ready[record.chain] = None
        waiting_from = 1 if record.chain in self._flying else 0
        newest = chain[-1] if len(chain) > waiting_from else None
        if newest is not None and newest.kind is AccountKind.INTERIM:
            # overtaken by a newer interim, or by the stop, before it left
            chain[-1] = record
            return
        chain.append(record)
        self._count += 1
        if self._count > self.max_records:
            self._lose_oldest()

    def take(self, now: int) -> Record | None:
        """The next record to send; it is in flight then. Records that are too old are given up."""
        while self._ready:
            chain_id, _ = self._ready.popitem(last=False)
            chain = self._chains[chain_id]
            while chain and now - chain[0].time > self.max_age_ns:
                chain.popleft()
                self._count -= 1
                self.lost += 1
            if chain:
                self._flying.add(chain_id)
                return chain[0]
            del self._chains[chain_id]
        return None

    def delivered(self, record: Record) -> None:
        """A record in flight was acknowledged."""
        self._flying.discard(record.chain)
        chain = self._chains[record.chain]
        chain.popleft()
        self._count -= 1
        if chain:
            self._ready[record.chain] = None
            self._ready.move_to_end(record.chain, last=False)
        else:
            del self._chains[record.chain]

    def undelivered(self, record: Record) -> None:
        """A record in flight was not acknowledged by any server: it is tried again, first."""
        self._flying.discard(record.chain)
        self._ready[record.chain] = None
        self._ready.move_to_end(record.chain, last=False)

    def _lose_oldest(self) -> None:
        """Give up the first record of the chain that has waited longest and is not in flight."""
        chain_id = next(iter(self._ready), None)
        if chain_id is None:
            return  # all that is left is in flight, which is bounded by itself
        chain = self._chains[chain_id]
        chain.popleft()
        self._count -= 1
        self.lost += 1
        if not chain:
            del self._chains[chain_id]
            del self._ready[chain_id]
