"""What an SSH connection still has to send: asyncssh keeps all of it, however much that is.

A channel has a window (RFC 4254 section 5.2), which the client chooses: into one of 4 GiB asyncssh writes as
much though nobody reads the TCP connection below, or while a key exchange that the client began does not end.
Answers to requests have no window at all. Here sessions are told to wait for the connection too, and a
connection that holds very much all the same is dropped.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

import asyncssh
import structlog

from nbi.link import WRITE_BUFFER, Link

log = structlog.get_logger(__name__)

MAX_UNREAD = 8 * 1024 * 1024
"""Octets that a connection may hold for a client that does not read: more than its channels may still have in
their buffers when sessions are told to wait."""
MAX_DEFERRED = 4_096
"""Packets that may wait for the end of a key exchange."""

_MSG_IGNORE = 2
_TRANSPORT = "transport"
_KEY_EXCHANGE = "key exchange"


class Backpressure:
    """Watches one connection, from its first packet on."""

    def __init__(self, connection: asyncssh.SSHServerConnection, peer: str) -> None:
        self._connection = connection
        self._peer = peer
        self._links: set[Link] = set()
        self._reasons: set[str] = set()
        self._send = connection.send_packet
        self._transport = cast(asyncio.Transport, connection._transport)
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER)
        connection.send_packet = self._send_packet  # type: ignore[method-assign]
        connection.pause_writing = lambda: self._wait(_TRANSPORT)  # type: ignore[method-assign]
        connection.resume_writing = lambda: self._go_on(_TRANSPORT)  # type: ignore[method-assign]

    def add(self, link: Link) -> None:
        """A session that waits from now on as the connection has to."""
        self._links.add(link)
        for reason in self._reasons:
            link.pause_writing(reason)

    def remove(self, link: Link) -> None:
        """Its channel is closed."""
        self._links.discard(link)

    def _wait(self, reason: str) -> None:
        if reason not in self._reasons:
            self._reasons.add(reason)
            for link in self._links:
                link.pause_writing(reason)

    def _go_on(self, reason: str) -> None:
        if reason in self._reasons:
            self._reasons.discard(reason)
            for link in self._links:
                link.resume_writing(reason)

    def _send_packet(self, pkttype: int, *args: bytes, handler: Any = None) -> None:
        """Send a packet; not the empty MSG_IGNORE that asyncssh sends before each: it helps with ciphers in
        CBC mode (RFC 4253 section 9.3.1), none of which is offered here, and costs as much as a reply."""
        if pkttype == _MSG_IGNORE:
            return
        self._send(pkttype, *args, handler=handler)
        deferred = self._connection._deferred_packets
        (self._wait if deferred else self._go_on)(_KEY_EXCHANGE)
        if self._transport.is_closing():
            return
        if len(deferred) > MAX_DEFERRED or self._transport.get_write_buffer_size() > MAX_UNREAD:
            log.warning("netconf.connection-unread", peer=self._peer)
            self._connection.abort()
