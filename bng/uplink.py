"""The relay's socket on the dhcp-uplink: DHCP to the servers and back, by UDP, from and to port 67."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable

import structlog

log = structlog.get_logger()

PORT = 67
_MAX_DATAGRAM = 4096
_PER_WAKE = 128
_BUFFER = 4 << 20
"""Octets of socket buffer asked for: a burst of answers must not be lost while the loop is busy."""
_SO_MEMINFO, _MEMINFO = 55, struct.Struct("=9I")
_DROPS = 8


class Uplink:
    """A socket that is bound to an address of ours, and bound anew when that changes.

    Args:
        received: called with (server's address, DHCP packet).
    """

    def __init__(self, received: Callable[[str, bytes], None]) -> None:
        self.address: str | None = None
        self._received = received
        self._socket: socket.socket | None = None
        self._lost_before = 0

    def count_lost(self) -> int:
        """Datagrams that found no room in the socket since the start."""
        return self._lost_before + self._lost_here()

    def bind(self, address: str | None) -> None:
        """Listen on this address from now on; None for not at all. Raises OSError."""
        if address == self.address:
            return
        self.close()
        if address is None:
            return
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
            made.setblocking(False)
            made.bind((address, PORT))
        except OSError:
            made.close()
            raise
        asyncio.get_running_loop().add_reader(made, self._drain)
        self._socket, self.address = made, address

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._lost_before += self._lost_here()
            self._socket.close()
        self._socket = self.address = None

    def send(self, address: str, port: int, payload: bytes) -> None:
        """Send a packet; one that cannot be sent is lost, as on any network."""
        if self._socket is None:
            return
        try:
            self._socket.sendto(payload, (address, port))
        except OSError as error:
            log.warning("dhcp.not-sent", server=address, reason=error.strerror)

    def _drain(self) -> None:
        assert self._socket is not None
        for _ in range(_PER_WAKE):
            try:
                payload, (address, _) = self._socket.recvfrom(_MAX_DATAGRAM)
            except OSError:
                return
            self._received(address, payload)

    def _lost_here(self) -> int:
        if self._socket is None:
            return 0
        try:
            counted = self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
        except OSError:
            return 0  # an older kernel
        return int(_MEMINFO.unpack(counted)[_DROPS])
