"""What this machine can do for a data plane: a report for `aether bng doctor`.

Everything is tried rather than asked: with a pair of interfaces made for the purpose and removed again, and
with an nftables transaction that leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address

from bng.dataplane import conntrack, link, nft, offload, port, shards, sysctl, tc
from bng.dataplane.base import DataPlaneError
from bng.dataplane.netlink import CREATE, EXCL, NETFILTER, ROUTE, Connection, Message, attribute, nested

_GNMI = 57400
_NEWLINK, _DELLINK = 16, 17
_IFINFO = struct.Struct("=BxHiII")
_IFLA_IFNAME, _IFLA_LINKINFO, _INFO_KIND = 3, 18, 1

_TRIAL = """
table ip {name} {{
    map m {{
        typeof meta iif . ether saddr . ip saddr : meta priority
        size 16
        counter
    }}
    chain c {{
        type filter hook prerouting priority raw; policy accept;
        meta priority set meta iif . ether saddr . ip saddr map @m accept
    }}
    chain n {{
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr 192.0.2.0/24 masquerade
    }}
}}
delete table ip {name}
"""
_BLOCKS = """
table ip {name} {{
    map m {{
        type ipv4_addr : interval ipv4_addr . inet_service
        size 16
        elements = {{ 192.0.2.1 : 203.0.113.1 . 1024-2047 }}
    }}
    chain n {{
        type nat hook postrouting priority srcnat; policy accept;
        meta l4proto {{ icmp, tcp, udp }} snat ip addr . port to ip saddr map @m
    }}
}}
delete table ip {name}
"""
_FLOWS = """
table ip {name} {{
    set s {{
        typeof ip saddr
        size 16
        flags dynamic
    }}
    chain c {{
        type filter hook forward priority filter; policy accept;
        ct state new add @s {{ ip saddr ct count over 16 }} drop
    }}
}}
delete table ip {name}
"""
_ARP = """
table arp {name} {{
    set s {{
        type iface_index . ether_addr
        size 16
        flags dynamic
        timeout 10s
    }}
    chain c {{
        type filter hook input priority filter; policy accept;
        update @s {{ iif . arp saddr ether limit rate over 20/second burst 40 packets }} drop
    }}
}}
delete table arp {name}
"""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was tried.

    Attributes:
        required: whether the data plane cannot do without it.
        detail: what was found, or what to do about it.
    """

    name: str
    ok: bool
    required: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Report:
    """All of them."""

    checks: tuple[Check, ...]

    @property
    def usable(self) -> bool:
        """Whether the data plane will work."""
        return all(check.ok for check in self.checks if check.required)

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {"usable": self.usable, "checks": [asdict(check) for check in self.checks]}

    def __str__(self) -> str:
        """A table to read."""
        marks = {(True, True): "ok", (True, False): "ok", (False, True): "MISSING", (False, False): "absent"}
        width = max(len(check.name) for check in self.checks)
        lines = [
            f"{marks[each.ok, each.required]:8} {each.name:{width}}  {each.detail}" for each in self.checks
        ]
        end = "The data plane can run here." if self.usable else "The data plane cannot run here."
        return "\n".join([*lines, end])


def probe(interfaces: tuple[str, ...] = ()) -> Report:
    """Try everything in the network namespace of the caller.

    Args:
        interfaces: whose offloads to look at.
    """
    checks = [
        *_privileges(),
        *_shaping(),
        _maps(),
        *_translation(),
        _flow_limit(),
        _arp(),
        *_settings(),
        _ports(),
    ]
    for name in interfaces:
        active = offload.read(name).active()
        detail = f"{', '.join(active)} on: nftables counts some packets as one" if active else "off"
        checks.append(Check(f"offloads of {name}", not active, False, detail))
    return Report(tuple(checks))


def _privileges() -> Iterator[Check]:
    advice = "needs the capability NET_RAW (to see DHCP)"
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
        yield Check("packet sockets", True, True, "permitted")
    except OSError as fault:
        yield Check("packet sockets", False, True, f"{fault.strerror}: {advice}")


def _shaping() -> Iterator[Check]:
    """Interfaces, HTB and the queues of its classes, on a pair of interfaces of our own."""
    connection = Connection(ROUTE)
    name = f"ae{secrets.token_hex(5)}"
    try:
        connection.one(_veth(name))
    except OSError as fault:
        advice = "needs the capability NET_ADMIN, and veth in the kernel"
        yield Check("interfaces", False, True, f"{fault.strerror}: {advice}")
        connection.close()
        return
    yield Check("interfaces", True, True, "can be made and set")
    try:
        found = link.find(connection, name)
        if found is not None:
            yield from _queues(connection, port.Port(name, found.index, shards.SHARDED))
    finally:
        with contextlib.suppress(OSError):
            connection.one(Message(_DELLINK, 0, _named(name)))
        connection.close()


