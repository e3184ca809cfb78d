"""Call home (RFC 8071): the server opens TCP connections to clients that are configured, and is the SSH
server on them as on those that it accepts."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Final, Protocol

import asyncssh
import structlog

from nbi import ssh
from yang.calls import Calls, jittered

log = structlog.get_logger(__name__)

CALL_HOME_PORT: Final = 4334
"""netconf-ch-ssh of IANA's registry (RFC 8071 section 5)."""
_MAX_ERROR: Final = 255


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a client listens."""

    name: str
    address: str
    port: int = CALL_HOME_PORT


@dataclass(frozen=True, slots=True)
class Client:
    """A client to call.

    Attributes:
        name: of the client.
        endpoints: tried in this order, over and over.
        connect_timeout: seconds for the TCP connection.
        min_wait: seconds until it is called again when a session has ended, and after the first failure.
        max_wait: bound of this time, which doubles with every round of endpoints that fails.
    """

    name: str
    endpoints: tuple[Endpoint, ...]
    connect_timeout: float = 5.0
    min_wait: float = 1.0
    max_wait: float = 300.0


@dataclass(slots=True)
class State:
    """How it stands with a client; times are nanoseconds since the epoch, 0 for never.

    Attributes:
        status: ``connecting``, ``connected`` (somebody has logged in) or ``waiting``.
        endpoint: name of the one that is tried or connected.
        attempts, failures: connections that were tried since the client is configured, and those of them on
            which no NETCONF session came about.
        last_error: why the last one failed, "" when it did not.
    """

    status: str = "waiting"
    endpoint: str = ""
    attempts: int = 0
    failures: int = 0
    last_attempt: int = 0
    last_connected: int = 0
    last_error: str = ""


class CallHomeOwner(ssh.SshOwner, Protocol):
    """What calling home needs of the server."""

    host_keys: list[asyncssh.SSHKey]


class CallHome(Calls[Client, State]):
    """Keeps a connection with each client that is configured."""

    def __init__(self, owner: CallHomeOwner) -> None:
        super().__init__("call-home")
        self._owner = owner

    def _begin(self) -> State:
        return State()

    async def _keep(self, client: Client, state: State) -> None:
        wait = client.min_wait
        while True:
            served = False
            for endpoint in client.endpoints:
                served = await self._call(client, endpoint, state)
                if served:
                    break
            state.status = "waiting"
            wait = client.min_wait if served else min(wait, client.max_wait)
            await asyncio.sleep(jittered(wait))
            wait *= 2

    async def _call(self, client: Client, endpoint: Endpoint, state: State) -> bool:
        """Connect, and serve until the connection ends. Whether there was a NETCONF session."""
        state.status, state.endpoint = "connecting", endpoint.name
        state.attempts += 1
        state.last_attempt = time.time_ns()
        connection = ssh.SshConnection(self._owner, called=True)
        try:
            await self._serve(client, endpoint, state, connection)
            error = "" if connection.served else "the client opened no NETCONF session"
        except (OSError, asyncssh.Error, TimeoutError) as failure:
            error = "" if connection.served else _reason(failure)
        except asyncio.CancelledError:
            raise
        except Exception as failure:
            log.exception("netconf.call-home-defect", client=client.name)
            error = repr(failure)
        state.last_error = error[:_MAX_ERROR]
        if error:
            state.failures += 1
            log.warning(
                "netconf.call-home-failed",
                client=client.name,
                endpoint=endpoint.name,
                reason=state.last_error,
            )
        return connection.served

    async def _serve(
        self, client: Client, endpoint: Endpoint, state: State, connection: ssh.SshConnection
    ) -> None:
        # The time for the TCP connection is the client's own, that for the login is every client's.
        async with asyncio.timeout(client.connect_timeout) as patience:
            server = await asyncssh.connect_reverse(
                endpoint.address,
                endpoint.port,
                server_factory=lambda: self._connected(connection, patience),
                **ssh.options(self._owner, self._owner.host_keys),
            )
        try:
            state.status, state.last_connected = "connected", time.time_ns()
            log.info("netconf.call-home-connected", client=client.name, endpoint=endpoint.name)
            await server.wait_closed()
        finally:
            server.abort()

    def _connected(self, connection: ssh.SshConnection, patience: asyncio.Timeout) -> ssh.SshConnection:
        """The TCP connection is there: the client has the time of a login from now on."""
        loop = asyncio.get_running_loop()
        patience.reschedule(loop.time() + self._owner.limits.login_timeout + 1)
        return connection


def _reason(failure: Exception) -> str:
    """Why a call failed, for people: without the number of an error of the operating system."""
    return getattr(failure, "strerror", None) or str(failure) or type(failure).__name__
