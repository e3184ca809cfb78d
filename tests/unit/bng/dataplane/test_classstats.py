"""Counters out of netlink messages: the fast way reads what the plain way reads."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bng.dataplane import reading, tc
from bng.dataplane.classstats import merge, parse_classes, parse_leaves
from bng.dataplane.netlink import HEADER, attribute, nested

COUNT32 = st.integers(0, (1 << 32) - 1)
COUNT64 = st.integers(0, (1 << 62) - 1)


@dataclass(frozen=True)
class Class:
    class_id: int
    octets: int = 0
    packets: int = 0
    drops: int = 0
    waiting: int = 0
    rate: int = 125_000
    index: int = 3


classes = st.lists(
    st.builds(
        Class,
        class_id=st.integers(0x10010, 0x60_FFFF),
        octets=COUNT64,
        packets=st.one_of(COUNT32, COUNT64),
        drops=COUNT32,
        waiting=st.integers(0, 1000),
        rate=st.sampled_from([1000, 125_000, 1 << 33]),
        index=st.integers(1, 5),
    ),
    unique_by=lambda each: (each.index, each.class_id),
    max_size=30,
)


def stats(item: Class) -> bytes:
    """TCA_STATS2 as the kernel writes it: packets beyond 32 bits have an attribute of their own."""
    inner = attribute(1, struct.pack("=QI", item.octets, item.packets & 0xFFFFFFFF) + bytes(4))
    if item.packets >> 32:
        inner += attribute(8, struct.pack("=Q", item.packets))
    return nested(7, inner + attribute(3, struct.pack("=IIIII", item.waiting, 9, item.drops, 1, 2)))


def message(kind: int, payload: bytes) -> bytes:
    return HEADER.pack(16 + len(payload), kind, 2, 1, 0) + payload


def class_message(item: Class) -> bytes:
    request = tc.shape_class(item.index, item.class_id, tc.Shape(item.rate * 8, 20_000, 5))
    return message(tc.NEWCLASS, request.payload + stats(item))


def leaf_message(item: Class) -> bytes:
    payload = tc.TCMSG.pack(0, item.index, 0x80010000, item.class_id, 1)
    payload += attribute(1, b"fq_codel\0") + attribute(2, b"\xff\xff\xff\xff")
    return message(tc.NEWQDISC, payload + stats(item))


@given(classes)
def test_every_class_is_read(items: list[Class]) -> None:
    table = parse_classes(b"".join(class_message(item) for item in items))
    assert table.classes.tolist() == [item.class_id for item in items]
    assert table.index.tolist() == [item.index for item in items]
    assert table.octets.tolist() == [item.octets for item in items]
    assert table.packets.tolist() == [item.packets for item in items]
    assert table.drops.tolist() == [item.drops for item in items]
    assert table.waiting.tolist() == [item.waiting for item in items]
    assert table.rate.tolist() == [item.rate for item in items]
    assert set(table.priority.tolist()) <= {5}


@given(classes, classes)
def test_a_few_are_read_as_many_are(items: list[Class], leaves: list[Class]) -> None:
    data = bytearray(b"".join([*map(class_message, items), *map(leaf_message, leaves)]))
    assert reading._few(data) == reading._many(data)


@given(st.binary(max_size=400), classes)
def test_octets_that_mean_nothing_are_survived(noise: bytes, items: list[Class]) -> None:
    data = b"".join(class_message(item) for item in items)
    for broken in (noise, data + noise, data[: len(data) // 2]):
        parse_classes(broken)
        parse_leaves(broken)
        reading._few(bytearray(broken))


def test_thousands_alike_and_strangers_between_them() -> None:
    items = [Class(0x10010 + at, octets=at, packets=at % 7) for at in range(3000)]
    parts = [class_message(item) for item in items]
    parts.insert(1500, message(tc.NEWQDISC, bytes(48)))
    parts.insert(2000, message(3, bytes(4)))
    table = parse_classes(b"".join(parts))
    assert table.octets.tolist() == list(range(3000))


@given(classes, classes)
def test_tables_of_several_shards_are_one(first: list[Class], second: list[Class]) -> None:
    parts = [b"".join(map(class_message, items)) for items in (first, second)]
    merged = merge([parse_classes(part) for part in parts])
    assert merged.classes.tolist() == parse_classes(b"".join(parts)).classes.tolist()
    assert len(merge([])) == 0


def test_ip_octets_have_no_link_header_and_are_never_negative() -> None:
    items = [Class(0, octets=1514, packets=1), Class(1, octets=0, packets=1)]
    table = parse_classes(b"".join(class_message(item) for item in items))
    assert table.ip_octets().tolist() == [1500, 0]
    assert table.ip_octets().dtype == np.uint64


def test_drops_of_a_queue_of_its_own_replace_those_of_the_class() -> None:
    data = bytearray(class_message(Class(4, drops=1)) + leaf_message(Class(4, drops=17)))
    assert reading.readings(data)[3, 4].drops == 17
    assert parse_leaves(bytes(data)).drops.tolist() == [17]


def test_a_session_needs_both_directions() -> None:
    one = reading.Reading(100, 1, 2, 0)
    assert reading.raw(one, None) is None
    found = reading.raw(one, reading.Reading(200, 3, 4, 0))
    assert found is not None
    assert (found.in_octets, found.out_octets, found.in_discards, found.out_discards) == (100, 200, 2, 4)
