"""Access routers: who is there, learnt from the DHCP that they relay and from ICMP echo probes.

One raw socket serves all probes, which are spread over the period. A router is *up* when it answers or
relays DHCP, *down* when three probes in a row went without an answer, *unknown* before either.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from bng.config import Router
from bng.pins import Pins
from bng.seam.clock import NS, date_and_time
from bng.slices import Slices

log = structlog.get_logger()

MAX_DISCOVERED = 10_000
"""Nodes that are remembered without being configured; the one that was silent longest goes first."""

_DISCOVERIES, _DISCOVERIES_PER_SECOND = 200, 20
"""New nodes at once, and per second after that."""
_LOOK_AGAIN = 1.0
"""Seconds after which the probes look at the configuration again."""
_UNANSWERED_LIMIT = 3
_ECHO_REQUEST, _ECHO_REPLY = 8, 0
_SOL_RAW, _ICMP_FILTER = 255, 1
_NO_ADDRESS = "0.0.0.0"  # noqa: S104 - an address in a packet


@dataclass(slots=True)
class _Watched:
    router: Router
    reachability: str = "unknown"
    last_seen: int = 0
    mac_address: str | None = None
    round_trip: int | None = None
    jitter: float = 0.0
    unanswered: int = 0
    probe: tuple[int, int] | None = None
    """(sequence number, time in nanoseconds) of the probe that is under way."""


@dataclass(slots=True)
class _Discovered:
    remote_id: str
    giaddr: str
    last_seen: int
    mac_address: str | None


def _discovered_record(found: _Discovered) -> dict[str, Any]:
    return {
        "remote_id": found.remote_id,
        "giaddr": found.giaddr,
        "mac_address": found.mac_address,
        "last_seen": date_and_time(found.last_seen),
    }


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of an even number of octets."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def echo_request(identifier: int, sequence: int) -> bytes:
    """An ICMP echo request (RFC 792) without data."""
    header = struct.pack("!BBHHH", _ECHO_REQUEST, 0, 0, identifier, sequence)
    return header[:2] + struct.pack("!H", checksum(header)) + header[4:]


def parse_echo_reply(packet: bytes) -> tuple[str, int, int] | None:
    """(source address, identifier, sequence) of an IPv4 packet that is an ICMP echo reply, else None."""
    if len(packet) < 28 or packet[0] >> 4 != 4 or packet[9] != socket.IPPROTO_ICMP:
        return None
    start = (packet[0] & 15) * 4
    if len(packet) < start + 8 or packet[start] != _ECHO_REPLY:
        return None
    identifier, sequence = struct.unpack_from("!HH", packet, start + 4)
    return socket.inet_ntoa(packet[12:16]), identifier, sequence


class RouterWatch:
    """The state of all access routers.

    Args:
        journal: takes a router-update event.
        active_sessions: number of sessions behind a remote-id.
        clock: nanoseconds since the epoch.

    Attributes:
        period: seconds between two probes of a router; may be changed.
        changed: something that `records` tells is different from what it told last.
        urgent: and somebody waits for it: a reachability, a new node.
    """

    def __init__(
        self,
        journal: Callable[[Mapping[str, Any]], None],
        active_sessions: Callable[[str], int],
        *,
        period: int = 30,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.period = period
        self.changed = self.urgent = True
        self._journal = journal
        self._active_sessions = active_sessions
        self._clock = clock
        self._pins = Pins(self._replaced, clock)
        self._watched: dict[str, _Watched] = {}
        self._probed: deque[_Watched] = deque()
        """Routers with an address; whose turn it is next is first."""
        self._under_way: dict[int, _Watched] = {}
        """Probes that are not answered, by sequence number."""
        self._discoveries, self._discovered_last = float(_DISCOVERIES), 0
        self._discovered: OrderedDict[str, _Discovered] = OrderedDict()
        self._identifier = os.getpid() & 0xFFFF
        self._sequence = 0
        self._socket: socket.socket | None = None
        self._task: asyncio.Task[None] | None = None

    def configure(self, routers: Mapping[str, Router]) -> None:
        """Take over the configured routers; what is known of those that stay is kept."""
        watched: dict[str, _Watched] = {}
        for router in routers.values():
            held = self._watched.get(router.remote_id)
            if held is None:
                held = self._take_in(router)
            elif held.router.address != router.address:
                # what DHCP told stays true, what probes told was of somebody else
                self._forget_probes(held)
            held.router = router
            watched[router.remote_id] = held
        for remote_id, gone in self._watched.items():
            if remote_id not in watched:
                self._forget_probes(gone)
        self._watched = watched
        self._pins.configure(routers)
        probed = {id(one): one for one in watched.values() if one.router.address is not None}
        # those that stay keep their turn
        turns = [probed.pop(id(one)) for one in self._probed if id(one) in probed]
        self._probed = deque((*turns, *probed.values()))
        self.changed = self.urgent = True

    def _take_in(self, router: Router) -> _Watched:
        held = _Watched(router)
        found = self._discovered.pop(router.remote_id, None)
        if found is not None:
            held.last_seen, held.mac_address, held.reachability = found.last_seen, found.mac_address, "up"
        return held

    def _forget_probes(self, watched: _Watched) -> None:
        if watched.probe is not None:
            self._under_way.pop(watched.probe[0], None)
        watched.probe = watched.round_trip = None
        watched.unanswered, watched.jitter = 0, 0.0

    def seen(self, remote_id: str, giaddr: str, source_mac: str = "", interface: str = "") -> None:
        """A node relayed DHCP on an interface.

        Args:
            giaddr: its address, ``0.0.0.0`` for a bridged node.
            source_mac: Ethernet source of the packet.
        """
        now = self._clock()
        self.changed = True
        mac = source_mac if giaddr != _NO_ADDRESS and source_mac else None
        watched = self._watched.get(remote_id)
        if watched is not None:
            doubtful = self._pins.seen(remote_id, giaddr, interface, mac or "")
            watched.mac_address = self._pins.of(remote_id) or mac or watched.mac_address
            self._alive(watched, now)
            if doubtful:
                self.probe(remote_id)
            return
        found = self._discovered.get(remote_id)
        if found is not None:
            found.giaddr, found.last_seen, found.mac_address = giaddr, now, mac or found.mac_address
            self._discovered.move_to_end(remote_id)
        elif self._may_discover(now):
            self._discover(_Discovered(remote_id, giaddr, now, mac))

    def _may_discover(self, now: int) -> bool:
        """Whether a new node is taken note of: names that somebody makes up must not fill the journal, and
        one that is real is seen again."""
        elapsed = max(0, now - self._discovered_last)
        self._discovered_last = now
        self._discoveries = min(_DISCOVERIES, self._discoveries + elapsed * _DISCOVERIES_PER_SECOND / NS)
        if self._discoveries < 1:
            return False
        self._discoveries -= 1
        return True

    def _discover(self, found: _Discovered) -> None:
        remote_id, giaddr = found.remote_id, found.giaddr
        self._discovered[remote_id] = found
        if len(self._discovered) > MAX_DISCOVERED:
            self._discovered.popitem(last=False)
        self.urgent = True
        router = {"name": remote_id, "remote-id": remote_id, "reachability": "up", "configured": False}
        if giaddr != _NO_ADDRESS:
            router["address"] = giaddr
        self._journal({"type": "router-update", "router": router})

    def records(self) -> dict[str, list[dict[str, Any]]]:
        """What is known, for management: ``configured`` and ``discovered``."""
        self.changed = self.urgent = False
        return {
            "configured": [self._configured_record(watched) for watched in self._watched.values()],
            "discovered": [_discovered_record(found) for found in self._discovered.values()],
        }

    async def gather(self) -> dict[str, list[dict[str, Any]]]:
        """`records`, made in slices."""
        self.changed = self.urgent = False
        slices = Slices()
        configured, discovered = [], []
        for watched in list(self._watched.values()):
            configured.append(self._configured_record(watched))
            if slices.due():
                await slices.rest()
        for found in list(self._discovered.values()):
            discovered.append(_discovered_record(found))
            if slices.due():
                await slices.rest()
        return {"configured": configured, "discovered": discovered}

    def __len__(self) -> int:
        """Routers that are told of."""
        return len(self._watched) + len(self._discovered)

    def _configured_record(self, watched: _Watched) -> dict[str, Any]:
        measured = watched.round_trip is not None
        return {
            "name": watched.router.name,
            "reachability": watched.reachability,
            "last_seen": date_and_time(watched.last_seen) if watched.last_seen else None,
            "round_trip_time": watched.round_trip,
            "round_trip_jitter": round(watched.jitter) if measured else None,
            "mac_address": watched.mac_address,
            "active_sessions": self._active_sessions(watched.router.remote_id),
        }

    # probes

    def start(self) -> None:
        """Begin to probe. Without the privilege for raw sockets only DHCP tells who is there."""
        try:
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        except OSError as error:
            log.warning("routers.no-probes", reason=error.strerror)
            return
        self._socket.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", ~(1 << _ECHO_REPLY) & 0xFFFFFFFF))
        self._socket.setblocking(False)
        loop = asyncio.get_running_loop()
        loop.add_reader(self._socket, self._receive)
        self._task = loop.create_task(self._probe_all())

    def close(self) -> None:
        """Stop probing."""
        if self._task is not None:
            self._task.cancel()
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        self._pins.close()

    async def _probe_all(self) -> None:
        loop = asyncio.get_running_loop()
        last = loop.time()
        while True:
            pause = self.period / max(1, len(self._probed))
            left = last + pause - loop.time()
            if left > 0:
                # the period and the routers may change meanwhile
                await asyncio.sleep(min(left, _LOOK_AGAIN))
                continue
            last = max(last + pause, loop.time() - pause)
            self.probe_next()
            await asyncio.sleep(0)

    def probe_next(self) -> None:
        """Probe the router whose turn it is."""
        if self._probed:
            self.probe(self._probed[0].router.remote_id)
            self._probed.rotate(-1)

    def probe(self, remote_id: str) -> None:
        """Send a probe; if the last one is still unanswered, that one is lost."""
        watched = self._watched.get(remote_id)
        if watched is None or watched.router.address is None:
            return
        if watched.probe is not None:
            self._under_way.pop(watched.probe[0], None)
            self._unanswered(watched)
        self._pins.probing(remote_id)
        self._sequence = (self._sequence + 1) & 0xFFFF
        watched.probe = (self._sequence, self._clock())
        self._under_way[self._sequence] = watched
        if self._socket is not None:
            try:
                packet = echo_request(self._identifier, self._sequence)
                self._socket.sendto(packet, (str(watched.router.address), 0))
            except OSError:
                log.debug("routers.probe-not-sent", router=watched.router.name)

    def _receive(self) -> None:
        assert self._socket is not None
        for _ in range(64):
            try:
                packet = self._socket.recv(2048)
            except OSError:
                return
            reply = parse_echo_reply(packet)
            if reply is not None:
                self.answered(*reply)

    def answered(self, address: str, identifier: int, sequence: int) -> None:
        """An echo reply came."""
        watched = self._under_way.get(sequence)
        if watched is None or watched.probe is None or identifier != self._identifier:
            return
        expected, sent = watched.probe
        if sequence != expected or address != str(watched.router.address):
            return
        now = self._clock()
        del self._under_way[sequence]
        watched.probe = None
        round_trip = max(0, now - sent) // 1000
        if watched.round_trip is not None:
            watched.jitter += (abs(round_trip - watched.round_trip) - watched.jitter) / 16
        watched.round_trip = round_trip
        self.changed = True
        self._pins.answered(watched.router.remote_id)
        self._alive(watched, now)

    def _alive(self, watched: _Watched, now: int) -> None:
        watched.last_seen = now
        watched.unanswered = 0
        self._set(watched, "up")

    def _unanswered(self, watched: _Watched) -> None:
        watched.unanswered += 1
        self._pins.unanswered(watched.router.remote_id)
        if watched.unanswered >= _UNANSWERED_LIMIT:
            self._set(watched, "down")

    def _set(self, watched: _Watched, reachability: str) -> None:
        if watched.reachability == reachability:
            return
        watched.reachability = reachability
        self.changed = self.urgent = True
        self._tell(watched)

    def _replaced(self, router: Router, reason: str) -> None:
        """Another node stands in the place of one whose MAC address was pinned."""
        self._tell(self._watched[router.remote_id], reason=reason)

    def _tell(self, watched: _Watched, **more: str) -> None:
        router: dict[str, Any] = {
            "name": watched.router.name,
            "remote-id": watched.router.remote_id,
            "reachability": watched.reachability,
            "configured": True,
        }
        if watched.router.address is not None:
            router["address"] = str(watched.router.address)
        self._journal({"type": "router-update", "router": router, **more})
