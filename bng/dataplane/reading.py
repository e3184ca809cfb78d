"""Counters of single classes, as they come back from requests about sessions."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from bng.dataplane import tc
from bng.dataplane.base import RawCounters
from bng.dataplane.classstats import (
    LINK_HEADER,
    STATS_BASIC,
    STATS_PACKETS64,
    STATS_QUEUE,
    TCA_STATS2,
    parse_classes,
    parse_leaves,
)
from bng.dataplane.netlink import Message, attribute_map, messages

_FEW = 1 << 14
"""Octets of answers, some dozens of classes."""
_BASIC, _PACKETS64, _QUEUE = struct.Struct("=QI"), struct.Struct("=Q"), struct.Struct("=III")


@dataclass(slots=True)
class Reading:
    """One class: IP octets and packets sent, packets dropped, packets waiting."""

    octets: int
    packets: int
    drops: int
    waiting: int


Readings = dict[tuple[int, int], Reading]
"""By interface index and class."""


def requests(index: int, class_id: int, leaf: tc.Leaf | None) -> list[Message]:
    """Ask for the counters of one class; where it has a queue of its own, that one knows the drops."""
    wanted = [tc.read_class(index, class_id)]
    if leaf is not None:
        wanted.append(tc.read_leaf(index, class_id))
    return wanted


def readings(data: bytearray) -> Readings:
    """All classes that these messages tell of."""
    return _few(data) if len(data) < _FEW else _many(data)


def _many(data: bytearray) -> Readings:
    table = parse_classes(data)
    columns = (table.index, table.classes, table.ip_octets(), table.packets, table.drops, table.waiting)
    found = {
        (index, class_id): Reading(octets, packets, drops, waiting)
        for index, class_id, octets, packets, drops, waiting in zip(
            *(column.tolist() for column in columns), strict=True
        )
    }
    leaves = parse_leaves(data)
    for index, class_id, drops in zip(
        leaves.index.tolist(), leaves.classes.tolist(), leaves.drops.tolist(), strict=True
    ):
        if (index, class_id) in found:
            found[index, class_id].drops = drops
    return found


def _few(data: bytearray) -> Readings:
    """The same for a handful, where arrays cost more than they save."""
    found: Readings = {}
    for kind, _, start, end in messages(data):
        if kind not in (tc.NEWCLASS, tc.NEWQDISC) or end - start < tc.TCMSG.size:
            continue
        _, index, handle, parent, _ = tc.TCMSG.unpack_from(data, start)
        class_id = handle if kind == tc.NEWCLASS else parent
        stats = attribute_map(data, start + tc.TCMSG.size, end).get(TCA_STATS2)
        if stats is None:
            continue
        reading = _reading(data, *stats)
        if kind == tc.NEWCLASS:
            found[index, class_id] = reading
        elif (index, class_id) in found:
            found[index, class_id].drops = reading.drops
    return found


def _reading(data: bytearray, start: int, end: int) -> Reading:
    """From TCA_STATS2."""
    inner = attribute_map(data, start, end)
    octets = packets = waiting = drops = 0
    if STATS_BASIC in inner:
        octets, packets = _BASIC.unpack_from(data, inner[STATS_BASIC][0])
    if STATS_PACKETS64 in inner:
        (packets,) = _PACKETS64.unpack_from(data, inner[STATS_PACKETS64][0])
    if STATS_QUEUE in inner:
        waiting, _, drops = _QUEUE.unpack_from(data, inner[STATS_QUEUE][0])
    return Reading(max(octets - LINK_HEADER * packets, 0), packets, drops, waiting)


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
