"""NETCONF on a unix socket, without SSH: for local tools, and as what an OpenSSH subsystem connects to."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from pathlib import Path
from typing import Protocol

from nbi.carrier import Carrier
from nbi.info import Limits
from nbi.link import WRITE_BUFFER, Link
from nbi.session import NetconfSession
from yang.access import User


class UnixOwner(Protocol):
    """What a connection needs of the server."""

    limits: Limits

    def open_session(self, link: Link, user: User, transport: str, peer: str) -> NetconfSession | None: ...


async def listen(owner: UnixOwner, path: Path, user: User) -> asyncio.Server:
    """Accept connections on a socket file of mode 0600; a file that is left over is replaced.

    Raises:
        OSError: the socket cannot be made.
    """
    _remove(path)
    previous = os.umask(0o177)
    try:
        loop = asyncio.get_running_loop()
        return await loop.create_unix_server(lambda: UnixConnection(owner, user), str(path))
    finally:
        os.umask(previous)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def _is_trusted(connection: socket.socket) -> bool:
    """Whether the peer is a process of this server's user, or of root."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    return uid in (0, os.geteuid())


class UnixConnection(Carrier, asyncio.Protocol):
    """One connection, one session."""

    def __init__(self, owner: UnixOwner, user: User) -> None:
        self._owner = owner
        self._user = user

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin a session, if the peer may have one."""
        assert isinstance(transport, asyncio.Transport)
        if not _is_trusted(transport.get_extra_info("socket")):
            transport.abort()
            return
        transport.set_write_buffer_limits(high=WRITE_BUFFER)
        self._link = Link(transport, self._owner.limits.stall_timeout)
        self._session = self._owner.open_session(self._link, self._user, "netconf-ssh", "")
        if self._session is None:
            transport.abort()
