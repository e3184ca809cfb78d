"""A look at frames before they are decoded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bng.codec import dhcp, frame, option82, peek
from bng.codec.dhcp import DhcpPacket
from bng.codec.errors import DecodeError
from bng.codec.frame import UdpFrame

AGENT = option82.build(((1, b"1/0/1"), (2, b"node-1")))


def framed(payload: bytes) -> bytes:
    return frame.build(
        UdpFrame("02:00:00:00:00:01", "ff:ff:ff:ff:ff:ff", "0.0.0.0", "255.255.255.255", 68, 67, payload)
    )


def packet(options: dict[int, bytes]) -> bytes:
    return framed(dhcp.build(DhcpPacket(1, 7, "02:00:00:00:00:02", options)))


@given(st.dictionaries(st.integers(1, 254).filter(lambda c: c not in (52, 82)), st.binary(max_size=60)))
def test_it_finds_what_decoding_finds(others: dict[int, bytes]) -> None:
    assert peek.relay_agent(packet({**others, 82: AGENT})) == AGENT
    assert peek.relay_agent(packet(others)) == b""


@given(st.binary(max_size=400), st.binary(max_size=40))
def test_garbage(data: bytes, tail: bytes) -> None:
    start = packet({53: b"\1"})[: 14 + 20 + 8 + 240]
    for candidate in (data, start[:14] + data, start + tail):
        found = peek.relay_agent(candidate)
        if found is None:
            try:
                dhcp.parse(frame.parse(candidate, checksum_ready=False).payload)
            except DecodeError:
                continue
            raise AssertionError("a good packet was refused")


def test_a_frame_of_pads_is_not_searched_to_its_end() -> None:
    payload = dhcp.build(DhcpPacket(1, 7, "02:00:00:00:00:02", {}))[:240]
    assert peek.relay_agent(framed(payload + bytes(1000) + bytes([82, len(AGENT)]) + AGENT + b"\xff")) == b""
    assert peek.relay_agent(framed(payload + bytes(50) + bytes([82, len(AGENT)]) + AGENT + b"\xff")) == AGENT


def test_an_option_that_is_cut_off() -> None:
    payload = dhcp.build(DhcpPacket(1, 7, "02:00:00:00:00:02", {}))[:240]
    assert peek.relay_agent(framed(payload + bytes([82, 200]) + AGENT)) is None


def test_source() -> None:
    assert peek.source_mac(packet({82: AGENT})) == bytes([2, 0, 0, 0, 0, 1])


def test_what_holds_none() -> None:
    start = dhcp.build(DhcpPacket(1, 7, "02:00:00:00:00:02", {}))[:240]
    assert peek.relay_agent(b"\0" * 60) is None, "too short for DHCP"
    assert peek.relay_agent(framed(start + b"\x35\x01\x01\xff" + b"\x52\x01\x01")) == b"", "behind the end"
    unended = framed(start + b"\x35\x01\x01")
    assert peek.relay_agent(unended) == b"", "without an end"
    assert peek.relay_agent(unended + bytes([82, len(AGENT)]) + AGENT) == b"", "padding is no part of it"
    assert peek.relay_agent(unended[:-1]) is None, "a datagram that is cut off"
