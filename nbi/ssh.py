"""NETCONF over SSH (RFC 6242): authentication, and nothing but the subsystem ``netconf``."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import asyncssh
import structlog

from nbi.carrier import Carrier
from nbi.info import Limits
from nbi.link import WRITE_BUFFER, Link
from nbi.session import NetconfSession
from yang.access import User
from yang.tree import Tree

log = structlog.get_logger(__name__)

SUBSYSTEM = "netconf"
CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
)
"""What is offered: AES has instructions of its own in the processor, and ChaCha20-Poly1305, which some
clients prefer, costs a sixth of the time of a large reply (and needs the strict key exchange)."""

MAX_CHANNELS = 8
"""Channels of one connection, each of which can become a session."""

KEEPALIVE_INTERVAL = 30
KEEPALIVE_COUNT = 3


class SshOwner(Protocol):
    """What an SSH connection needs of the server."""

    tree: Tree
    limits: Limits
    hashing: ThreadPoolExecutor

    def open_session(self, link: Link, user: User, transport: str, peer: str) -> NetconfSession | None: ...

    def connection_made(self, connection: asyncssh.SSHServerConnection, peer: str) -> bool: ...

    def logged_in(self, connection: asyncssh.SSHServerConnection) -> None: ...

    def connection_lost(self, connection: asyncssh.SSHServerConnection) -> None: ...


def load_host_key(path: Path) -> asyncssh.SSHKey:
    """The server's host key; an Ed25519 key is made at first start, and when the file is none (it is kept
    beside): an element that no manager reaches is worse off than one that has to be trusted anew.

    Raises:
        OSError: the file cannot be read or written.
    """
    try:
        return asyncssh.read_private_key(path)
    except FileNotFoundError:
        pass
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        log.error("netconf.host-key-damaged", path=str(path), reason=str(error))
        path.rename(path.with_name(path.name + ".damaged"))
    _make_host_key(path)
    return asyncssh.read_private_key(path)


def _make_host_key(path: Path) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519", comment="netconf")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.export_private_key())
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)


async def listen(owner: SshOwner, host: str, port: int, host_key: asyncssh.SSHKey) -> asyncssh.SSHAcceptor:
    """Accept SSH connections at an address; port 0 takes a free one.

    Raises:
        OSError: the address cannot be listened on.
    """
    return await asyncssh.listen(
        host,
        port,
        server_factory=lambda: SshConnection(owner),
        server_host_keys=[host_key],
        encoding=None,
        line_editor=False,
        allow_pty=True,
        allow_scp=False,
        agent_forwarding=False,
        x11_forwarding=False,
        kbdint_auth=False,
        host_based_auth=False,
        gss_host=None,
        encryption_algs=CIPHERS,
        compression_algs=None,
        login_timeout=owner.limits.login_timeout,
        keepalive_interval=KEEPALIVE_INTERVAL,
        keepalive_count_max=KEEPALIVE_COUNT,
        config=[],
    )


class SshConnection(asyncssh.SSHServer):
    """One SSH connection: who it is, and its channels."""

    def __init__(self, owner: SshOwner) -> None:
        self._owner = owner
        self._connection: asyncssh.SSHServerConnection | None = None
        self._admitted = False
        self._peer = ""
        self._failures = 0
        self._known: dict[str, User] = {}
        self._channels = 0
        self._idle: asyncio.TimerHandle | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Too many connections are refused before any cryptography."""
        self._connection = conn
        self._peer = str((conn.get_extra_info("peername") or ("",))[0])
        self._admitted = self._owner.connection_made(conn, self._peer)
        if not self._admitted:
            log.warning("netconf.too-many-connections", peer=self._peer)
            conn.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called once, however the connection ended."""
        if self._idle is not None:
            self._idle.cancel()
        if self._connection is not None and self._admitted:
            self._owner.connection_lost(self._connection)
        if exc is not None:
            log.info("netconf.connection-lost", peer=self._peer, detail=str(exc))

    # --- authentication --------------------------------------------------------------------------

    def password_auth_supported(self) -> bool:
        """Passwords are checked by the tree."""
        return True

    def public_key_auth_supported(self) -> bool:
        """So are keys."""
        return True

    async def validate_password(self, username: str, password: str) -> bool:
        """Check a password, in a thread: its hash is slow on purpose."""
        user = await asyncio.get_running_loop().run_in_executor(
            self._owner.hashing, lambda: self._owner.tree.authenticate(username, password=password)
        )
        return self._checked(username, user, "password")

    async def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Whether the key is one of the user's; asyncssh checks the signature."""
        identity = (key.algorithm.decode("ascii", "replace"), key.public_data)
        user = await asyncio.get_running_loop().run_in_executor(
            self._owner.hashing, lambda: self._owner.tree.authenticate(username, public_key=identity)
        )
        return self._checked(username, user, "key")

    def _checked(self, username: str, user: User | None, method: str) -> bool:
        if user is not None:
            self._known[username] = user
            return True
        self._failures += 1
        log.warning("netconf.login-failed", user=username[:64], peer=self._peer, method=method)
        if self._failures >= self._owner.limits.max_login_failures and self._connection is not None:
            self._connection.disconnect(
                asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE, "too many authentication failures"
            )
        return False

    def auth_completed(self) -> None:
        """A connection that opens no channel is not kept."""
        if self._connection is not None:
            self._owner.logged_in(self._connection)
        loop = asyncio.get_running_loop()
        self._idle = loop.call_later(self._owner.limits.hello_timeout, self._close_if_idle)

    def _close_if_idle(self) -> None:
        if not self._channels and self._connection is not None:
            self._connection.close()

    # --- channels --------------------------------------------------------------------------------

    def session_requested(self) -> asyncssh.SSHServerSession[bytes] | bool:
        """A channel; what runs in it is asked for later."""
        if self._connection is None or self._channels >= MAX_CHANNELS:
            return False
        user = self._known.get(str(self._connection.get_extra_info("username")))
        if user is None:
            return False
        self._channels += 1
        return SshChannel(self._owner, self, user, self._peer)

    def channel_closed(self) -> None:
        """The last channel takes the connection with it."""
        self._channels -= 1
        if not self._channels and self._connection is not None:
            self._connection.close()


class SshChannel(Carrier, asyncssh.SSHServerSession[bytes]):
    """One channel, which becomes a NETCONF session by asking for the subsystem.

    Shells and commands are refused by the base class.
    """

    def __init__(self, owner: SshOwner, connection: SshConnection, user: User, peer: str) -> None:
        self._owner = owner
        self._connection = connection
        self._user = user
        self._peer = peer
        self._channel: asyncssh.SSHServerChannel[bytes] | None = None

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        """The channel is open."""
        self._channel = chan

    def pty_requested(self, term_type: str, term_size: object, term_modes: object) -> bool:  # noqa: ARG002
        """Some clients ask for one; it changes nothing."""
        return True

    def subsystem_requested(self, subsystem: str) -> bool:
        """Only ``netconf``."""
        if subsystem != SUBSYSTEM or self._channel is None:
            return False
        self._channel.set_write_buffer_limits(high=WRITE_BUFFER)
        self._link = Link(self._channel, self._owner.limits.stall_timeout)
        self._session = self._owner.open_session(self._link, self._user, "netconf-ssh", self._peer)
        return self._session is not None

    def connection_lost(self, exc: Exception | None) -> None:
        """The channel is closed."""
        super().connection_lost(exc)
        self._connection.channel_closed()
