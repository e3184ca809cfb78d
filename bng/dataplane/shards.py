"""Which class is whose, and the further HTBs that keep adding classes cheap.

Adding a class to an HTB costs time in proportion to the classes that it has (the kernel looks through them
for filters to bind): 0.1 ms at 1,000, 0.9 at 10,000, 13 at 60,000, with the lock of all network configuration
held. So one HTB holds a few thousand, and those of later slots are in HTBs of their own, *shards*, each in a
class of the root that has all the rate one could want.

One part of the cost is left: of interfaces whose driver has no offload for queueing (veth among them), the
kernel keeps the classes of all HTBs of the machine, in all namespaces, in one list (`flow_indir_dev_list` in
net/core/flow_offload.c), and looks through it whenever one comes or goes: all of it for a new one, from the
newest until it is found for one that goes. That is some 10 ns for each on the way. A network card with
`ndo_setup_tc` does not take part. Hence no large reserve in quiet times either, and `unmake`.

The layout:

    1: root ── 1:10 … classes of the first slots
            ├─ 1:ff01 ── 2: ── 2:10 … classes of the next
            └─ 1:ff02 ── 3: ── 3:10 …

The gate sets ``skb->priority`` to the class, whichever HTB that is in. The root finds its own classes by it
at once, as does a shard; but of a packet for a shard, the root must be told the way. That is the work of one
filter per interface that only sees packets without a class in the root: classic BPF, because this works
without privileges over the whole machine. It cannot see the priority, only the mark, which one nftables rule
derives from the priority. That rule comes with the first shard: who has none does not pay for it.

When an interface itself is congested, its shards and the classes of the first slots take turns, and a
session's priority counts among those of its shard.

A kernel without that filter has one HTB only (`FLAT`), as large as it may be.
"""

from __future__ import annotations

import errno
import socket
import struct
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import structlog

from bng.dataplane import nft, tc
from bng.dataplane.netlink import CREATE, EXCL, NETFILTER_SUBSYSTEM, Connection, Message, attribute, nested

log = structlog.get_logger(__name__)

FIRST_MINOR = 0x10
"""Minor of an HTB's first slot."""
_FIRST_SHARD_MINOR = 0xFF00
"""The class of shard n in the root is ``1:ff00 + n``."""
_LARGEST = 0xFFFF - FIRST_MINOR
"""Slots that one HTB can have."""
_SHARDS = 0xFF


def _majors() -> list[int]:
    """Majors of the root and of the shards. Some are in the kernel's hash where all the queues of classes
    are, which have no handle: looking one of them up would take as long as looking through those."""
    fit = [major for major in range(2, 2 * _SHARDS) if (major * 0x8647 & 0xFFFF) >> 12]
    return [1, *fit[:_SHARDS]]


_MAJORS = _majors()
_SHARD_OF_MAJOR = np.full(1 << 16, -1, np.int64)
_SHARD_OF_MAJOR[_MAJORS] = range(len(_MAJORS))
_SHARDS_BY_MAJOR = {major: shard for shard, major in enumerate(_MAJORS)}


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the classes of slots are. Shard 0 is the root itself.

    Attributes:
        first: slots in the root.
        size: slots in each shard.
        shards: how many there may be beside the root.
    """

    first: int
    size: int = 1
    shards: int = 0

    @property
    def end(self) -> int:
        """How many slots have a class."""
        return self.first + self.size * self.shards

    def shard_of(self, slot: int) -> int:
        """The shard that a slot's class is in."""
        return 0 if slot < self.first else 1 + (slot - self.first) // self.size

    def class_id(self, slot: int) -> int:
        """The class of a slot, ``major << 16 | minor``."""
        if slot < self.first:
            return tc.MAJOR | FIRST_MINOR + slot
        shard, place = divmod(slot - self.first, self.size)
        return _MAJORS[1 + shard] << 16 | FIRST_MINOR + place

    def slot_of(self, class_id: int) -> int:
        """The slot of a class; negative when it is none of ours."""
        shard, place = _SHARDS_BY_MAJOR.get(class_id >> 16, -1), (class_id & 0xFFFF) - FIRST_MINOR
        if shard == 0:
            return place if 0 <= place < self.first else -1
        if not 0 < shard <= self.shards or not 0 <= place < self.size:
            return -1
        return self.first + (shard - 1) * self.size + place

    def slots(self, class_ids: Any) -> Any:
        """The same for an array of them; int64."""
        ids = class_ids.astype(np.int64)
        shards, places = _SHARD_OF_MAJOR[ids >> 16], (ids & 0xFFFF) - FIRST_MINOR
        room = np.where(shards == 0, self.first, self.size)
        ours = (shards >= 0) & (shards <= self.shards) & (places >= 0) & (places < room)
        begin = np.where(shards == 0, 0, self.first + (shards - 1) * self.size)
        return np.where(ours, begin + places, -1)


SHARDED = Layout(6144, 2048, 61)
"""What is used where the kernel can. A packet through a shard costs 0.3 µs more than one through the root
alone, so the root is large; adding a class costs 90 ns for each that its HTB has, so it is not too large."""
FLAT = Layout(_LARGEST)
"""One HTB for all. It is also what versions before this one used everywhere."""


def slot_before(class_id: int) -> int:
    """The slot of a class in versions that had no shards; negative when it is none of theirs."""
    return FLAT.slot_of(class_id) if class_id & 0xFFFF < _FIRST_SHARD_MINOR else -1


def handle(shard: int) -> int:
    """Handle of a shard's HTB."""
    return _MAJORS[shard] << 16


def way_in(shard: int) -> int:
    """The class of the root that a shard is in."""
    return tc.MAJOR | _FIRST_SHARD_MINOR + shard


# The filter that finds the shard

