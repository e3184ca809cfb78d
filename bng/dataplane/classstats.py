"""Counters of thousands of classes out of netlink messages, with numpy.

The kernel describes all classes alike, message after message of the same length and layout. So the first of
such a run is read attribute by attribute, and the fields of all others are found at the same distance.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from bng.dataplane.netlink import attributes
from bng.dataplane.tc import NEWCLASS, NEWQDISC, TCA_OPTIONS, TCMSG

_PAYLOAD = 16
_ATTRIBUTES = _PAYLOAD + TCMSG.size
_INDEX, _HANDLE, _PARENT = _PAYLOAD + 4, _PAYLOAD + 8, _PAYLOAD + 12
TCA_STATS2 = 7
STATS_BASIC, STATS_QUEUE, STATS_PACKETS64 = 1, 3, 8
_HTB_PARMS, _HTB_RATE64 = 1, 6
LINK_HEADER = 14
"""Octets of Ethernet header, which HTB counts and IP does not."""
_LONGEST_RUN = 1024

UInt64s = NDArray[np.uint64]


@dataclass(slots=True)
class ClassTable:
    """One row per class; all columns uint64.

    Attributes:
        classes: its id, ``major << 16 | minor``.
        index: interface.
        octets, packets: sent; octets are of frames as the link sees them.
        drops: packets dropped, 32 bits.
        backlog, waiting: octets and packets in the queue.
        rate: octets per second.
        burst: bucket depth in ticks of 64 ns at the rate.
        priority: HTB priority.
    """

    classes: UInt64s
    index: UInt64s
    octets: UInt64s
    packets: UInt64s
    drops: UInt64s
    backlog: UInt64s
    waiting: UInt64s
    rate: UInt64s
    burst: UInt64s
    priority: UInt64s

    def __len__(self) -> int:
        return len(self.classes)

    def ip_octets(self) -> UInt64s:
        """Octets of IP packets: those of the frames less 14 of Ethernet header for each. Never negative,
        although a packet may be counted before its octets are."""
        headers = self.packets * np.uint64(LINK_HEADER)
        return np.where(self.octets > headers, self.octets - headers, np.uint64(0))


_COLUMNS = tuple(column.name for column in fields(ClassTable))


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the fields are in each message of a run.

    Attributes:
        column: name → (offset, dtype); what is not there is 0.
        signature: offsets of the attribute headers that must be alike for the layout to hold.
    """

    column: dict[str, tuple[int, str]]
    signature: tuple[int, ...]


def parse_classes(data: bytes | bytearray) -> ClassTable:
    """All classes among these messages, whosever they are."""
    return _parse(data, NEWCLASS, _HANDLE)


def parse_leaves(data: bytes | bytearray) -> ClassTable:
    """The queues among these messages, by the class that each is in; rate, burst and priority are 0."""
    return _parse(data, NEWQDISC, _PARENT)


def _parse(data: bytes | bytearray, kind: int, identity: int) -> ClassTable:
    parts = [_columns(data, at, length, count, identity) for at, length, count in _runs(data, kind)]
    if not parts:
        return ClassTable(*(np.zeros(0, np.uint64) for _ in _COLUMNS))
    merged = {name: np.concatenate([part[name] for part in parts]) for name in _COLUMNS}
    return ClassTable(**merged)


def merge(tables: Sequence[ClassTable]) -> ClassTable:
    """Several tables as one."""
    if not tables:
        return parse_classes(b"")
    return ClassTable(*(np.concatenate([getattr(table, name) for table in tables]) for name in _COLUMNS))


def _runs(data: bytes | bytearray, kind: int) -> Iterator[tuple[int, int, int]]:
    """Stretches of messages alike: (offset of the first, length, how many)."""
    at, size = 0, len(data)
    while at + _ATTRIBUTES <= size:
        length, first_kind = struct.unpack_from("=IH", data, at)
        step = (length + 3) & ~3
        if length < 16 or at + length > size:
            return
        if first_kind != kind or step != length:
            if first_kind == kind and length >= _ATTRIBUTES:
                yield at, length, 1
            at += step
            continue
        count = min((size - at) // length, _LONGEST_RUN)
        alike = _field(data, at, length, count, 0, "<u4") == length
        alike &= _field(data, at, length, count, 4, "<u2") == kind
        for where in _layout(data, at, length).signature:
            headers = _field(data, at, length, count, where, "<u4")
            alike &= headers == headers[0]
        run = count if alike.all() else int(alike.argmin())
        yield at, length, run
        at += run * length


def _field(
    data: bytes | bytearray, at: int, length: int, count: int, where: int, dtype: str
) -> NDArray[np.unsignedinteger]:
    """The field at this distance in each message, without a copy."""
    return np.ndarray((count,), dtype, data, at + where, (length,))


def _layout(data: bytes | bytearray, at: int, length: int) -> _Layout:
    """Read the first message of a run. Offsets are relative to it."""
    column: dict[str, tuple[int, str]] = {}
    signature = []
    (message_kind,) = struct.unpack_from("=H", data, at + 4)
    # Options of other queueing disciplines than HTB need not even be attributes.
    nests = (TCA_OPTIONS, TCA_STATS2) if message_kind == NEWCLASS else (TCA_STATS2,)
    for kind, start, end in attributes(data, at + _ATTRIBUTES, at + length):
        signature.append(start - 4 - at)
        if kind not in nests:
            continue
        for inner, first, last in attributes(data, start, end):
            signature.append(first - 4 - at)
            column.update(_inner(kind, inner, first - at, last - first))
    return _Layout(column, tuple(signature))


def _inner(outer: int, kind: int, where: int, size: int) -> dict[str, tuple[int, str]]:
    """Fields of one nested attribute."""
    if outer == TCA_OPTIONS:
        if kind == _HTB_PARMS and size >= 44:
            return {
                "rate": (where + 8, "<u4"),
                "burst": (where + 24, "<u4"),
                "priority": (where + 40, "<u4"),
            }
        return {"rate": (where, "<u8")} if kind == _HTB_RATE64 and size >= 8 else {}
    if kind == STATS_BASIC and size >= 12:
        return {"octets": (where, "<u8"), "packets": (where + 8, "<u4")}
    if kind == STATS_PACKETS64 and size >= 8:
        return {"packets": (where, "<u8")}
    if kind == STATS_QUEUE and size >= 20:
        return {"waiting": (where, "<u4"), "backlog": (where + 4, "<u4"), "drops": (where + 8, "<u4")}
    return {}


def _columns(data: bytes | bytearray, at: int, length: int, count: int, identity: int) -> dict[str, UInt64s]:
    where = _layout(data, at, length).column | {"classes": (identity, "<u4"), "index": (_INDEX, "<u4")}
    columns = {}
    for name in _COLUMNS:
        if name in where:
            columns[name] = _field(data, at, length, count, *where[name]).astype(np.uint64)
        else:
            columns[name] = np.zeros(count, np.uint64)
    return columns
