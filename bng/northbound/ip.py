"""State of ietf-ip (RFC 8344): addresses, neighbours and settings that an interface has in the kernel."""

from __future__ import annotations

from ipaddress import IPv6Address
from pathlib import Path
from socket import AF_INET, AF_INET6
from typing import Final, NamedTuple

from bng.northbound.kernel import PERMANENT, Address, Neighbour, Tables

_TEMPORARY, _OPTIMISTIC, _DUPLICATE, _DEPRECATED, _TENTATIVE = 0x01, 0x04, 0x08, 0x20, 0x40
_NOARP, _ROUTER = 0x40, 0x80
_STATES: Final = {1: "incomplete", 2: "reachable", 4: "stale", 8: "delay", 16: "probe"}
_MAX_MTU_IPV4: Final = 65_535


class AddressState(NamedTuple):
    """ipv4/address and ipv6/address; `status` of IPv6 only."""

    ip: str
    prefix_length: int
    origin: str
    status: str | None = None


class NeighbourState(NamedTuple):
    """ipv4/neighbor and ipv6/neighbor; `is_router` and `state` of IPv6 only."""

    ip: str
    link_layer_address: str
    origin: str
    is_router: bool | None = None
    state: str | None = None


class Ipv4State(NamedTuple):
    """ietf-ip:ipv4. `enabled` and `mtu` are seen of an interface that has no configuration of them."""

    enabled: bool
    forwarding: bool
    mtu: int | None
    address: list[AddressState]
    neighbor: list[NeighbourState]


class Autoconf(NamedTuple):
    """ietf-ip:ipv6/autoconf."""

    create_global_addresses: bool


class Ipv6State(NamedTuple):
    """ietf-ip:ipv6."""

    enabled: bool
    forwarding: bool
    mtu: int | None
    address: list[AddressState]
    neighbor: list[NeighbourState]
    dup_addr_detect_transmits: int
    autoconf: Autoconf


def ipv4_state(conf: Path, name: str, index: int, mtu: int, tables: Tables) -> Ipv4State | None:
    """IPv4 of an interface; None where the kernel has none.

    Args:
        conf: /proc/sys/net/ipv4/conf.
        mtu: of the link, octets.
    """
    forwarding = _number(conf / name / "forwarding")
    if forwarding is None:
        return None
    found = tables.addresses.get((AF_INET, index), ())
    addresses = [
        AddressState(address.ip, address.prefix_length, "static" if address.flags & PERMANENT else "dhcp")
        for address in found
    ]
    neighbours = [NeighbourState(n.ip, n.link_layer_address, "dynamic") for n in tables.arp.get(name, ())]
    return Ipv4State(
        bool(addresses), bool(forwarding), mtu if mtu <= _MAX_MTU_IPV4 else None, addresses, neighbours
    )


def ipv6_state(conf: Path, name: str, index: int, tables: Tables) -> Ipv6State | None:
    """The same of IPv6; `conf` is /proc/sys/net/ipv6/conf."""
    disabled = _number(conf / name / "disable_ipv6")
    if disabled is None:
        return None
    return Ipv6State(
        not disabled,
        bool(_number(conf / name / "forwarding")),
        _number(conf / name / "mtu"),
        [_address6(address) for address in tables.addresses.get((AF_INET6, index), ())],
        [_neighbour6(n) for n in tables.neighbours.get(index, ()) if not n.state & _NOARP],
        max(0, _number(conf / name / "dad_transmits") or 0),
        Autoconf(bool(_number(conf / name / "autoconf"))),
    )


def _address6(address: Address) -> AddressState:
    return AddressState(address.ip, address.prefix_length, _origin6(address), _status6(address.flags))


def _origin6(address: Address) -> str:
    if address.flags & _TEMPORARY:
        return "random"
    if IPv6Address(address.ip).is_link_local or not address.flags & PERMANENT:
        return "link-layer"
    return "static"


def _status6(flags: int) -> str:
    for flag, status in (
        (_DUPLICATE, "duplicate"),
        (_TENTATIVE, "tentative"),
        (_OPTIMISTIC, "optimistic"),
        (_DEPRECATED, "deprecated"),
    ):
        if flags & flag:
            return status
    return "preferred"


def _neighbour6(found: Neighbour) -> NeighbourState:
    return NeighbourState(
        found.ip,
        found.link_layer_address,
        "static" if found.state & PERMANENT else "dynamic",
        True if found.flags & _ROUTER else None,
        _STATES.get(found.state),
    )


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