_NEWTFILTER = 44
_PRIORITY = 1
_BPF_OPS_LEN, _BPF_OPS = 4, 5
_INSTRUCTION = struct.Struct("=HBBI")
_LOAD_WORD, _RETURN_A = 0x20, 0x16
_MARK = 0xFFFFF000 + 20
_ABSENT = (errno.ENOENT, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM)


def add_filter(connection: Connection, index: int) -> bool:
    """Have the root of an interface find the shard by the mark. False when this kernel cannot."""
    program = _INSTRUCTION.pack(_LOAD_WORD, 0, 0, _MARK) + _INSTRUCTION.pack(_RETURN_A, 0, 0, 0)
    options = attribute(_BPF_OPS_LEN, struct.pack("=H", len(program) // _INSTRUCTION.size))
    options += attribute(_BPF_OPS, program)
    protocol = socket.htons(0x0800)
    payload = tc.TCMSG.pack(0, index, 1, tc.MAJOR, _PRIORITY << 16 | protocol)
    payload += attribute(tc.TCA_KIND, b"bpf\0") + nested(tc.TCA_OPTIONS, options)
    code = connection.request([Message(_NEWTFILTER, CREATE | EXCL, payload)]).errors.get(0, 0)
    if code in _ABSENT:
        return False
    if code and code != errno.EEXIST:
        raise OSError(code, f"cannot add a filter: {errno.errorcode.get(code, code)}")
    return True


# The rule that gives it the mark

_TABLE = "aether_shards"
_GETTABLE = NETFILTER_SUBSYSTEM << 8 | 1
_RULES = """
table ip {table}
delete table ip {table}
table ip {table} {{
    chain forward {{
        type filter hook forward priority filter + 10; policy accept;
        meta mark set meta priority & ffff:0 map {{ {ways} }}
    }}
}}
"""


def marking(layout: Layout) -> str:
    """The ruleset that marks packets of classes in shards, for `nft -f`."""
    ways = (f"{_MAJORS[shard]:x}:0 : {way_in(shard):#x}" for shard in range(1, 1 + layout.shards))
    return _RULES.format(table=_TABLE, ways=", ".join(ways))


class Marking:
    """Puts the rule in place, once it is needed, and again when somebody removed it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_there = False

    @property
    def is_there(self) -> bool:
        """Whether it is in place, as far as we know."""
        return self._is_there

    def put(self, layout: Layout, *, again: bool = False) -> None:
        """Have it in place. Raises DataPlaneError."""
        with self._lock:
            if again or not self._is_there:
                nft.run(marking(layout))
                self._is_there = True

    def is_gone(self, connection: Connection) -> bool:
        """Whether somebody removed it."""
        query = struct.pack("=BBH", socket.AF_INET, 0, 0) + attribute(1, f"{_TABLE}\0".encode())
        return (
            self._is_there
            and connection.request([Message(_GETTABLE, 0, query)]).errors.get(0) == errno.ENOENT
        )

    def remove(self) -> None:
        """Take it away."""
        with self._lock:
            if self._is_there:
                nft.run(f"table ip {_TABLE}\ndelete table ip {_TABLE}\n")
                self._is_there = False


# The shards themselves

_WIDE = tc.Shape(8 * (1 << 37))
"""More than any interface carries: 1.1 Tbit/s."""
_TURN = 100 * tc.QUANTUM
"""What a shard sends in its turn on a link that is full, where a class sends one quantum: as much as a
hundred sessions."""


class Shardable(Protocol):
    """An interface, as `make` wants it."""

    @property
    def index(self) -> int: ...

    @property
    def layout(self) -> Layout: ...

    @property
    def shards(self) -> set[int]: ...

    @property
    def lock(self) -> threading.Lock: ...


def make(connection: Connection, port: Shardable, marking: Marking, slots: Iterable[int]) -> None:
    """See that there are HTBs for the classes of these slots. Cheap when there are. Raises OSError,
    DataPlaneError."""
    wanted = {port.layout.shard_of(slot) for slot in slots} - port.shards
    if not wanted:
        return
    with port.lock:
        for shard in sorted(wanted - port.shards):
            marking.put(port.layout)
            for request in (
                tc.shape_class(port.index, way_in(shard), _WIDE, quantum=_TURN),
                tc.htb(port.index, handle(shard), way_in(shard), EXCL),
            ):
                code = connection.request([request]).errors.get(0, 0)
                if code not in (0, errno.EEXIST):
                    raise OSError(code, f"cannot make shard {shard}: {errno.errorcode.get(code, code)}")
            port.shards.add(shard)
            log.info("dataplane.shard-made", index=port.index, shard=shard)


def unmake(connection: Connection, ports: Sequence[Shardable]) -> None:
    """Take the shards of interfaces away, before these lose their roots: those that came last first, as the
    kernel looks for these first. A root that goes with its shards in it has the oldest go first, which takes
    1.5 s for 20,000 classes, four times as long for twice as many, and the lock is held all the time."""
    for shard in sorted(set[int]().union(*(port.shards for port in ports)) - {0}, reverse=True):
        for port in ports:
            if shard in port.shards:
                connection.request([tc.no_htb(port.index, handle(shard), way_in(shard))])
                port.shards.discard(shard)


def present(connection: Connection, index: int, layout: Layout) -> set[int]:
    """The shards that an interface has; its root is one."""
    candidates = list(range(1, 1 + layout.shards))
    errors = connection.request([tc.read_qdisc(index, handle(shard)) for shard in candidates]).errors
    return {0} | {shard for at, shard in enumerate(candidates) if at not in errors}


def whole(connection: Connection, index: int, shards: Iterable[int]) -> bool:
    """Whether the shards of an interface are still there."""
    return not connection.request([tc.read_qdisc(index, handle(shard)) for shard in shards if shard]).errors
