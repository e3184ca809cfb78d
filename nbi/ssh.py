"""NETCONF over SSH (RFC 6242): authentication, and nothing but the subsystem ``netconf``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import asyncssh
import structlog

from nbi.admission import Admission
from nbi.algorithms import CIPHERS, KEY_EXCHANGES, MACS, SIGNATURES
from nbi.backpressure import Backpressure
from nbi.carrier import Carrier
from nbi.info import Limits
from nbi.link import WRITE_BUFFER, Link
from nbi.offers import Refused, read_offer
from nbi.session import NetconfSession
from yang.access import User
from yang.tree import Tree
from yang.users import Certificate, PublicKey

log = structlog.get_logger(__name__)

SUBSYSTEM = "netconf"
MAX_CHANNELS = 8
"""Channels of one connection, each of which can become a session."""
WINDOW = 512 * 1024
"""Octets that a client may send ahead on a channel, which are kept while its session does not read: the 2 MiB
that asyncssh has would be 2 GiB with all channels of all connections."""

KEEPALIVE_COUNT = 3


class SshOwner(Protocol):
    """What an SSH connection needs of the server."""

    tree: Tree
    limits: Limits
    admission: Admission
    hashing: ThreadPoolExecutor

    def open_session(self, link: Link, user: User, transport: str, peer: str) -> NetconfSession | None: ...


def options(owner: SshOwner, host_keys: Sequence[asyncssh.SSHKey]) -> dict[str, Any]:
    """What asyncssh is told of every connection, whoever opened it; of the limits, those in force now."""
    return {
        "server_host_keys": _pairs(host_keys),
        "encoding": None,
        "window": WINDOW,
        "line_editor": False,
        "allow_pty": True,
        "allow_scp": False,
        "agent_forwarding": False,
        "x11_forwarding": False,
        # Asks for the password, as password authentication does, of clients that know no other.
        "kbdint_auth": True,
        "host_based_auth": False,
        "gss_host": None,
        "kex_algs": KEY_EXCHANGES,
        "encryption_algs": CIPHERS,
        "mac_algs": MACS,
        "signature_algs": SIGNATURES,
        "compression_algs": None,
        "login_timeout": owner.limits.login_timeout,
        "keepalive_interval": owner.limits.keepalive_interval,
        "keepalive_count_max": KEEPALIVE_COUNT,
        "config": [],
    }


def _pairs(host_keys: Sequence[asyncssh.SSHKey]) -> list[asyncssh.SSHKeyPair]:
    """The host keys without the signatures that are not offered: an RSA key signs with SHA-1 too."""
    allowed = {name.encode() for name in SIGNATURES}
    pairs = list(asyncssh.load_keypairs(list(host_keys)))
    for pair in pairs:
        pair.host_key_algorithms = tuple(name for name in pair.host_key_algorithms if name in allowed)
    return pairs


async def listen(
    owner: SshOwner, host: str, port: int, host_keys: Sequence[asyncssh.SSHKey]
) -> asyncssh.SSHAcceptor:
    """Accept SSH connections at an address; port 0 takes a free one.

    Raises:
        OSError: the address cannot be listened on.
    """
    return await asyncssh.listen(
        host, port, server_factory=lambda: SshConnection(owner), **options(owner, host_keys)
    )


class SshConnection(asyncssh.SSHServer):
    """One SSH connection: who it is, and its channels.

    Args:
        called: the connection is one that this server opened (call home): whom it calls is configured, so
            that strangers who log in do not keep it out.
    """

    def __init__(self, owner: SshOwner, *, called: bool = False) -> None:
        self._owner = owner
        self._called = called
        self._connection: asyncssh.SSHServerConnection | None = None
        self._admitted = False
        self._peer = ""
        self._attempts = 0
        self._names = 0
        self._known: dict[str, User] = {}
        self._certified: tuple[str, PublicKey] | None = None
        self._channels = 0
        self._idle: asyncio.TimerHandle | None = None
        self.served = False
        self.backpressure: Backpressure

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Too many connections are refused before any cryptography."""
        self._connection = conn
        self._peer = str((conn.get_extra_info("peername") or ("",))[0])
        refusal = None if self._called else self._owner.admission.refusal_of_connection(self._peer)
        if refusal is not None:
            log.warning("netconf.too-many-connections", peer=self._peer, detail=refusal)
            conn.abort()
            return
        self._admitted = True
        if not self._called:
            self._owner.admission.connected(conn, self._peer)
        self._look_at_offers(conn)
        self.backpressure = Backpressure(conn, self._peer)

    def _look_at_offers(self, conn: asyncssh.SSHServerConnection) -> None:
        """Have `_accepts` look at every key and certificate before asyncssh does."""
        check = conn.validate_public_key

        async def validate(username: str, key_data: bytes, msg: bytes, signature: bytes) -> bool:
            return (
                self._may_try()
                and self._accepts(username, key_data, signature)
                and await check(username, key_data, msg, signature)
                and self._succeeded()
            ) or self._failed(username, "key")

        conn.validate_public_key = validate  # type: ignore[method-assign]

    def connection_lost(self, exc: Exception | None) -> None:
        """Called once, however the connection ended."""
        if self._idle is not None:
            self._idle.cancel()
        if self._connection is not None and self._admitted:
            self._owner.admission.lost(self._connection)
        if exc is not None:
            log.info("netconf.connection-lost", peer=self._peer, detail=str(exc))

    # --- authentication --------------------------------------------------------------------------

    def begin_auth(self, username: str) -> bool:  # noqa: ARG002
        """A user name is tried: as many of them as secrets, for each costs asyncssh more than a guess."""
        self._names += 1
        if self._names > self._owner.limits.max_login_failures:
            self._dismiss()
        return True

    def password_auth_supported(self) -> bool:
        """Passwords are checked by the tree."""
        return True

    def public_key_auth_supported(self) -> bool:
        """So are keys."""
        return True

    async def validate_password(self, username: str, password: str) -> bool:
        """Check a password, in a thread: its hash is slow on purpose. A wrong one is answered late."""
        if not self._may_try():
            return False
        user = await asyncio.get_running_loop().run_in_executor(
            self._owner.hashing, lambda: self._owner.tree.authenticate(username, password=password)
        )
        if user is not None:
            self._known[username] = user
            return self._succeeded()
        if not self._failed(username, "password") and self._attempts < self._owner.limits.max_login_failures:
            await asyncio.sleep(self._owner.limits.failure_delay * self._attempts)
        return False

    def _may_try(self) -> bool:
        """Count an attempt. It is counted before it is looked at, for a client that sends the next one
        without waiting for the answer takes it back."""
        self._attempts += 1
        if self._attempts <= self._owner.limits.max_login_failures:
            return True
        self._dismiss()
        return False

    def _succeeded(self) -> bool:
        self._attempts -= 1
        return True

    def _failed(self, username: str, method: str) -> bool:
        """Always False."""
        log.warning("netconf.login-failed", user=username[:64], peer=self._peer, method=method)
        if self._attempts >= self._owner.limits.max_login_failures:
            self._dismiss()
        return False

    def _dismiss(self) -> None:
        if self._connection is not None:
            self._connection.disconnect(
                asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE, "too many authentication failures"
            )

    def _accepts(self, username: str, key_data: bytes, signature: bytes) -> bool:
        """Whether a key or certificate is one that the user may log in with; asyncssh goes on from there."""
        self._certified = None
        try:
            offer = read_offer(key_data, signature)
        except Refused as refused:
            log.info("netconf.key-refused", user=username[:64], peer=self._peer, reason=str(refused))
            return False
        if isinstance(offer, Certificate):
            user = self._owner.tree.authenticate(username, certificate=offer)
            self._certified = (username, offer.authority)
        else:
            user = self._owner.tree.authenticate(username, public_key=offer)
        if user is None:
            return False
        self._known[username] = user
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:  # noqa: ARG002
        """Whether the key is one of the user's: what was offered has been found to be, just before."""
        return self._certified is None and username in self._known

    def validate_ca_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Whether a certificate of this authority is one for the user: the same."""
        authority = (key.algorithm.decode("ascii", "replace"), key.public_data)
        return self._certified == (username, authority) and username in self._known

    def auth_completed(self) -> None:
        """One of too many connections of a user is not kept, nor one that opens no channel."""
        if self._connection is None:
            return
        user = str(self._connection.get_extra_info("username"))
        refusal = None if self._called else self._owner.admission.logged_in(self._connection, user)
        if refusal is not None:
            log.warning("netconf.too-many-connections", peer=self._peer, detail=refusal)
            self._connection.disconnect(asyncssh.DISC_TOO_MANY_CONNECTIONS, refusal)
            return
        loop = asyncio.get_running_loop()
        self._idle = loop.call_later(self._owner.limits.hello_timeout, self._close_if_idle)

    def _close_if_idle(self) -> None:
        if not self._channels and self._connection is not None:
            self._connection.close()

    # --- channels --------------------------------------------------------------------------------

    def session_requested(self) -> asyncssh.SSHServerSession[bytes] | bool:
        """A channel; what runs in it is asked for later."""
        if self._connection is None:
            return False
        if self._channels >= MAX_CHANNELS:
            raise _too_many(f"a connection has {MAX_CHANNELS} channels at most")
        user = self._known.get(str(self._connection.get_extra_info("username")))
        if user is None or not self._owner.tree.has_user(user.name):
            raise asyncssh.ChannelOpenError(
                asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "the user is not configured any more"
            )
        refusal = self._owner.admission.refusal_of_session(user.name)
        if refusal is not None:
            log.warning("netconf.too-many-sessions", user=user.name, peer=self._peer, detail=refusal)
            raise _too_many(refusal)
        self._channels += 1
        return SshChannel(self._owner, self, user, self._peer)

    def session_opened(self) -> None:
        """A channel has become a NETCONF session."""
        self.served = True

    def channel_closed(self) -> None:
        """The last channel takes the connection with it."""
        self._channels -= 1
        if not self._channels and self._connection is not None:
            self._connection.close()


def _refuse(packet: asyncssh.packet.SSHPacket) -> bool:  # noqa: ARG001
    return False


def _too_many(reason: str) -> asyncssh.ChannelOpenError:
    return asyncssh.ChannelOpenError(asyncssh.OPEN_RESOURCE_SHORTAGE, reason)


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
        self._unused: asyncio.TimerHandle | None = None

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        """The channel is open, and is kept if it becomes a session. Variables of the environment are refused:
        asyncssh keeps all that it is sent, and nothing here reads them."""
        self._channel = chan
        chan._process_env_request = _refuse  # type: ignore[method-assign]
        self._unused = asyncio.get_running_loop().call_later(
            self._owner.limits.hello_timeout, self._close_if_unused
        )

    def _close_if_unused(self) -> None:
        if self._session is None and self._channel is not None:
            self._channel.close()

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
        if self._session is not None:
            self._connection.backpressure.add(self._link)
            self._connection.session_opened()
        return self._session is not None

    def connection_lost(self, exc: Exception | None) -> None:
        """The channel is closed."""
        super().connection_lost(exc)
        if self._unused is not None:
            self._unused.cancel()
        if self._link is not None:
            self._connection.backpressure.remove(self._link)
        self._connection.channel_closed()
