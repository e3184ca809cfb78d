"""An interface as the data plane uses it: in its group, with HTB at its root and classes of slots."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bng.dataplane import link, sysctl, tc
from bng.dataplane.base import MAX_SLOTS, DataPlaneError, Rates
from bng.dataplane.classstats import ClassTable, parse_classes
from bng.dataplane.netlink import Connection, Message

QUEUE_LENGTH = 128
"""Packets that a class holds at most (its queue takes txqueuelen as its bound when it is made)."""

_PROBE_SLOT = 1 - tc.FIRST_MINOR
"""Minor 1: a class that no slot has."""
_TICK_NS = 64


@dataclass(slots=True)
class Port:
    """An interface that has been set up.

    Attributes:
        name, index: of the interface.
        carrier_changes: of the interface when its neighbours were last set: one that went down has none.
        made: per slot, 1 when its class exists.
    """

    name: str
    index: int
    carrier_changes: int = 0
    made: bytearray = field(default_factory=lambda: bytearray(MAX_SLOTS))

    def note(self, slots: Iterable[int]) -> None:
        """These classes exist."""
        for slot in slots:
            self.made[slot] = 1

    def lacking(self, end: int, limit: int) -> list[int]:
        """The first slots below `end` whose classes do not exist."""
        slots: list[int] = []
        at = self.made.find(0, 0, end)
        while at >= 0 and len(slots) < limit:
            slots.append(at)
            at = self.made.find(0, at + 1, end)
        return slots


def attach(
    connection: Connection, name: str, group: int, warnings: list[str]
) -> tuple[Port, ClassTable] | None:
    """Set an interface up, or find it so. Its classes as they are; None when it does not exist."""
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
    port = Port(name, found.index, found.carrier_changes)
    table = parse_classes(connection.dump(tc.GETCLASS, tc.all_classes(found.index)))
    port.note(table.slots.tolist())
    return port, table


def detach(connection: Connection, port: Port) -> None:
    """Take an interface out of its group and its classes away, if it is still there."""
    found = link.find(connection, port.name)
    if found is None or found.index != port.index:
        return
    link.set_group(connection, found, 0, found.queue_length)
    if tc.has_root(connection, port.index):
        connection.one(tc.no_root(port.index))


def check(connection: Connection, port: Port) -> tuple[bool, bool]:
    """Whether the interface is still the one that was set up, and whether it has been down meanwhile."""
    found = link.find(connection, port.name)
    if found is None or found.index != port.index or not tc.has_root(connection, port.index):
        return False, False
    flapped = found.carrier_changes != port.carrier_changes
    port.carrier_changes = found.carrier_changes
    return True, flapped


def class_messages(
    port: Port, slot: int, shape: tc.Shape, leaf: tc.Leaf | None, *, echo: bool = False
) -> list[Message]:
    """Shape a slot on this interface, whether its class exists or not."""
    wanted = [tc.shape_class(port.index, slot, shape, echo=echo)]
    if leaf is not None and not port.made[slot]:
        wanted.append(tc.put_leaf(port.index, slot, leaf))
    return wanted


def make(connection: Connection, port: Port, slots: Sequence[int], leaf: tc.Leaf | None) -> None:
    """Make classes for later; one that a session has got meanwhile stays as it is."""
    requests = [tc.shape_class(port.index, slot, tc.PARKED, only_new=True) for slot in slots]
    faults = connection.request(requests).errors
    made = [slot for at, slot in enumerate(slots) if at not in faults]
    if leaf is not None:
        connection.request([tc.put_leaf(port.index, slot, leaf) for slot in made])
    port.note(slot for at, slot in enumerate(slots) if faults.get(at, errno.EEXIST) == errno.EEXIST)


def best_leaf(connection: Connection, port: Port) -> tc.Leaf | None:
    """The best queue that this kernel has for a class: fq_codel, or None for the class's own."""
    leaf = tc.fq_codel()
    connection.one(tc.shape_class(port.index, _PROBE_SLOT, tc.PARKED))
    has_it = not connection.request([tc.put_leaf(port.index, _PROBE_SLOT, leaf)]).errors
    connection.one(tc.no_class(port.index, _PROBE_SLOT))
    return leaf if has_it else None


def download(rates: Rates) -> tc.Shape:
    return tc.Shape(rates.download_bps, rates.download_burst, rates.priority)


def upload(rates: Rates) -> tc.Shape:
    return tc.Shape(rates.upload_bps, rates.upload_burst, rates.priority)


def shapes(table: ClassTable) -> dict[int, tc.Shape]:
    """What the kernel holds of each slot's shape."""
    octets = table.burst * table.rate // (1_000_000_000 // _TICK_NS)
    columns = (table.slots, table.rate * 8, octets, table.priority)
    return {
        slot: tc.Shape(bps, burst, priority)
        for slot, bps, burst, priority in zip(*(column.tolist() for column in columns), strict=True)
    }
