"""Addresses, neighbours and changes of links, as the kernel tells them by rtnetlink."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from bng.dataplane.netlink import ROUTE, Connection, attribute_map, messages

RTM_NEWLINK, RTM_GETLINK, RTM_NEWADDR, RTM_GETADDR, RTM_NEWNEIGH, RTM_GETNEIGH = 16, 18, 20, 22, 28, 30
_RTMGRP_LINK: Final = 1
_IFADDRMSG, _NDMSG, _IFINFOMSG = struct.Struct("=BBBBi"), struct.Struct("=BBHiHBB"), struct.Struct("=BBHiII")
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS = 1, 2, 8
_NDA_DST, _NDA_LLADDR = 1, 2
_IFLA_IFNAME, _IFLA_OPERSTATE = 3, 16
_LEARNED: Final = " 0x2 "
"""Flags of a line of /proc/net/arp: ATF_COM, complete, and not ATF_PERM."""
_ARP_FIELDS: Final = 6
_READ: Final = 1 << 16

PERMANENT = 0x80
"""Flag of an address (IFA_F_PERMANENT) and state of a neighbour (NUD_PERMANENT)."""


@dataclass(frozen=True, slots=True)
class Address:
    """An address of an interface; `flags` are IFA_F_*."""

    ip: str
    prefix_length: int
    flags: int


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An entry of the neighbour table; `state` is NUD_*, `flags` NTF_*."""

    ip: str
    link_layer_address: str
    state: int = 0
    flags: int = 0


@dataclass(slots=True)
class Tables:
    """What the kernel has, by address family and index (addresses, IPv6 neighbours) or name (ARP)."""

    addresses: dict[tuple[int, int], list[Address]] = field(default_factory=dict)
    neighbours: dict[int, list[Neighbour]] = field(default_factory=dict)
    arp: dict[str, list[Neighbour]] = field(default_factory=dict)


class Kernel:
    """Reads the tables when they are asked for, once for a request that asks for each interface.

    Args:
        fresh: seconds that what was read is good for.
        arp: of /proc/net.
    """

    def __init__(self, fresh: float = 1.0, arp: Path = Path("/proc/net/arp")) -> None:
        self._fresh = fresh
        self._arp = arp
        self._read = float("-inf")
        self._tables = Tables()
        self._connection: Connection | None = None

    def tables(self) -> Tables:
        """What there is; empty where the kernel does not answer."""
        now = time.monotonic()
        if now - self._read >= self._fresh:
            try:
                self._tables = self._load()
            except OSError:
                self._tables = Tables()
            self._read = now
        return self._tables

    def _load(self) -> Tables:
        if self._connection is None:
            self._connection = Connection(ROUTE)
        tables = Tables()
        data = self._connection.dump(RTM_GETADDR, _IFADDRMSG.pack(socket.AF_UNSPEC, 0, 0, 0, 0))
        for kind, _, start, end in messages(data):
            if kind == RTM_NEWADDR:
                _take_address(tables, data, start, end)
        # Of IPv4 the kernel has an entry for every session: these come from a text that is cheap to scan.
        data = self._connection.dump(RTM_GETNEIGH, _NDMSG.pack(socket.AF_INET6, 0, 0, 0, 0, 0, 0))
        for kind, _, start, end in messages(data):
            if kind == RTM_NEWNEIGH:
                _take_neighbour(tables, data, start, end)
        for name, found in learned(self._arp):
            tables.arp.setdefault(name, []).append(found)
        return tables


def _take_address(tables: Tables, data: bytearray, start: int, end: int) -> None:
    family, length, flags, _, index = _IFADDRMSG.unpack_from(data, start)
    found = attribute_map(data, start + _IFADDRMSG.size, end)
    where = found.get(_IFA_LOCAL) or found.get(_IFA_ADDRESS)
    if where is None or family not in (socket.AF_INET, socket.AF_INET6):
        return
    if wide := found.get(_IFA_FLAGS):
        (flags,) = struct.unpack_from("=I", data, wide[0])
    address = str(ip_address(bytes(data[where[0] : where[1]])))
    tables.addresses.setdefault((family, index), []).append(Address(address, length, flags))


