"""Ethernet, IPv4 and UDP."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bng.codec import frame
from bng.codec.errors import DecodeError
from bng.codec.frame import UdpFrame

addresses = st.tuples(*[st.integers(0, 255)] * 4).map(lambda parts: ".".join(map(str, parts)))
macs = st.binary(min_size=6, max_size=6).map(lambda octets: octets.hex(":"))
ports = st.integers(0, 65535)
frames = st.builds(UdpFrame, macs, macs, addresses, addresses, ports, ports, st.binary(max_size=700))
ONE = UdpFrame("02:00:00:00:00:01", "ff:ff:ff:ff:ff:ff", "0.0.0.0", "255.255.255.255", 68, 67, b"hello")


@given(frames, st.binary(max_size=20))
def test_round_trip_with_padding(one: UdpFrame, padding: bytes) -> None:
    assert frame.parse(frame.build(one) + padding) == one


@given(st.binary(max_size=120))
def test_garbage(data: bytes) -> None:
    for candidate in (data, frame.build(ONE)[:14] + data, frame.build(ONE)[:34] + data):
        try:
            frame.parse(candidate)
        except DecodeError:
            continue


@given(st.integers(14, len(frame.build(ONE)) - 1), st.integers(1, 255))
def test_every_flipped_octet_of_the_packet_is_noticed(place: int, mask: int) -> None:
    data = bytearray(frame.build(ONE))
    data[place] ^= mask
    try:
        seen = frame.parse(bytes(data))
    except DecodeError:
        return
    # a UDP checksum of 0 would mean that there is none; one octet cannot make it that
    assert seen == ONE


def _with(place: int, value: bytes) -> bytes:
    """The frame with other octets, and the right IPv4 checksum."""
    data = bytearray(frame.build(ONE))
    data[place : place + len(value)] = value
    data[24:26] = b"\0\0"
    header = (data[14] & 15) * 4
    data[24:26] = struct.pack("!H", frame.checksum(bytes(data[14 : 14 + header])))
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (frame.build(ONE)[:33], "octets"),
        (_with(12, b"\x86\xdd"), "ethertype"),
        (_with(14, b"\x65"), "IPv4 header"),
        (_with(14, b"\x44"), "IPv4 header"),
        (_with(16, b"\xff\xff"), "IPv4 length"),
        (_with(16, b"\x00\x10"), "IPv4 length"),
        (_with(23, b"\x06"), "whole UDP"),
        (_with(20, b"\x20\x00"), "whole UDP"),
        (_with(38, b"\x00\x07"), "UDP length"),
        (_with(38, b"\x01\x00"), "UDP length"),
        (_with(42, b"HELLO"), "UDP checksum"),
        (_with(16, b"")[:24] + b"\0\0" + frame.build(ONE)[26:], "IPv4 checksum"),
    ],
)
def test_what_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(DecodeError, match=why):
        frame.parse(data)


def test_checksum_that_hardware_would_have_made() -> None:
    unfinished = _with(40, b"\x12\x34")
    assert frame.parse(unfinished, checksum_ready=False) == ONE
    with pytest.raises(DecodeError):
        frame.parse(unfinished)


def test_no_udp_checksum_at_all() -> None:
    assert frame.parse(_with(40, b"\0\0")) == ONE


def test_payload_that_does_not_fit() -> None:
    with pytest.raises(DecodeError):
        frame.build(UdpFrame(ONE.source_mac, ONE.destination_mac, "1.1.1.1", "2.2.2.2", 1, 2, bytes(65508)))


def test_carry_in_the_checksum() -> None:
    assert frame.checksum(b"\xff\xff" * 3 + b"\x00\x01") == 0xFFFE
    assert frame.checksum(b"\x01") == 0xFEFF
