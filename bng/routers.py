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
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from bng.config import Router
from bng.seam.clock import date_and_time

log = structlog.get_logger()

MAX_DISCOVERED = 10_000
"""Nodes that are remembered without being configured; the one that was silent longest goes first."""

_UNANSWERED_LIMIT = 3
_ECHO_REQUEST, _ECHO_REPLY = 8, 0
_SOL_RAW, _ICMP_FILTER = 255, 1
_NO_ADDRESS = "0.0.0.0"  # noqa: S104 - an address in a packet


@dataclass(slots=True)
class _Watched:
    router: Router
    reachability: str = "unknown"
    last_seen: int = 0
    round_trip: int | None = None
    unanswered: int = 0
    probe: tuple[int, int] | None = None
    """(sequence number, time in nanoseconds) of the probe that is under way."""


@dataclass(slots=True)
class _Discovered:
    remote_id: str
    giaddr: str
    last_seen: int


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
        self._watched: dict[str, _Watched] = {}
        self._by_address: dict[str, _Watched] = {}
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
            if held is None or held.router.address != router.address:
                found = self._discovered.pop(router.remote_id, None)
                held = _Watched(router, last_seen=found.last_seen if found else 0)
                if found is not None:
                    held.reachability = "up"
            held.router = router
            watched[router.remote_id] = held
        self._watched = watched
        self._by_address = {
            str(w.router.address): w for w in watched.values() if w.router.address is not None
        }
        self.changed = self.urgent = True

    def seen(self, remote_id: str, giaddr: str) -> None:
        """A node relayed DHCP."""
        now = self._clock()
        self.changed = True
        watched = self._watched.get(remote_id)
        if watched is not None:
            self._alive(watched, now)
            return
        found = self._discovered.get(remote_id)
        if found is not None:
            found.giaddr, found.last_seen = giaddr, now
            self._discovered.move_to_end(remote_id)
            return
        self._discovered[remote_id] = _Discovered(remote_id, giaddr, now)
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
        configured = [
            {
                "name": watched.router.name,
                "reachability": watched.reachability,
                "last_seen": date_and_time(watched.last_seen) if watched.last_seen else None,
                "round_trip_time": watched.round_trip,
                "active_sessions": self._active_sessions(watched.router.remote_id),
            }
            for watched in self._watched.values()
        ]
        discovered = [
            {"remote_id": d.remote_id, "giaddr": d.giaddr, "last_seen": date_and_time(d.last_seen)}
            for d in self._discovered.values()
        ]
        return {"configured": configured, "discovered": discovered}

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

    async def _probe_all(self) -> None:
        while True:
            round_of = list(self._by_address.values())
            pause = self.period / max(1, len(round_of))
            for watched in round_of:
                self.probe(watched.router.remote_id)
                await asyncio.sleep(pause)
            if not round_of:
                await asyncio.sleep(1)

    def probe(self, remote_id: str) -> None:
        """Send a probe; if the last one is still unanswered, that one is lost."""
        watched = self._watched.get(remote_id)
        if watched is None or watched.router.address is None:
            return
        if watched.probe is not None:
            self._unanswered(watched)
        self._sequence = (self._sequence + 1) & 0xFFFF
        watched.probe = (self._sequence, self._clock())
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
        watched = self._by_address.get(address)
        if watched is None or watched.probe is None or identifier != self._identifier:
            return
        expected, sent = watched.probe
        if sequence != expected:
            return
        now = self._clock()
        watched.probe = None
        watched.round_trip = max(0, now - sent) // 1000
        self.changed = True
        self._alive(watched, now)

    def _alive(self, watched: _Watched, now: int) -> None:
        watched.last_seen = now
        watched.unanswered = 0
        self._set(watched, "up")

    def _unanswered(self, watched: _Watched) -> None:
        watched.unanswered += 1
        if watched.unanswered >= _UNANSWERED_LIMIT:
            self._set(watched, "down")

    def _set(self, watched: _Watched, reachability: str) -> None:
        if watched.reachability == reachability:
            return
        watched.reachability = reachability
        self.changed = self.urgent = True
        router: dict[str, Any] = {
            "name": watched.router.name,
            "remote-id": watched.router.remote_id,
            "reachability": reachability,
            "configured": True,
        }
        if watched.router.address is not None:
            router["address"] = str(watched.router.address)
        self._journal({"type": "router-update", "router": router})
