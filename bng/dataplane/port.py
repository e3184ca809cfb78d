"""An interface as the data plane uses it: in its group, with HTB at its root and classes of slots."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from bng.dataplane import link, shards, sysctl, tc
from bng.dataplane.base import MAX_SLOTS, DataPlaneError, Rates
from bng.dataplane.classstats import ClassTable, merge, parse_classes
from bng.dataplane.netlink import Connection, Message
from bng.dataplane.shards import Layout, Marking

QUEUE_LENGTH = 128
"""Packets that a class holds at most (its queue takes txqueuelen as its bound when it is made)."""

_PROBE_CLASS = tc.MAJOR | 1
"""A class that no slot has."""
_TICK_NS = 64


@dataclass(slots=True)
class Port:
    """An interface that has been set up.

    Attributes:
        name, index: of the interface.
        carrier_changes: of the interface when its neighbours were last set: one that went down has none.
        layout: where the classes of slots are.
        shards: those that exist; the root is one. `lock` is held while another one is made.
        made: per slot, 1 when its class exists.
    """

    name: str
    index: int
    layout: Layout
    carrier_changes: int = 0
    shards: set[int] = field(default_factory=lambda: {0})
    lock: threading.Lock = field(default_factory=threading.Lock)
    made: bytearray = field(default_factory=lambda: bytearray(MAX_SLOTS))

    def note(self, slots: Iterable[int]) -> None:
        """These classes exist."""
        for slot in slots:
            self.made[slot] = 1

    def dump(self, connection: Connection) -> Iterator[ClassTable]:
        """All classes, shard by shard: one dump of all would search through all for every part of it."""
        for shard in sorted(self.shards):
            yield parse_classes(
                connection.dump(tc.GETCLASS, tc.all_classes(self.index, shards.handle(shard)))
            )

    def lacking(self, end: int, limit: int) -> list[int]:
        """The first slots below `end` whose classes do not exist."""
        slots: list[int] = []
        at = self.made.find(0, 0, end)
        while at >= 0 and len(slots) < limit:
            slots.append(at)
            at = self.made.find(0, at + 1, end)
        return slots


def attach(
    connection: Connection, name: str, group: int, layout: Layout | None, warnings: list[str]
) -> tuple[Port, ClassTable] | None:
    """Set an interface up, or find it so. Its classes as they are; None when it does not exist.

    Args:
        layout: None for the best that this kernel can.
    """
    found = link.find(connection, name)
    if found is None:
        return None
    if not found.ethernet:
        raise DataPlaneError(f"interface {name} carries no Ethernet frames")
    if (found.group, found.queue_length) != (group, QUEUE_LENGTH):
        link.set_group(connection, found, group, QUEUE_LENGTH)
    sysctl.prepare_interface(name, warnings)
    if not tc.has_root(connection, found.index):
        try:
            connection.one(tc.root(found.index))
        except OSError as fault:
            if fault.errno == errno.ENOENT:
                raise DataPlaneError("this kernel has no HTB (CONFIG_NET_SCH_HTB)") from fault
            raise
    port = Port(name, found.index, _layout(connection, found.index, layout, warnings), found.carrier_changes)
    port.shards |= shards.present(connection, found.index, port.layout)
    table = merge(list(port.dump(connection)))
    port.note(slot for slot in port.layout.slots(table.classes).tolist() if slot >= 0)
    return port, table


def _layout(connection: Connection, index: int, wanted: Layout | None, warnings: list[str]) -> Layout:
    """The layout that is to be, with what it needs on this interface."""
    layout = wanted or shards.SHARDED
    if layout.shards == 0 or shards.add_filter(connection, index):
        return layout
    if wanted is not None:
        raise DataPlaneError("this kernel has no filter that finds a shard (CONFIG_NET_CLS_BPF)")
    warnings.append(
        "this kernel has no classic BPF filter (CONFIG_NET_CLS_BPF): all sessions are in one HTB per "
        f"interface, starting one takes longer the more there are, and there are {shards.FLAT.end} at most"
    )
    return shards.FLAT


def detach(connection: Connection, ports: Iterable[Port]) -> None:
    """Take interfaces out of their group and their classes away, as far as they are still there."""
    left = []
    for port in ports:
        found = link.find(connection, port.name)
        if found is not None and found.index == port.index:
            link.set_group(connection, found, 0, found.queue_length)
            left.append(port)
    shards.unmake(connection, left)
    for port in left:
        if tc.has_root(connection, port.index):
            connection.one(tc.no_root(port.index))


def check(connection: Connection, port: Port) -> tuple[bool, bool]:
    """Whether the interface is still the one that was set up, and whether it has been down meanwhile."""
    found = link.find(connection, port.name)
    if found is None or found.index != port.index or not tc.has_root(connection, port.index):
        return False, False
    if not shards.whole(connection, port.index, port.shards):
        return False, False
    flapped = found.carrier_changes != port.carrier_changes
    port.carrier_changes = found.carrier_changes
    return True, flapped


def class_messages(
    port: Port, slot: int, shape: tc.Shape, leaf: tc.Leaf | None, *, echo: bool = False
) -> list[Message]:
    """Shape a slot on this interface, whether its class exists or not."""
    class_id = port.layout.class_id(slot)
    wanted = [tc.shape_class(port.index, class_id, shape, echo=echo)]
    if leaf is not None and not port.made[slot]:
        wanted.append(tc.put_leaf(port.index, class_id, leaf))
    return wanted


def make(
    connection: Connection, port: Port, marking: Marking, slots: Sequence[int], leaf: tc.Leaf | None
) -> None:
    """Make classes for later; one that a session has got meanwhile stays as it is."""
    shards.make(connection, port, marking, slots)
    class_ids = [port.layout.class_id(slot) for slot in slots]
    requests = [tc.shape_class(port.index, each, tc.PARKED, only_new=True) for each in class_ids]
    faults = connection.request(requests).errors
    if leaf is not None:
        made = [each for at, each in enumerate(class_ids) if at not in faults]
        connection.request([tc.put_leaf(port.index, each, leaf) for each in made])
    port.note(slot for at, slot in enumerate(slots) if faults.get(at, errno.EEXIST) == errno.EEXIST)


def best_leaf(connection: Connection, port: Port) -> tc.Leaf | None:
    """The best queue that this kernel has for a class: fq_codel, or None for the class's own."""
    leaf = tc.fq_codel()
    connection.one(tc.shape_class(port.index, _PROBE_CLASS, tc.PARKED))
    has_it = not connection.request([tc.put_leaf(port.index, _PROBE_CLASS, leaf)]).errors
    connection.one(tc.no_class(port.index, _PROBE_CLASS))
    return leaf if has_it else None


def download(rates: Rates) -> tc.Shape:
    return tc.Shape(rates.download_bps, rates.download_burst, rates.priority)


def upload(rates: Rates) -> tc.Shape:
    return tc.Shape(rates.upload_bps, rates.upload_burst, rates.priority)


def shapes(table: ClassTable) -> dict[int, tc.Shape]:
    """What the kernel holds of the shape of each class."""
    octets = table.burst * table.rate // (1_000_000_000 // _TICK_NS)
    columns = (table.classes, table.rate * 8, octets, table.priority)
    return {
        class_id: tc.Shape(bps, burst, priority)
        for class_id, bps, burst, priority in zip(*(column.tolist() for column in columns), strict=True)
    }
