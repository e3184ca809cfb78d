"""Taking over the sessions that the kernel holds when the control plane starts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from bng.dataplane import elements, port, shards, tc
from bng.dataplane.base import Rates, Start
from bng.dataplane.book import Book
from bng.dataplane.classstats import ClassTable
from bng.dataplane.ground import Ground
from bng.dataplane.natmap import MAP_BLOCK, MAP_WHOLE
from bng.dataplane.netlink import Connection, Message


@dataclass(slots=True)
class Found:
    """What the maps hold.

    Attributes:
        slots: of the sessions that were put into the book.
        moving: those of them whose classes are where versions before the shards had them, with their gates
            as they are.
        stale: gates that make no sense now.
        halves: addresses, in network order, that are open for download only.
        unbound: map and key of translations that belong to none of the sessions.
    """

    slots: list[int] = field(default_factory=list)
    moving: dict[int, elements.Gate] = field(default_factory=dict)
    stale: list[elements.Gate] = field(default_factory=list)
    halves: list[bytes] = field(default_factory=list)
    unbound: list[tuple[bytes, bytes]] = field(default_factory=list)

    def removal(self) -> list[Message]:
        """What takes away all that makes no sense now."""
        found = elements.remove_upload(self.stale) + elements.remove_download(self.halves)
        for name in dict.fromkeys(name for name, _ in self.unbound):
            found += elements.remove_keys(name, [key for where, key in self.unbound if where == name])
        return found


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
    translations = elements.read_translations(netfilter)
    for gate in elements.read_gates(netfilter):
        where, class_id = ports.get(gate.index), gate.class_id
        slot = layout.slot_of(class_id)
        moving = slot < 0
        if moving:
            slot = shards.slot_before(class_id)
        address = gate.ip.packed
        if where is not None and slot >= 0 and download.get(address) == class_id and class_id in upload:
            rates = _rates(shapes[where.name].get(class_id, tc.PARKED), upload[class_id])
            name = MAP_WHOLE if address in translations[MAP_WHOLE] else MAP_BLOCK
            nat = translations[name].get(address)
            start = Start(slot, gate.session_id, where.name, gate.mac, gate.ip, rates, nat)
            if book.refusal(start) is None and slot < layout.end:
                book.put(start)
                found.slots.append(slot)
                if moving:
                    found.moving[slot] = replace(gate, nat=nat)
                del download[address]
                if nat is not None:
                    del translations[name][address]
                continue
        found.stale.append(gate)
    found.halves = list(download)
    found.unbound = [(name, key) for name, keys in translations.items() for key in keys]
    return found


def _rates(download: tc.Shape, upload: tc.Shape) -> Rates:
    return Rates(download.bps, upload.bps, download.burst, upload.burst, download.priority)
