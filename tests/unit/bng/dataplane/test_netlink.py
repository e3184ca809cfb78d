"""Netlink messages: what is built can be read, what is malformed is not followed."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from bng.dataplane import netlink

values = st.lists(st.tuples(st.integers(1, 0x3FFF), st.binary(max_size=64)), max_size=20)


@given(values)
def test_attributes_survive(items: list[tuple[int, bytes]]) -> None:
    data = b"".join(netlink.attribute(kind, value) for kind, value in items)
    assert len(data) % 4 == 0
    assert [(kind, data[a:b]) for kind, a, b in netlink.attributes(data)] == items


@given(values)
def test_a_nest_is_read_like_any_attribute(items: list[tuple[int, bytes]]) -> None:
    inner = b"".join(netlink.attribute(kind, value) for kind, value in items)
    outer = netlink.nested(7, inner)
    ((kind, start, end),) = netlink.attributes(outer)
    assert kind == 7
    assert [(k, outer[a:b]) for k, a, b in netlink.attributes(outer, start, end)] == items


@given(st.binary(max_size=300))
def test_octets_that_mean_nothing_are_read_to_an_end(data: bytes) -> None:
    for _, start, end in netlink.attributes(data):
        assert start <= end <= len(data)
    for _, _, start, end in netlink.messages(data):
        assert start <= end <= len(data)


def test_of_repeated_kinds_the_last_counts() -> None:
    data = netlink.attribute(3, b"a") + netlink.attribute(3, b"b")
    start, end = netlink.attribute_map(data)[3]
    assert data[start:end] == b"b"


def test_messages_follow_each_other_at_multiples_of_four() -> None:
    one = netlink.HEADER.pack(19, 40, 0, 1, 0) + b"abc" + b"\0"
    two = netlink.HEADER.pack(16, 41, 0, 2, 0)
    assert [(kind, sequence) for kind, sequence, _, _ in netlink.messages(one + two)] == [(40, 1), (41, 2)]


def test_a_length_of_nothing_ends_the_walk() -> None:
    assert list(netlink.messages(struct.pack("=IHHII", 0, 40, 0, 1, 0) * 3)) == []
