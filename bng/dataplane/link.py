"""Network interfaces: what they are, what the data plane sets on them, and permanent neighbours."""

from __future__ import annotations

import errno
import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address

from bng.dataplane.netlink import CREATE, REPLACE, Connection, Message, attribute, attribute_map, messages

_NEWLINK, _GETLINK = 16, 18
_NEWNEIGH, _DELNEIGH, _GETNEIGH = 28, 29, 30
_IFINFO = struct.Struct("=BxHiII")
_NDMSG = struct.Struct("=BxxxiHBB")
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_TXQLEN, _IFLA_GROUP, _IFLA_CARRIER_CHANGES = 1, 3, 13, 27, 35
_NDA_DST, _NDA_LLADDR = 1, 2
_NUD_PERMANENT = 0x80
_NUD_KNOWN = 0xDE  # reachable, stale, delay, probe, noarp, permanent
_ARPHRD_ETHER = 1


@dataclass(frozen=True, slots=True)
class Link:
    """A network interface.

    Attributes:
        index: its number; another one when it was removed and made again.
        ethernet: whether frames have an Ethernet header.
        group, queue_length: `ip link`'s group and txqueuelen.
        address: its MAC address.
        carrier_changes: how often it went up or down.
    """

    name: str
    index: int
    ethernet: bool
    group: int
    queue_length: int
    address: bytes
    carrier_changes: int


def find(connection: Connection, name: str) -> Link | None:
    """The interface of this name, or None."""
    query = _IFINFO.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + attribute(_IFLA_IFNAME, name.encode() + b"\0")
    try:
        answer = connection.one(Message(_GETLINK, 0, query))
    except OSError as fault:
        if fault.errno in (errno.ENODEV, errno.EINVAL, errno.ERANGE):
            return None
        raise
    for kind, _, start, end in messages(answer):
        if kind == _NEWLINK:
            _, hardware, index, _, _ = _IFINFO.unpack_from(answer, start)
            values = attribute_map(answer, start + _IFINFO.size, end)

            def number(which: int, values: dict[int, tuple[int, int]] = values) -> int:
                return struct.unpack_from("=I", answer, values[which][0])[0] if which in values else 0

            first, last = values.get(_IFLA_ADDRESS, (0, 0))
            address = bytes(answer[first:last])
            return Link(
                name=name,
                index=index,
                ethernet=hardware == _ARPHRD_ETHER,
                group=number(_IFLA_GROUP),
                queue_length=number(_IFLA_TXQLEN),
                address=address,
                carrier_changes=number(_IFLA_CARRIER_CHANGES),
            )
    return None


def set_group(connection: Connection, link: Link, group: int, queue_length: int) -> None:
    """Put an interface into a group and bound the queues that are made on it from now on."""
    request = _IFINFO.pack(socket.AF_UNSPEC, 0, link.index, 0, 0)
    request += attribute(_IFLA_GROUP, struct.pack("=I", group))
    request += attribute(_IFLA_TXQLEN, struct.pack("=I", queue_length))
    connection.one(Message(_NEWLINK, 0, request))


def neighbour(index: int, ip: IPv4Address, mac: bytes) -> Message:
    """Set a permanent neighbour. Dynamic ones are bounded at 1,024 in a namespace, and can be spoofed."""
    payload = _NDMSG.pack(socket.AF_INET, index, _NUD_PERMANENT, 0, 0)
    return Message(
        _NEWNEIGH, CREATE | REPLACE, payload + attribute(_NDA_DST, ip.packed) + attribute(_NDA_LLADDR, mac)
    )


def no_neighbour(index: int, ip: IPv4Address) -> Message:
    """Forget a neighbour."""
    payload = _NDMSG.pack(socket.AF_INET, index, 0, 0, 0)
    return Message(_DELNEIGH, 0, payload + attribute(_NDA_DST, ip.packed))


def neighbour_of(connection: Connection, index: int, ip: IPv4Address) -> tuple[str, bool]:
    """(MAC address of a neighbour, whether it is permanent); empty while it is not known. Raises OSError."""
    payload = _NDMSG.pack(socket.AF_INET, index, 0, 0, 0)
    try:
        answer = connection.one(Message(_GETNEIGH, 0, payload + attribute(_NDA_DST, ip.packed)))
    except OSError as fault:
        if fault.errno == errno.ENOENT:
            return "", False
        raise
    for kind, _, start, end in messages(answer):
        if kind == _NEWNEIGH:
            state = _NDMSG.unpack_from(answer, start)[2]
            first, last = attribute_map(answer, start + _NDMSG.size, end).get(_NDA_LLADDR, (0, 0))
            known = state & _NUD_KNOWN
            return (bytes(answer[first:last]).hex(":"), state == _NUD_PERMANENT) if known else ("", False)
    return "", False


def neighbours(connection: Connection) -> set[tuple[int, bytes]]:
    """The permanent ones: index of the interface, and address in network order. Raises OSError."""
    found: set[tuple[int, bytes]] = set()
    for part in connection.parts(_GETNEIGH, _NDMSG.pack(socket.AF_INET, 0, 0, 0, 0)):
        data = bytes(part)
        for kind, _, start, end in messages(data):
            if kind != _NEWNEIGH:
                continue
            _, index, state, _, _ = _NDMSG.unpack_from(data, start)
            values = attribute_map(data, start + _NDMSG.size, end)
            if state & _NUD_PERMANENT and _NDA_DST in values:
                found.add((index, data[slice(*values[_NDA_DST])]))
    return found
