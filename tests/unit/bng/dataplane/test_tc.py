"""HTB requests: numbers that the kernel's fields can hold, at every rate of the model."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bng.dataplane import tc
from bng.dataplane.netlink import ECHO, EXCL, attribute_map

RATES = st.integers(8_000, 100_000_000_000)


def options(shape: tc.Shape) -> dict[int, bytes]:
    payload = tc.shape_class(3, 0x10010, shape).payload
    start, end = attribute_map(payload, tc.TCMSG.size)[tc.TCA_OPTIONS]
    return {kind: payload[a:b] for kind, (a, b) in attribute_map(payload, start, end).items()}


@given(RATES, st.integers(0, 1 << 28), st.integers(0, 7))
def test_rate_and_ceiling_are_the_rate_that_was_asked_for(bps: int, burst: int, priority: int) -> None:
    found = options(tc.Shape(bps, burst, priority))
    rate, ceiling = (struct.unpack_from("=I", found[1], at)[0] for at in (8, 20))
    if 6 in found:
        assert rate == ceiling == 0xFFFFFFFF
        rate, ceiling = (struct.unpack("=Q", found[kind])[0] for kind in (6, 7))
    assert rate == ceiling == bps // 8
    assert struct.unpack_from("=I", found[1], 40)[0] == priority


@given(RATES, st.integers(1500, 1 << 28))
def test_the_bucket_holds_the_burst(bps: int, burst: int) -> None:
    (ticks,) = struct.unpack_from("=I", options(tc.Shape(bps, burst))[1], 24)
    held = ticks * 64 * (bps // 8) / 1e9
    assert held <= burst
    assert held >= burst - (bps // 8) * 64 / 1e9 - 1 or ticks == 0xFFFFFFFF


@pytest.mark.parametrize(("bps", "burst"), [(1_000_000, 16_384), (32_768_000, 16_384), (10**9, 500_000)])
def test_by_default_the_bucket_holds_four_milliseconds(bps: int, burst: int) -> None:
    assert tc.default_burst(bps) == burst


def test_flags_say_whether_a_class_may_exist_and_is_told() -> None:
    assert tc.shape_class(3, 0x10010, tc.PARKED, only_new=True).flags & EXCL
    assert not tc.shape_class(3, 0x10010, tc.PARKED).flags & EXCL
    assert tc.shape_class(3, 0x10010, tc.PARKED, echo=True).flags & ECHO


def test_a_queue_is_emptied_by_another_in_its_place() -> None:
    plain = tc.flush_leaf(3, 0x10010, None)
    assert [message.kind for message in plain] == [tc.NEWQDISC, tc.DELQDISC]
    own = tc.flush_leaf(3, 0x10010, tc.fq_codel())
    assert [message.kind for message in own] == [tc.DELQDISC, tc.NEWQDISC]
    assert b"fq_codel\0" in own[1].payload


@pytest.mark.parametrize("class_id", [0x10010, 0x20010, 0x4107FF])
def test_a_class_is_made_in_the_htb_that_its_id_names(class_id: int) -> None:
    _, index, handle, parent, _ = tc.TCMSG.unpack_from(tc.shape_class(3, class_id, tc.PARKED).payload)
    assert (index, handle, parent) == (3, class_id, class_id & 0xFFFF0000)
