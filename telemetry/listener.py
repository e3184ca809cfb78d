"""Where the gNMI server listens, and with which certificate.

Whether clients are asked for certificates is settled for each gRPC server when it begins to listen, and
whom it has let in may call for as long as the connection is there. So another one takes its place when that
changes or an authority is trusted no more: it gets the ports as soon as the one before has let go of them,
which takes no further RPCs and ends when those that it has are over.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Sequence
from typing import Final

import grpc

from telemetry.tls import ServerCertificate

_FREE_WITHIN: Final = 5.0
"""Seconds until a port is free that was listened on."""
_FOREVER: Final = 1e9
"""Seconds that the RPCs of a server that listens no more have: they end when their clients do."""


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
        make: Callable[[], grpc.aio.Server],
        listen: Sequence[tuple[str, int]],
        certificate: ServerCertificate,
    ) -> None:
        self.ports: list[int] = []
        self._make = make
        self._listen = tuple(listen)
        self._certificate = certificate
        self._server: grpc.aio.Server | None = None
        self._former: dict[asyncio.Task[None], grpc.aio.Server] = {}
        self._change = asyncio.Lock()

    @property
    def addresses(self) -> list[str]:
        """Where it listens, for people."""
        return [f"{host} {port}" for host, port in self._listen]

    async def start(self) -> None:
        """Listen. Raises OSError when an address cannot be had."""
        server = self._make()
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
        self._server = server
        self.ports[:] = ports
        self._listen = tuple((host, port) for (host, _), port in zip(self._listen, ports, strict=True))

    def distrusts(self, client_ca: bytes | None) -> bool:
        """With these authorities clients are turned away that are let in now."""
        return self._certificate.distrusts(client_ca)

    async def replace(self, key: bytes, certificate: bytes, client_ca: bytes | None) -> None:
        """Use these for new connections.

        Raises:
            OSError: the port was lost to somebody else; to be called again.
        """
        async with self._change:
            same = (client_ca is not None) == self._certificate.asks_clients
            if same and not self.distrusts(client_ca) and self._server is not None:
                self._certificate.replace(key, certificate, client_ca)
                return
            self._certificate = ServerCertificate(key, certificate, client_ca)
            former, self._server = self._server, None
            if former is not None:
                ending = asyncio.create_task(former.stop(_FOREVER), name="gnmi-former")
                self._former[ending] = former
                ending.add_done_callback(self._former.pop)
            for host, port in self._listen:
                await _free(host, port)
            await self.start()

    async def stop(self, grace: float) -> None:
        """Listen no more; RPCs that do not end in time are cancelled."""
        async with self._change:
            server, self._server = self._server, None
            if server is not None:
                await server.stop(grace)
            for ending, former in list(self._former.items()):
                await asyncio.wait((ending,), timeout=grace)
                if not ending.done():
                    ending.cancel()
                    await asyncio.wait((ending,))
                    await former.stop(None)


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
