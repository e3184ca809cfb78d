"""Keeps a call with each tunnel server that is configured."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import grpc
import structlog

from telemetry.tunnel.connection import Bounds, Connection, Served, TunnelServer
from telemetry.tunnel.registration import TunnelError

log = structlog.get_logger()

_JITTER: Final = 0.25
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


@dataclass(slots=True)
class _Called:
    server: TunnelServer
    state: State = field(default_factory=State)
    task: asyncio.Task[None] | None = None


class Tunnels:
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
        self._served = served
        self._credentials = credentials
        self._bounds = bounds or Bounds()
        self._called: dict[str, _Called] = {}

    @property
    def states(self) -> Mapping[str, State]:
        """By name of server."""
        return {name: called.state for name, called in self._called.items()}

    async def configure(self, servers: Iterable[TunnelServer]) -> None:
        """Call these from now on. Calls of servers that are no more, or that are configured otherwise than
        before, end, and with them the connections in them."""
        wanted = {server.name: server for server in servers}
        for name, called in tuple(self._called.items()):
            if wanted.get(name) != called.server:
                await self._end(name)
        for name, server in wanted.items():
            if name not in self._called:
                called = self._called[name] = _Called(server)
                called.task = asyncio.create_task(self._keep(called), name=f"gnmi-tunnel-{name}")

    async def stop(self) -> None:
        """End all calls; call nobody any more."""
        for name in tuple(self._called):
            await self._end(name)

    async def _end(self, name: str) -> None:
        task = self._called.pop(name).task
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def _keep(self, called: _Called) -> None:
        server, state = called.server, called.state
        wait = server.min_wait
        while True:
            lasted = await self._call(server, state)
            wait = server.min_wait if lasted >= _SETTLED_SECONDS else min(wait, server.max_wait)
            # so that a server that comes back is not called by all targets at once
            pause = wait * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311
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
