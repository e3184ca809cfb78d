"""Where the gNMI server listens, and with which certificate.

Whether clients are asked for certificates is settled for each gRPC server when it begins to listen, and
whom it has let in may call for as long as the connection is there. So another one takes its place when that
changes or an authority is trusted no more: it gets the ports as soon as the one before has let go of them.
That one goes on with the connections that it has until the last is gone; or, when their clients are not
trusted any more, ends them as soon as the calls that are under way are over.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import grpc

from telemetry import sockets
from telemetry.errors import Code, Refused
from telemetry.tls import ServerCertificate

_FREE_WITHIN: Final = 5.0
"""Seconds until a port is free that was listened on."""
_OVER_WITHIN: Final = 5.0
"""Seconds that calls have which are under way when their clients are trusted no more."""
_LOOK_EVERY: Final = 5.0
"""Seconds between two looks whether a server that listens no more has connections."""


class Admission:
    """Whether a gRPC server takes calls, and how many are under way."""

    def __init__(self) -> None:
        self._calls = 0
        self._refusal = ""
        self._idle = asyncio.Event()
        self._idle.set()

    @contextmanager
    def call(self) -> Iterator[None]:
        """During a call. Raises Refused (UNAVAILABLE): no more are taken."""
        if self._refusal:
            raise Refused(Code.UNAVAILABLE, self._refusal)
        self._calls += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._calls -= 1
            if not self._calls:
                self._idle.set()

    def refuse(self, reason: str) -> None:
        """From now on."""
        self._refusal = reason

    async def idle(self, within: float) -> None:
        """Wait until no call is under way, or for so many seconds."""
        try:
            await asyncio.wait_for(self._idle.wait(), within)
        except TimeoutError:
            return


@dataclass(slots=True)
class _Serving:
    """A gRPC server.

    Attributes:
        connections: those that it has, once it listens no more.
        ending: stops it when it is needed no more.
    """

    server: grpc.aio.Server
    admission: Admission
    connections: frozenset[sockets.Connection] = frozenset()
    ending: asyncio.Task[None] | None = None


class Listener:
    """Listens on some ports.

    Args:
        make: a gRPC server with all of its handlers, that listens nowhere yet.
        listen: (host, port) pairs; port 0 takes a free one, see `ports`.

    Attributes:
        ports: where it listens.
    """

    def __init__(
        self,
        make: Callable[[Admission], grpc.aio.Server],
        listen: Sequence[tuple[str, int]],
        certificate: ServerCertificate,
    ) -> None:
        self.ports: list[int] = []
        self._make = make
        self._listen = tuple(listen)
        self._certificate = certificate
        self._current: _Serving | None = None
        self._former: list[_Serving] = []
        self._change = asyncio.Lock()

    @property
    def addresses(self) -> list[str]:
        """Where it listens, for people."""
        return [f"{host} {port}" for host, port in self._listen]

    async def start(self) -> None:
        """Listen. Raises OSError when an address cannot be had."""
        admission = Admission()
        server = self._make(admission)
        ports = []
        for host, port in self._listen:
            address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            try:
                ports.append(server.add_secure_port(address, self._certificate.credentials()))
            except RuntimeError as error:
                # It would keep the others for ever, and nobody would serve them. Only what has begun can end.
                await server.start()
                await server.stop(None)
                raise OSError(f"gNMI cannot listen on {address}: {error}") from None
        await server.start()
        self._current = _Serving(server, admission)
        self.ports[:] = ports
        self._listen = tuple((host, port) for (host, _), port in zip(self._listen, ports, strict=True))

    async def replace(
        self, key: bytes, certificate: bytes, client_ca: bytes | None, distrusted: Callable[[], None]
    ) -> None:
        """Use these for new connections.

        Args:
            distrusted: called when clients that were let in are trusted no more, and before others are.

        Raises:
            OSError: the port was lost to somebody else; to be called again.
        """
        async with self._change:
            same = (client_ca is not None) == self._certificate.asks_clients
            distrusts = self._certificate.distrusts(client_ca)
            if same and not distrusts and self._current is not None:
                self._certificate.replace(key, certificate, client_ca)
                return
            self._certificate = ServerCertificate(key, certificate, client_ca)
            self._retire()
            if distrusts:
                self._turn_away()
                distrusted()
            for host, port in self._listen:
                await _free(host, port)
            await self.start()

    def _retire(self) -> None:
        """Have the server listen no more, and end when it is needed no more."""
        former, self._current = self._current, None
        if former is not None:
            sockets.deafen(self.ports)
            former.connections = sockets.connections(self.ports)
            former.ending = asyncio.create_task(self._end_when_left(former), name="gnmi-former")
            self._former.append(former)

    def _turn_away(self) -> None:
        """Of the servers before: take no further calls, and end their connections."""
        for former in self._former:
            former.admission.refuse("clients must show another certificate from now on: connect again")
            if former.ending is not None:
                former.ending.cancel()
            former.ending = asyncio.create_task(self._end(former), name="gnmi-former")

    async def _end_when_left(self, former: _Serving) -> None:
        while former.connections & sockets.connections(self.ports):  # noqa: ASYNC110  the kernel tells nobody
            await asyncio.sleep(_LOOK_EVERY)
        await self._stop_former(former)

    async def _end(self, former: _Serving) -> None:
        await former.admission.idle(_OVER_WITHIN)
        sockets.cut(self.ports, former.connections)
        await self._stop_former(former)

    async def _stop_former(self, former: _Serving) -> None:
        self._former.remove(former)
        await former.server.stop(None)

    async def stop(self, grace: float) -> None:
        """Listen no more; RPCs that do not end in time are cancelled."""
        async with self._change:
            serving, self._current = [*self._former, *([self._current] if self._current else ())], None
            for one in serving:
                if one.ending is not None:
                    one.ending.cancel()
            self._former.clear()
            await asyncio.gather(*(one.server.stop(grace) for one in serving))


async def _free(host: str, port: int) -> None:
    """Wait until a port can be listened on; not for ever, for gRPC says what is wrong."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    until = time.monotonic() + _FREE_WITHIN
    while time.monotonic() < until:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
                probe.listen()
            except OSError:
                await asyncio.sleep(0.02)
            else:
                return
