"""Keeps a call with each tunnel server that is configured."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import grpc
import structlog

from telemetry.tunnel.connection import Bounds, Connection, Served, TunnelServer
from telemetry.tunnel.registration import TunnelError
from yang.calls import Calls, jittered

log = structlog.get_logger()

_MAX_ERROR: Final = 255
_SETTLED_SECONDS: Final = 10.0
"""A server that takes the target and ends sooner is called less and less often, as one that is not there."""


@dataclass(slots=True)
class State:
    """How it stands with a tunnel server; times are nanoseconds since the epoch, 0 for never.

    Attributes:
        status: ``connecting``, ``connected`` (it has taken the target) or ``waiting``.
        attempts, failures: calls since the server is configured, and those of them in which it did not take
            the target.
        last_error: why the last call failed or ended, "" while none did.
        next_attempt: when it is called again, while waiting.
        opened, refused: connections that it has asked for in calls that have ended, and those of them that
            it did not get.
        connection: the call that is made.
    """

    status: str = "waiting"
    attempts: int = 0
    failures: int = 0
    last_attempt: int = 0
    last_connected: int = 0
    next_attempt: int = 0
    last_error: str = ""
    opened: int = 0
    refused: int = 0
    connection: Connection | None = None

    def sessions(self) -> tuple[int, int, int]:
        """Connections: open now, and asked for and refused in all."""
        if self.connection is None:
            return 0, self.opened, self.refused
        now = self.connection.registration
        return len(now.sessions), self.opened + now.opened, self.refused + now.refused


class Tunnels(Calls[TunnelServer, State]):
    """Calls each, and again when a call has ended.

    Args:
        served: what connections go to.
        credentials: for a server, from its files as they are now. Raises OSError, ValueError.
        bounds: of each call.
    """

    def __init__(
        self,
        served: Served,
        credentials: Callable[[TunnelServer], grpc.ChannelCredentials],
        bounds: Bounds | None = None,
    ) -> None:
        super().__init__("gnmi-tunnel")
        self._served = served
        self._credentials = credentials
        self._bounds = bounds or Bounds()

    def _begin(self) -> State:
        return State()

    async def _keep(self, server: TunnelServer, state: State) -> None:
        wait = server.min_wait
        while True:
            lasted = await self._call(server, state)
            wait = server.min_wait if lasted >= _SETTLED_SECONDS else min(wait, server.max_wait)
            pause = jittered(wait)
            state.status, state.next_attempt = "waiting", time.time_ns() + int(pause * 1e9)
            await asyncio.sleep(pause)
            wait *= 2

    async def _call(self, server: TunnelServer, state: State) -> float:
        """One call. For how long the server had the target, seconds."""
        since = 0.0

        def accepted() -> None:
            nonlocal since
            since = time.monotonic()
            state.status, state.last_connected = "connected", time.time_ns()
            log.info("gnmi.tunnel.connected", server=server.name, target=server.target)

        state.status, state.last_attempt, state.next_attempt = "connecting", time.time_ns(), 0
        state.attempts += 1
        try:
            connection = Connection(server, self._credentials(server), self._served, self._bounds)
            state.connection = connection
            await connection.run(accepted)
        except (TunnelError, OSError, ValueError) as error:
            state.last_error = _printable(str(error))
        except Exception as error:
            log.exception("gnmi.tunnel.defect", server=server.name)
            state.last_error = _printable(repr(error))
        finally:
            _, state.opened, state.refused = state.sessions()
            state.connection = None
        if since:
            log.warning("gnmi.tunnel.lost", server=server.name, reason=state.last_error)
            return time.monotonic() - since
        state.failures += 1
        log.warning("gnmi.tunnel.failed", server=server.name, reason=state.last_error)
        return 0.0


def _printable(text: str) -> str:
    """What a tunnel server says, without what does things to a terminal or is no text to a database."""
    shown = text[:_MAX_ERROR]
    return "".join(character if character.isprintable() else "\ufffd" for character in shown)