def _queues(connection: Connection, trial: port.Port) -> Iterator[Check]:
    try:
        connection.one(tc.root(trial.index))
        connection.one(tc.shape_class(trial.index, trial.layout.class_id(0), tc.PARKED))
    except OSError as fault:
        detail = f"{fault.strerror}: the kernel needs CONFIG_NET_SCH_HTB"
        yield Check("HTB", False, True, detail)
        return
    yield Check("HTB", True, True, "shapes and counts")
    can = shards.add_filter(connection, trial.index)
    alone = (
        f"CONFIG_NET_CLS_BPF: {shards.FLAT.end} sessions at most, starting one is slow beyond some thousand"
    )
    yield Check("HTB shards", can, False, f"{shards.SHARDED.end} sessions" if can else alone)
    has_it = port.best_leaf(connection, trial) is not None
    detail = "used as the queue of each class" if has_it else "each class has a plain queue instead"
    yield Check("fq_codel", has_it, False, detail)


def _maps() -> Check:
    try:
        nft.run(_TRIAL.format(name=f"ae{secrets.token_hex(5)}"))
    except (DataPlaneError, OSError) as fault:
        return Check("nftables", False, True, f"{fault}; the kernel needs nf_tables with maps and NAT")
    return Check("nftables", True, True, "maps, counters and NAT")


def _translation() -> Iterator[Check]:
    """Port blocks, and flows that can be deleted by their source."""
    try:
        nft.run(_BLOCKS.format(name=f"ae{secrets.token_hex(5)}"))
        yield Check("NAT with port blocks", True, True, "maps of addresses and port ranges")
    except (DataPlaneError, OSError) as fault:
        yield Check("NAT with port blocks", False, True, f"{fault}; needs Linux 5.6 and nftables 1.0")
    connection = Connection(NETFILTER)
    try:
        # of an address that no host has: none is deleted
        connection.one(conntrack.by_source(IPv4Address("192.0.2.1").packed))
        yield Check("conntrack", True, False, "flows can be deleted by their source")
    except OSError as fault:
        detail = f"{fault.strerror}: flows of sessions that end are looked for in the whole table"
        yield Check("conntrack", False, False, detail)
    finally:
        connection.close()


def _flow_limit() -> Check:
    try:
        nft.run(_FLOWS.format(name=f"ae{secrets.token_hex(5)}"))
    except (DataPlaneError, OSError) as fault:
        return Check("nftables connlimit", False, False, f"{fault}; flows are not limited")
    return Check("nftables connlimit", True, False, "limits the flows of each subscriber")


def _arp() -> Check:
    try:
        nft.run(_ARP.format(name=f"ae{secrets.token_hex(5)}"))
    except (DataPlaneError, OSError) as fault:
        return Check("nftables for ARP", False, False, f"{fault}; ARP of subscribers is not limited")
    return Check("nftables for ARP", True, False, "limits the ARP of each subscriber")


def _settings() -> Iterator[Check]:
    for name, value in sysctl.MANDATORY.items():
        now = sysctl.read(name)
        path = sysctl.IPV4 / name
        ok = now == value or os.access(path, os.W_OK)
        if now is None:
            detail = "this kernel has none"
        elif ok:
            detail = f"is {now}" if now == value else f"is {now}, will be set to {value}"
        else:
            detail = f"is {now}, must be {value}, and cannot be set: start the container with --sysctl"
        yield Check(f"net.ipv4.{name}", ok and now is not None, True, detail)


def _ports() -> Check:
    """Of the ports that servers listen on by default, this is one that the kernel gives to clients."""
    name, held = sysctl.RESERVED_PORTS, sysctl.read(sysctl.RESERVED_PORTS)
    if held is None:
        ok, detail = False, "this kernel has none"
    elif sysctl.is_reserved(_GNMI, held):
        ok, detail = True, f"is {held}"
    else:
        ok = os.access(sysctl.IPV4 / name, os.W_OK)
        if ok:
            detail = f"will have {_GNMI}"
        else:
            detail = (
                f"has no {_GNMI}, and cannot be set: start the container with --sysctl; a client may be "
                "given the port of gNMI while the BNG is restarted"
            )
    return Check(f"net.ipv4.{name}", ok, False, detail)


def _named(name: str) -> bytes:
    return _IFINFO.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + attribute(_IFLA_IFNAME, name.encode() + b"\0")


def _veth(name: str) -> Message:
    kind = attribute(_INFO_KIND, b"veth")
    return Message(_NEWLINK, CREATE | EXCL, _named(name) + nested(_IFLA_LINKINFO, kind))
