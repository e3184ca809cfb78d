"""The socket of the dynamic authorization server: thin on purpose.

It is bound to the address of the dhcp-uplink and to that interface: a packet that came in anywhere else,
from a subscriber above all, does not reach it, whatever the packet filter says.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import structlog

from bng.aaa.coa import Address, Command, DynamicAuthorization, Reply
from bng.aaa.coa_request import Nas
from bng.aaa.coa_settings import CoaSettings
from bng.session.events import Event
from yang.provider import OperationError

log = structlog.get_logger("bng.aaa")

_MAX_DATAGRAM = 4096
_PER_WAKE = 32
_PAUSE = 0.01
"""Seconds without reading after as many packets: a flood fills the socket's buffer, not the loop."""
_BUFFER = 256 << 10

Carry = Callable[[Callable[[int], Event]], Awaitable[object]]
_Place = tuple[str, int, str, int]


class CoaShell:
    """Runs a server on the loop.

    Args:
        carry: has a command carried out (`bng.loop.Writer.command`).
    """

    def __init__(self, carry: Carry) -> None:
        self.protocol = DynamicAuthorization()
        self._carry = carry
        self._uplink: tuple[str, str] | None = None
        self._place: _Place | None = None
        self._refused = ""
        self._socket: socket.socket | None = None
        self._resume: asyncio.TimerHandle | None = None
        self._commands: set[asyncio.Task[None]] = set()

    @property
    def listening(self) -> bool:
        """Whether requests can come in."""
        return self._socket is not None

    def configure(self, settings: CoaSettings, nas: Nas, interface: str | None, address: str | None) -> None:
        """Take over changed settings, and listen where the dhcp-uplink is now; None: nowhere."""
        self.protocol.configure(settings, nas)
        self._uplink = None if interface is None or address is None else (interface, address)
        self.follow()

    def follow(self) -> None:
        """Listen where it is wanted, if that is possible now; call it every second or two."""
        place = self._wanted()
        if place == self._place:
            return
        self._close_socket()
        if place is None:
            return
        try:
            self._open(place)
        except OSError as error:
            if error.strerror != self._refused:
                log.warning("coa.not-listening", address=place[2], port=place[3], reason=error.strerror)
            self._refused = error.strerror or ""
            return
        self._refused = ""
        log.info("coa.listening", interface=place[0], address=place[2], port=place[3])

    def statistics(self) -> dict[str, Any]:
        """Leaves of aether-health:health/dynamic-authorization, with ``_`` for ``-``."""
        return {
            "listening": self.listening,
            "unknown_clients": self.protocol.unknown,
            "client": [
                {
                    "name": client.settings.name,
                    "disconnect_requests": client.disconnect_requests,
                    "coa_requests": client.coa_requests,
                    "acks": client.acks,
                    "naks": client.naks,
                    "duplicates": client.duplicates,
                    "discards": sum(client.discards.values()),
                }
                for client in self.protocol.clients
            ],
        }

    def close(self) -> None:
        """Stop listening; commands under way are carried out, but not answered."""
        self._close_socket()
        for command in self._commands:
            command.cancel()

    # the socket

    def _wanted(self) -> _Place | None:
        """Interface, its index (another one when it was made anew), address and port."""
        if self._uplink is None or not self.protocol.settings.serves:
            return None
        interface, address = self._uplink
        try:
            return interface, socket.if_nametoindex(interface), address, self.protocol.settings.port
        except OSError:
            return None

    def _open(self, place: _Place) -> None:
        interface, _, address, port = place
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            made.setblocking(False)
            made.bind((address, port))
        except OSError:
            made.close()
            raise
        self._socket, self._place = made, place
        self._read_on()

    def _close_socket(self) -> None:
        if self._resume is not None:
            self._resume.cancel()
            self._resume = None
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
        self._socket = self._place = None

    def _read_on(self) -> None:
        self._resume = None
        assert self._socket is not None
        asyncio.get_running_loop().add_reader(self._socket, self._drain)

    def _drain(self) -> None:
        assert self._socket is not None
        for _ in range(_PER_WAKE):
            try:
                data, address = self._socket.recvfrom(_MAX_DATAGRAM)
            except OSError:
                return
            self._received(data, address)
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket)
        self._resume = loop.call_later(_PAUSE, self._read_on)

    # requests

    def _received(self, data: bytes, address: Address) -> None:
        what = self.protocol.receive(data, address, time.time_ns())
        if isinstance(what, Reply):
            self._send(what)
        elif what is not None:
            task = asyncio.ensure_future(self._execute(what))
            self._commands.add(task)
            task.add_done_callback(self._commands.discard)

    async def _execute(self, command: Command) -> None:
        tag = message = ""
        try:
            await self._carry(lambda token: replace(command.event, token=token))
        except OperationError as error:
            tag, message = error.tag, error.message
        self._send(self.protocol.answer(command, tag, message))

    def _send(self, reply: Reply) -> None:
        if reply.client:
            cause = None if reply.cause is None else f"{reply.cause.value} {reply.cause.name.lower()}"
            log.info(
                "coa.answered",
                request=reply.request,
                client=reply.client,
                error_cause=cause,
                reason=reply.message,
            )
        if self._socket is None:
            return
        try:
            self._socket.sendto(reply.data, reply.destination)
        except OSError as error:
            log.warning("coa.not-sent", client=reply.destination[0], reason=error.strerror)
