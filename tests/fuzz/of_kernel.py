"""What the kernel tells the BNG: classes, maps, flows, and echoes that it hands over."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from ipaddress import IPv4Address

from bng.dataplane import netlink
from bng.dataplane.base import Binding
from bng.dataplane.classstats import parse_classes, parse_leaves
from bng.dataplane.conntrack import _deletions
from bng.dataplane.natmap import MAP_BLOCK, MAP_WHOLE, decode, encode
from bng.dataplane.reading import readings
from bng.routers import echo_request, parse_echo_reply
from tests.fuzz.runner import Target


def targets() -> Iterator[Target]:
    yield Target("netlink", [_class_dump(), _class_dump() * 3], _netlink)
    yield Target("nat-map", [encode(binding) for binding in _BINDINGS], _nat_map)
    yield Target("flows", [_flows(), _flows() * 3], _flows_cut)
    yield Target("icmp", [_echo_reply()], _icmp)


def _class_dump() -> bytes:
    """Three HTB classes as the kernel describes them."""
    stats = netlink.attribute(1, struct.pack("=QI4x", 1500, 1)) + netlink.attribute(8, struct.pack("=Q", 1))
    stats += netlink.attribute(3, struct.pack("=IIIII", 0, 0, 2, 0, 0))
    parms = netlink.nested(2, netlink.attribute(1, bytes(48)))
    found = b""
    for number in range(3):
        body = struct.pack("=BxxxiIII", 0, 5, 0x10010 + number, 0x10000, 0)
        body += netlink.attribute(1, b"htb\0") + parms + netlink.nested(7, stats)
        found += struct.pack("=IHHII", 16 + len(body), 40, 2, 1, 1) + body
    return found


def _netlink(data: bytes) -> bool:
    """The kernel is believed, a message cut short is not: no octet beyond it is read."""
    buffer = bytearray(data)
    for table in (parse_classes(buffer), parse_leaves(buffer)):
        assert len(table) <= len(data) // 16
    found = readings(buffer)
    return bool(found) or not data


_BINDINGS = (
    Binding(IPv4Address("203.0.113.1")),
    Binding(IPv4Address("203.0.113.1"), 1024, 2047),
)


def _nat_map(data: bytes) -> bool:
    found = [decode(name, data) for name in (MAP_WHOLE, MAP_BLOCK, b"nat\0")]
    assert found[2] is None
    for binding in found:
        if binding is not None and not binding.whole:
            assert encode(binding)[:6] == data[:6]
    return any(binding is not None for binding in found)


def _flows() -> bytes:
    """A flow of conntrack, as the kernel describes it."""
    found = b""
    for number, (source, destination) in enumerate(((b"\x64\x40\0\1", b"\xc6\x33\x64\1"),) * 2, 1):
        addresses = netlink.attribute(1, source) + netlink.attribute(2, destination)
        found += netlink.nested(number, netlink.nested(1, addresses))
    body = struct.pack("=BBH", 2, 0, 0) + found
    return struct.pack("=IHHII", 16 + len(body), 1 << 8, 2, 1, 1) + body


def _flows_cut(data: bytes) -> bool:
    """No more deletions than flows, each of a flow from who is to be cut."""
    source = b"\x64\x40\0\1"
    for untranslated in (False, True):
        found = _deletions(data, source.__eq__, untranslated)
        assert len(found) <= len(data) // 16
        assert all(source in message.payload for message in found)
    return bool(_deletions(data, source.__eq__, untranslated=False))


def _echo_reply() -> bytes:
    icmp = bytearray(echo_request(7, 9))
    icmp[0] = 0
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28, 0, 0, 64, 1, 0, bytes(4), bytes(4)) + bytes(icmp)


def _icmp(data: bytes) -> bool:
    return parse_echo_reply(data) is not None
