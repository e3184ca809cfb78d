"""Routes that make the pool's public addresses the BNG's own.

The upstream router sends them here by a route of its own, or, where the pool is part of the network that it
shares with the BNG, by ARP, which the kernel answers for addresses that are local. What arrives for one
without a flow is dropped in input, instead of being sent back to the router by the default route, and again.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network
from socket import AF_INET

from bng.dataplane.netlink import CREATE, EXCL, Connection, Message, attribute, attribute_map, messages

PROTOCOL = 174
"""rtm_protocol of the BNG's routes, as `bng.netif` has it."""

_NEWROUTE, _DELROUTE, _GETROUTE = 24, 25, 26
_HEAD = struct.Struct("=BBBBBBBBI")
_LOCAL_TABLE, _SCOPE_HOST, _TYPE_LOCAL = 255, 254, 2
_DESTINATION, _OUT_INTERFACE = 1, 4
_HARMLESS = (errno.EEXIST, errno.ESRCH, errno.ENODEV, errno.ENETDOWN)


def hold(connection: Connection, index: int, pool: Iterable[IPv4Network]) -> None:
    """Have these routes through an interface, and no others of the kind. One that is gone or down has none.
    Raises OSError."""
    wanted = {(network, index) for network in pool}
    there = _held(connection)
    requests = [_message(_DELROUTE, 0, *route) for route in there - wanted]
    requests += [_message(_NEWROUTE, CREATE | EXCL, *route) for route in wanted - there]
    for code in connection.request(requests).errors.values():
        if code not in _HARMLESS:
            raise OSError(code, "the routes of the pool of public addresses cannot be set")


def _message(kind: int, flags: int, network: IPv4Network, index: int) -> Message:
    head = _HEAD.pack(AF_INET, network.prefixlen, 0, 0, _LOCAL_TABLE, PROTOCOL, _SCOPE_HOST, _TYPE_LOCAL, 0)
    to = attribute(_DESTINATION, network.network_address.packed)
    return Message(kind, flags, head + to + attribute(_OUT_INTERFACE, struct.pack("=I", index)))


def _held(connection: Connection) -> set[tuple[IPv4Network, int]]:
    found = set()
    data = bytes(connection.dump(_GETROUTE, _HEAD.pack(AF_INET, 0, 0, 0, _LOCAL_TABLE, 0, 0, 0, 0)))
    for kind, _, start, end in messages(data):
        if kind != _NEWROUTE:
            continue
        _, length, _, _, table, protocol, _, type_, _ = _HEAD.unpack_from(data, start)
        parts = attribute_map(data, start + _HEAD.size, end)
        if (table, protocol, type_) == (_LOCAL_TABLE, PROTOCOL, _TYPE_LOCAL) and _DESTINATION in parts:
            address = IPv4Address(data[slice(*parts[_DESTINATION])])
            at = parts.get(_OUT_INTERFACE)
            index = struct.unpack("=I", data[slice(*at)])[0] if at else 0
            found.add((IPv4Network((address, length)), index))
    return found
