"""NETCONF on a unix socket, without SSH: for local tools, and as what an OpenSSH subsystem connects to
(see `nbi.subsystem`)."""

from __future__ import annotations

import asyncio
import grp
import os
import pwd
import socket
import stat
import struct
from pathlib import Path
from typing import Protocol

import structlog

from nbi.carrier import Carrier
from nbi.info import Limits
from nbi.link import WRITE_BUFFER, Link
from nbi.session import NetconfSession
from yang.access import User

log = structlog.get_logger(__name__)


class UnixOwner(Protocol):
    """What a connection needs of the server."""

    limits: Limits

    def open_session(
        self, link: Link, user: User, transport: str, peer: str, *, trusted: bool = False
    ) -> NetconfSession | None: ...


async def listen(owner: UnixOwner, path: Path, user: User, group: str | None = None) -> asyncio.Server:
    """Accept connections on a socket file; a socket that is left over is replaced.

    Args:
        user: who processes of this server's user and of root are.
        group: whose processes may connect too, as the configured user of their own name; the file's mode is
            0660 then, 0600 otherwise.

    Raises:
        OSError: the socket cannot be made, there is no such group, or the path is taken by another file.
    """
    _remove(path)
    previous = os.umask(0o177)
    try:
        loop = asyncio.get_running_loop()
        server = await loop.create_unix_server(lambda: UnixConnection(owner, user), str(path))
    finally:
        os.umask(previous)
    if group is not None:
        try:
            _admit(path, group)
        except BaseException:
            server.close()
            raise
    return server


def _remove(path: Path) -> None:
    """Remove a socket; never anything else, whatever somebody configured."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(f"{path} is there already, and no socket")
    path.unlink()


def _admit(path: Path, group: str) -> None:
    try:
        number = grp.getgrnam(group).gr_gid
    except KeyError:
        raise OSError(f'there is no group "{group}"') from None
    os.chown(path, -1, number)
    path.chmod(0o660)


def user_of(connection: socket.socket, own: User) -> tuple[User, bool] | None:
    """Who the process at the other end is, by the kernel's word, and whether it is trusted (see
    `SessionInfo`); None when its user has no name."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    if uid in (0, os.geteuid()):
        return own, True
    try:
        return User(pwd.getpwuid(uid).pw_name), False
    except KeyError:
        return None


class UnixConnection(Carrier, asyncio.Protocol):
    """One connection, one session."""

    def __init__(self, owner: UnixOwner, user: User) -> None:
        self._owner = owner
        self._user = user

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin a session, if the peer may have one."""
        assert isinstance(transport, asyncio.Transport)
        known = user_of(transport.get_extra_info("socket"), self._user)
        if known is not None:
            user, trusted = known
            transport.set_write_buffer_limits(high=WRITE_BUFFER)
            self._link = Link(transport, self._owner.limits.stall_timeout)
            self._session = self._owner.open_session(self._link, user, "netconf-ssh", "", trusted=trusted)
        if self._session is None:
            log.warning("netconf.local-refused", user=known[0].name if known else "")
            transport.abort()
