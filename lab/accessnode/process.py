"""The access node's process: packet sockets on its ports, one loop, the relay in between."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import structlog

from lab.accessnode import dhcp, guard
from lab.accessnode.capture import bound_for, packet_socket, sending_socket
from lab.accessnode.relay import BridgedRelay, Identity, Refused, RoutedRelay

log = structlog.get_logger()

RATE = 50
"""DHCP requests per second that one subscriber port may send; a burst of as many is let through."""

REPORT_INTERVAL = 10.0
"""Seconds between two log lines about dropped packets."""

_BATCH = 64
"""Frames read from one socket before the others have their turn."""


@dataclass(frozen=True)
class Settings:
    """The file that ``--config`` names.

    Attributes:
        interfaces: subscriber port → interface.
        address: the node's address: giaddr when routed, management address or None when bridged.
        bng: where a routed node sends DHCP.
        pool: first and last address that its subscribers may speak from.
        bridge: the interface whose MAC address a routed node answers with.
    """

    remote_id: str
    access_model: str
    uplink: str
    bridge: str
    interfaces: dict[int, str]
    address: IPv4Address | None
    bng: IPv4Address | None
    pool: tuple[IPv4Address, IPv4Address]

    @classmethod
    def load(cls, path: Path) -> Settings:
        """Read the file; raises ValueError or KeyError when it is not one."""
        data: dict[str, Any] = json.loads(path.read_text())
        return cls(
            remote_id=data["remote_id"],
            access_model=data["access_model"],
            uplink=data["uplink"],
            bridge=data["bridge"],
            interfaces={int(port): interface for port, interface in data["interfaces"].items()},
            address=IPv4Address(data["address"]) if data.get("address") else None,
            bng=IPv4Address(data["bng"]) if data.get("bng") else None,
            pool=(IPv4Address(data["pool"][0]), IPv4Address(data["pool"][1])),
        )


class _Bucket:
    """A token bucket of ``RATE`` packets per second."""

    def __init__(self) -> None:
        self._tokens = float(RATE)
        self._last = time.monotonic()

    def take(self) -> bool:
        now = time.monotonic()
        self._tokens = min(RATE, self._tokens + (now - self._last) * RATE)
        self._last = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class AccessNode:
    """One running access node; ``run`` returns at SIGTERM or SIGINT."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._identity = Identity(settings.remote_id, max(settings.interfaces))
        self._dropped: Counter[str] = Counter()
        self._ports: dict[int, socket.socket] = {}
        self._buckets = {port: _Bucket() for port in settings.interfaces}

    async def run(self) -> None:
        """Serve until told to stop."""
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        with contextlib.ExitStack() as stack:
            for port, interface in self._settings.interfaces.items():
                sock = stack.enter_context(packet_socket(interface, bound_for(dhcp.SERVER_PORT)))
                self._ports[port] = sock
            if self._settings.access_model == "bridged":
                self._start_bridged(loop, stack)
            else:
                self._start_routed(loop, stack)
            self._load_guard()
            log.info("accessnode.ready", remote_id=self._settings.remote_id, ports=len(self._ports))
            await self._report_until(stop)
        log.info("accessnode.stopped", remote_id=self._settings.remote_id)

    def _load_guard(self) -> None:
        settings = self._settings
        bridged = settings.access_model == "bridged"
        protected = [settings.address] if bridged and settings.address else []
        rules = guard.ruleset(
            list(settings.interfaces.values()),
            settings.uplink,
            bridged=bridged,
            protected=protected,
            pool=settings.pool,
        )
        subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True, capture_output=True)

    def _start_bridged(self, loop: asyncio.AbstractEventLoop, stack: contextlib.ExitStack) -> None:
        relay = BridgedRelay(self._identity)
        uplink = stack.enter_context(packet_socket(self._settings.uplink, bound_for(dhcp.CLIENT_PORT)))

        def up(port: int, frame: bytes) -> None:
            uplink.send(relay.from_subscriber(frame, port))

        def down(frame: bytes) -> None:
            port, answer = relay.from_uplink(frame)
            self._ports[port].send(answer)

        self._read_subscribers(loop, up)
        loop.add_reader(uplink, self._drain, uplink, down)

    def _start_routed(self, loop: asyncio.AbstractEventLoop, stack: contextlib.ExitStack) -> None:
        settings = self._settings
        assert settings.address is not None and settings.bng is not None
        with sending_socket(settings.bridge) as bridge:
            mac = bridge.getsockname()[4]
        relay = RoutedRelay(self._identity, settings.address, mac)
        server = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        server.setblocking(False)
        server.bind((str(settings.address), dhcp.SERVER_PORT))
        bng = (str(settings.bng), dhcp.SERVER_PORT)

        def up(port: int, frame: bytes) -> None:
            server.sendto(relay.from_subscriber(frame, port), bng)

        def down(payload: bytes) -> None:
            port, answer = relay.from_bng(payload)
            self._ports[port].send(answer)

        self._read_subscribers(loop, up)
        loop.add_reader(server, self._drain, server, down)

    def _read_subscribers(
        self, loop: asyncio.AbstractEventLoop, handle: Callable[[int, bytes], None]
    ) -> None:
        for port, sock in self._ports.items():

            def on_frame(frame: bytes, port: int = port) -> None:
                if not self._buckets[port].take():
                    raise Refused("too many requests")
                handle(port, frame)

            loop.add_reader(sock, self._drain, sock, on_frame)

    def _drain(self, sock: socket.socket, handle: Callable[[bytes], None]) -> None:
        """Handle what has arrived; a packet that cannot be handled is counted and forgotten."""
        for _ in range(_BATCH):
            try:
                data = sock.recv(2048)
            except BlockingIOError:
                return
            except OSError as error:  # an interface went down, or an ICMP error came back
                self._dropped[f"receive: {error.strerror}"] += 1
                return
            try:
                handle(data)
            except Refused as reason:
                self._dropped[str(reason)] += 1
            except OSError as error:
                self._dropped[f"send: {error.strerror}"] += 1

    async def _report_until(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), REPORT_INTERVAL)
            if self._dropped:
                log.warning("accessnode.dropped", remote_id=self._settings.remote_id, **self._dropped)
                self._dropped.clear()
