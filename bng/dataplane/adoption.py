"""Taking over the sessions that the kernel holds when the control plane starts."""

from __future__ import annotations

from dataclasses import dataclass, field

from bng.dataplane import elements, port, shards, tc
from bng.dataplane.base import Rates, Start
from bng.dataplane.book import Book
from bng.dataplane.classstats import ClassTable
from bng.dataplane.ground import Ground
from bng.dataplane.netlink import Connection


@dataclass(slots=True)
class Found:
    """What the maps hold.

    Attributes:
        slots: of the sessions that were put into the book.
        moving: those of them whose classes are where versions before the shards had them, with their gates
            as they are.
        stale: gates that make no sense now.
        halves: addresses, in network order, that are open for download only.
    """

    slots: list[int] = field(default_factory=list)
    moving: dict[int, elements.Gate] = field(default_factory=dict)
    stale: list[elements.Gate] = field(default_factory=list)
    halves: list[bytes] = field(default_factory=list)


def read(netfilter: Connection, ground: Ground, book: Book, tables: dict[str, ClassTable]) -> Found:
    """Put the sessions that the kernel holds into the book. Raises OSError.

    Args:
        tables: the classes of each interface.
    """
    found = Found()
    layout = ground.layout or shards.SHARDED
    ports = {each.index: each for each in ground.subscriber.values()}
    shapes = {name: port.shapes(table) for name, table in tables.items()}
    upload = shapes.get(ground.config.upstream, {})
    download = elements.read_download(netfilter)
    for gate in elements.read_gates(netfilter):
        where, class_id = ports.get(gate.index), gate.class_id
        slot = layout.slot_of(class_id)
        moving = slot < 0
        if moving:
            slot = shards.slot_before(class_id)
        address = gate.ip.packed
        if where is not None and slot >= 0 and download.get(address) == class_id and class_id in upload:
            rates = _rates(shapes[where.name].get(class_id, tc.PARKED), upload[class_id])
            start = Start(slot, gate.session_id, where.name, gate.mac, gate.ip, rates)
            if book.refusal(start) is None and slot < layout.end:
                book.put(start)
                found.slots.append(slot)
                if moving:
                    found.moving[slot] = gate
                del download[address]
                continue
        found.stale.append(gate)
    found.halves = list(download)
    return found


def _rates(download: tc.Shape, upload: tc.Shape) -> Rates:
    return Rates(download.bps, upload.bps, download.burst, upload.burst, download.priority)
