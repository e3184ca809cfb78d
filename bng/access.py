"""The sockets towards subscribers: one capture for each subscriber interface, drained by the loop."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable, Iterable

import structlog

from bng import netif
from bng.codec import frame
from bng.codec.errors import DecodeError
from bng.dataplane.capture import DhcpCapture
from bng.session.effects import SendToSubscriber

log = structlog.get_logger()

_SERVER_PORT = 67
_PER_WAKE = 256
"""Frames of an interface that are taken before everything else has its turn: those of a flood are shed in
little more time than it takes to read them."""


class Captures:
    """The captures of all subscriber interfaces.

    Args:
        received: called with (interface, Ethernet frame, whether its checksums are filled in).

    Attributes:
        lost: frames that came faster than they were read, as of the last `count_lost`.
    """

    def __init__(self, received: Callable[[str, bytes, bool], None]) -> None:
        self.lost = 0
        self._received = received
        self._captures: dict[str, DhcpCapture] = {}
        self._macs: dict[str, str] = {}
        self._by_descriptor: dict[int, DhcpCapture] = {}
        # A packet socket has an error pending when its interface goes down. libuv would never look at such
        # a descriptor again; an epoll descriptor in between has no errors of its own.
        self._epoll: select.epoll | None = None

    def follow(self, names: Iterable[str]) -> None:
        """Listen on these interfaces from now on, and on no others. They may be away, or be made anew."""
        wanted = set(names)
        for name in self._captures.keys() - wanted:
            self._close(name)
        for name in wanted - self._captures.keys():
            try:
                self._captures[name] = capture = DhcpCapture(name)
            except OSError as error:
                log.error("dhcp.no-capture", interface=name, reason=error.strerror)
                continue
            self._watch(capture)
        for name, capture in self._captures.items():
            capture.rebind()
            self._macs[name] = netif.mac_of(name) or ""

    def count_lost(self) -> int:
        """Frames that came faster than they were read, since the start."""
        self.lost += sum(capture.lost() for capture in self._captures.values())
        return self.lost

    def close(self) -> None:
        """Stop listening."""
        for name in list(self._captures):
            self._close(name)
        if self._epoll is not None:
            asyncio.get_running_loop().remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._epoll = None

    def send(self, effect: SendToSubscriber) -> None:
        """Send a DHCP packet as a frame; one that cannot be sent is lost, as on any network."""
        capture, mac = self._captures.get(effect.interface), self._macs.get(effect.interface)
        if capture is None or not mac:
            return
        try:
            data = frame.build(
                frame.UdpFrame(
                    source_mac=mac,
                    destination_mac=effect.destination_mac,
                    source_address=effect.source_address,
                    destination_address=effect.destination_address,
                    source_port=_SERVER_PORT,
                    destination_port=effect.destination_port,
                    payload=effect.payload,
                )
            )
        except DecodeError as error:
            log.warning("dhcp.not-sent", interface=effect.interface, reason=str(error))
            return
        capture.send(data)

    def _watch(self, capture: DhcpCapture) -> None:
        if self._epoll is None:
            self._epoll = select.epoll()
            asyncio.get_running_loop().add_reader(self._epoll.fileno(), self._drain)
        self._epoll.register(capture.fileno(), select.EPOLLIN)
        self._by_descriptor[capture.fileno()] = capture

    def _drain(self) -> None:
        assert self._epoll is not None
        for descriptor, _ in self._epoll.poll(0):
            capture = self._by_descriptor[descriptor]
            interface, received = capture.interface, self._received
            for data, checksum_ready in capture.receive(_PER_WAKE):
                received(interface, data, checksum_ready)

    def _close(self, name: str) -> None:
        capture = self._captures.pop(name)
        self.lost += capture.lost()
        self._macs.pop(name, None)
        if self._epoll is not None:
            self._epoll.unregister(capture.fileno())
        del self._by_descriptor[capture.fileno()]
        capture.close()
