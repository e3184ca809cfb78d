"""Counters of single classes, as they come back from requests about sessions."""

from __future__ import annotations

from dataclasses import dataclass

from bng.dataplane import tc
from bng.dataplane.base import RawCounters
from bng.dataplane.classstats import parse_classes, parse_leaves
from bng.dataplane.netlink import Message


@dataclass(slots=True)
class Reading:
    """One class: IP octets and packets sent, packets dropped, packets waiting."""

    octets: int
    packets: int
    drops: int
    waiting: int


Readings = dict[tuple[int, int], Reading]
"""By interface index and slot."""


def requests(index: int, slot: int, leaf: tc.Leaf | None) -> list[Message]:
    """Ask for the counters of one class; where it has a queue of its own, that one knows the drops."""
    wanted = [tc.read_class(index, slot)]
    if leaf is not None:
        wanted.append(tc.read_leaf(index, slot))
    return wanted


def readings(data: bytearray) -> Readings:
    """All classes that these messages tell of."""
    table = parse_classes(data)
    columns = (table.index, table.slots, table.ip_octets(), table.packets, table.drops, table.waiting)
    found = {
        (index, slot): Reading(octets, packets, drops, waiting)
        for index, slot, octets, packets, drops, waiting in zip(
            *(column.tolist() for column in columns), strict=True
        )
    }
    leaves = parse_leaves(data)
    for index, slot, drops in zip(
        leaves.index.tolist(), leaves.slots.tolist(), leaves.drops.tolist(), strict=True
    ):
        if (index, slot) in found:
            found[index, slot].drops = drops
    return found


def raw(upload: Reading | None, download: Reading | None) -> RawCounters | None:
    """Both directions of a session, or None when one is not known."""
    if upload is None or download is None:
        return None
    return RawCounters(
        in_octets=upload.octets,
        out_octets=download.octets,
        in_packets=upload.packets,
        out_packets=download.packets,
        in_discards=upload.drops,
        out_discards=download.drops,
    )
