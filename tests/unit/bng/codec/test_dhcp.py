"""DHCP packets: round trips, long options, overload, and garbage."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bng.codec import dhcp
from bng.codec.dhcp import DhcpPacket, MessageType, Option
from bng.codec.errors import DecodeError

addresses = st.tuples(*[st.integers(0, 255)] * 4).map(lambda parts: ".".join(map(str, parts)))
macs = st.binary(min_size=6, max_size=6).map(lambda octets: octets.hex(":"))
codes = st.integers(1, 254).filter(lambda code: code != Option.OVERLOAD)
packets = st.builds(
    DhcpPacket,
    op=st.sampled_from([1, 2]),
    xid=st.integers(0, 2**32 - 1),
    mac_address=macs,
    options=st.dictionaries(codes, st.binary(max_size=700), max_size=6),
    hops=st.integers(0, 255),
    secs=st.integers(0, 65535),
    flags=st.sampled_from([0, 0x8000]),
    ciaddr=addresses,
    yiaddr=addresses,
    siaddr=addresses,
    giaddr=addresses,
    sname=st.binary(max_size=64).map(lambda octets: octets.rstrip(b"\0")),
    file=st.binary(max_size=128).map(lambda octets: octets.rstrip(b"\0")),
)
PLAIN = DhcpPacket(1, 7, "02:00:00:00:00:01", {Option.MESSAGE_TYPE: b"\1"})


def test_values_over_255_octets_are_split_and_joined() -> None:
    packet = PLAIN.with_option(43, bytes(range(256)) * 2)
    data = dhcp.build(packet)
    assert data.count(b"\x2b\xff") == 2
    assert dhcp.parse(data) == packet


@given(packets)
def test_round_trip(packet: DhcpPacket) -> None:
    data = dhcp.build(packet)
    assert len(data) >= dhcp.MIN_SENT
    assert dhcp.parse(data) == packet


@given(st.binary(max_size=600))
@example(dhcp.build(PLAIN)[:240])
@example(dhcp.build(PLAIN)[:240] + b"\x35")
@example(dhcp.build(PLAIN)[:240] + b"\x35\x09\x01")
def test_garbage_decodes_or_raises_decode_error(data: bytes) -> None:
    for candidate in (data, dhcp.build(PLAIN)[:240] + data):
        try:
            dhcp.parse(candidate)
        except DecodeError:
            continue


@given(st.integers(0, 299), st.integers(0, 255))
def test_a_changed_octet_never_raises_anything_else(place: int, value: int) -> None:
    data = bytearray(dhcp.build(PLAIN))
    data[place] = value
    try:
        dhcp.parse(bytes(data))
    except DecodeError as error:
        assert str(error)


@pytest.mark.parametrize(
    ("place", "value"),
    [(0, 3), (1, 6), (2, 16), (236, 0)],
    ids=["op", "hardware type", "hardware length", "cookie"],
)
def test_what_is_not_dhcp_over_ethernet(place: int, value: int) -> None:
    data = bytearray(dhcp.build(PLAIN))
    data[place] = value
    with pytest.raises(DecodeError):
        dhcp.parse(bytes(data))


@pytest.mark.parametrize("length", [0, 239, 9001])
def test_impossible_lengths(length: int) -> None:
    with pytest.raises(DecodeError, match="octets"):
        dhcp.parse(bytes(length))


def test_overload_joins_options_in_file_and_sname() -> None:
    data = bytearray(dhcp.build(PLAIN))
    data[44:108] = (b"\x0c\x02sn\xff").ljust(64, b"\0")
    data[108:236] = (b"\x0c\x02fi\xff").ljust(128, b"\0")
    data[240:246] = b"\x34\x01\x03\x35\x01\x01"
    data[246:247] = b"\xff"
    packet = dhcp.parse(bytes(data))
    assert packet.options[12] == b"fisn"  # file before sname, RFC 3396
    assert (packet.sname, packet.file) == (b"", b"")
    assert packet.message_type == MessageType.DISCOVER
    assert Option.OVERLOAD not in packet.options


@pytest.mark.parametrize("value", [b"\x34\x01\x04", b"\x34\x02\x01\x01", b"\x34\x00"])
def test_malformed_overload(value: bytes) -> None:
    with pytest.raises(DecodeError, match="52"):
        dhcp.parse(dhcp.build(PLAIN)[:240] + value + b"\xff")


def test_an_option_that_runs_out_of_the_file_field() -> None:
    data = bytearray(dhcp.build(PLAIN))
    data[108:236] = b"\x0c\xff".ljust(128, b"x")
    data[240:244] = b"\x34\x01\x01\xff"
    with pytest.raises(DecodeError, match="file"):
        dhcp.parse(bytes(data))


def test_properties_of_absent_and_malformed_options() -> None:
    packet = DhcpPacket(1, 1, "02:00:00:00:00:01", {51: b"\0\1", 53: b"\1\1", 54: b"\1"})
    assert (packet.message_type, packet.lease_time, packet.server_id) == (0, None, "0.0.0.0")
    assert packet.requested_address == "0.0.0.0"
    assert not packet.broadcast
    full = packet.with_option(51, b"\0\0\0\x3c", flags=0x8000)
    assert full.lease_time == 60
    assert full.broadcast


def test_relay_agent_option_comes_last() -> None:
    packet = PLAIN.with_option(82, b"old").with_option(12, b"name").with_option(82, b"new")
    assert list(packet.options) == [53, 12, 82]
    assert 82 not in packet.with_option(82, None).options


def test_names_that_do_not_fit() -> None:
    with pytest.raises(DecodeError):
        dhcp.build(DhcpPacket(1, 1, "02:00:00:00:00:01", {}, sname=bytes(65)))
    with pytest.raises(DecodeError):
        dhcp.build(DhcpPacket(1, 1, "02:00:00:00:00:0", {}))
    with pytest.raises(DecodeError):
        dhcp.build(DhcpPacket(1, 1, "02:00:00:00:00:01", {}, ciaddr="1.2.3"))


def test_what_a_request_is_for() -> None:
    assert PLAIN.asks_for == "0.0.0.0"
    selecting = PLAIN.with_option(50, b"\x0a\0\0\1")
    assert selecting.asks_for == "10.0.0.1"
    assert selecting.with_option(50, b"\x0a\0\0\1", ciaddr="10.0.0.2").asks_for == "10.0.0.2"


def test_a_client_identifier_is_kept_within_bounds() -> None:
    assert PLAIN.client_id == b""
    assert PLAIN.with_option(61, b"\1\2").client_id == b"\1\2"
    assert len(PLAIN.with_option(61, bytes(700)).client_id) == 255


def test_an_option_that_comes_twice_is_joined() -> None:
    """RFC 3396: who reads only the first, or only the last, is led astray by whoever wrote the other."""
    data = dhcp.build(PLAIN)[:240] + b"\x35\1\1" + b"\x52\3\1\1a" + b"\x0c\1x" + b"\x52\3\2\1b" + b"\xff"
    assert dhcp.parse(data).options[82] == b"\1\1a\2\1b"


@pytest.mark.parametrize(
    ("options", "why"), [(b"\x35", "without length"), (b"\x35\x09\x01", "past the end"), (b"\0\0", "")]
)
def test_options_that_end_early(options: bytes, why: str) -> None:
    data = dhcp.build(PLAIN)[:240] + options
    if why:
        with pytest.raises(DecodeError, match=why):
            dhcp.parse(data)
    else:
        assert dhcp.parse(data).options == {}