def _take_neighbour(tables: Tables, data: bytearray, start: int, end: int) -> None:
    family, _, _, index, state, flags, _ = _NDMSG.unpack_from(data, start)
    found = attribute_map(data, start + _NDMSG.size, end)
    where, link = found.get(_NDA_DST), found.get(_NDA_LLADDR)
    if family != socket.AF_INET6 or where is None or link is None:
        return
    address = str(ip_address(bytes(data[where[0] : where[1]])))
    physical = bytes(data[link[0] : link[1]]).hex(":")
    tables.neighbours.setdefault(index, []).append(Neighbour(address, physical, state, flags))


def learned(arp: Path) -> Iterator[tuple[str, Neighbour]]:
    """Interface and neighbour of each complete entry of /proc/net/arp that is not permanent: permanent ones
    belong to sessions."""
    try:
        text = arp.read_text()
    except OSError:
        return
    at = text.find(_LEARNED)
    while at >= 0:  # few lines of many
        end = text.find("\n", at)
        fields = text[text.rfind("\n", 0, at) + 1 : end].split()
        if len(fields) == _ARP_FIELDS and fields[2] == _LEARNED.strip():
            yield fields[5], Neighbour(fields[0], fields[3])
        at = text.find(_LEARNED, end) if end >= 0 else -1


class Links:
    """When the state of each link changed last, from the kernel's own messages.

    Args:
        changed: called with the name of an interface whose state is another.
    """

    def __init__(self, changed: Callable[[str], None]) -> None:
        self._changed = changed
        self._states: dict[str, int] = {}
        self._times: dict[str, int] = {}

    def open(self) -> socket.socket:
        """The socket on which `receive` is to be called when it is readable. Raises OSError."""
        links = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, ROUTE
        )
        links.bind((0, _RTMGRP_LINK))
        connection = Connection(ROUTE)
        try:
            self.know(connection.dump(RTM_GETLINK, _IFINFOMSG.pack(socket.AF_UNSPEC, 0, 0, 0, 0, 0)))
        finally:
            connection.close()
        return links

    def last_change(self, name: str) -> int | None:
        """Nanoseconds since the epoch; None when it has not changed since this object was made."""
        return self._times.get(name)

    def receive(self, links: socket.socket) -> None:
        """Take in what the kernel told."""
        while True:
            try:
                data = links.recv(_READ)
            except BlockingIOError:
                return
            except OSError:  # more than the buffer holds: what was lost is seen with the next change
                continue
            self.take(data, time.time_ns())

    def know(self, data: bytes | bytearray) -> None:
        """Links as they are, which is no change."""
        self._states.update(_states(data))

    def take(self, data: bytes, now: int) -> None:
        """Messages of the kernel, which came at a time in nanoseconds since the epoch."""
        for name, state in _states(data):
            if self._states.get(name) == state:
                continue
            if len(self._times) >= _MAX_LINKS:  # interfaces that come and go under ever new names
                self._states.clear()
                self._times.clear()
            self._states[name] = state
            self._times[name] = now
            self._changed(name)


def _states(data: bytes | bytearray) -> Iterator[tuple[str, int]]:
    """Name and operational state (IF_OPER_*) in each message about a link."""
    for kind, _, start, end in messages(data):
        found = attribute_map(data, start + _IFINFOMSG.size, end)
        name, state = found.get(_IFLA_IFNAME), found.get(_IFLA_OPERSTATE)
        if kind == RTM_NEWLINK and name is not None and state is not None:
            yield data[name[0] : name[1]].rstrip(b"\0").decode(errors="replace"), data[state[0]]


_MAX_LINKS: Final = 10_000
