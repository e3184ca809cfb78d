"""Shows services of the management network on this machine's loopback.

``python -m lab.publish FILE``: the process opens its listening sockets where it starts, on the machine, then
moves into the management namespace, so that what it connects to is there. Sockets stay where they were made.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from lab.logs import configure_logging
from lab.netns.inside import enter

log = structlog.get_logger()

MAX_CONNECTIONS = 1024
"""Connections at one time; further ones are closed at once."""

_CONNECT_TIMEOUT = 5.0
_CHUNK = 65536


@dataclass(frozen=True)
class Forward:
    """One published port."""

    listen_host: str
    listen_port: int
    host: str
    port: int


def load_forwards(text: str) -> tuple[str, list[Forward]]:
    """The namespace to connect from and the ports; raises ValueError, KeyError or TypeError."""
    data: dict[str, Any] = json.loads(text)
    return data["namespace"], [Forward(**entry) for entry in data["forwards"]]


def dump_forwards(namespace: str, forwards: list[Forward]) -> str:
    """The reverse."""
    listed = [vars(forward) for forward in forwards]
    return json.dumps({"namespace": namespace, "forwards": listed}, indent=1) + "\n"


def listening_socket(host: str, port: int) -> socket.socket:
    """A listening TCP socket; raises OSError when the port is taken."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(256)
    except OSError:
        sock.close()
        raise
    return sock


class Publisher:
    """Joins accepted connections with connections to the services."""

    def __init__(self) -> None:
        self._connections = 0

    async def serve(self, sockets: list[tuple[socket.socket, Forward]]) -> None:
        """Serve until SIGTERM."""
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        servers = [
            await asyncio.start_server(functools.partial(self._accept, forward), sock=sock, limit=_CHUNK)
            for sock, forward in sockets
        ]
        log.info("publish.ready", ports=[forward.listen_port for _, forward in sockets])
        await stop.wait()
        for server in servers:
            server.close()

    async def _accept(
        self, forward: Forward, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self._connections >= MAX_CONNECTIONS:
            writer.close()
            return
        self._connections += 1
        try:
            await self._join(reader, writer, forward)
        except (OSError, TimeoutError) as error:
            log.info("publish.unreachable", host=forward.host, port=forward.port, error=str(error))
        finally:
            self._connections -= 1
            writer.close()

    @staticmethod
    async def _join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, forward: Forward) -> None:
        opening = asyncio.open_connection(forward.host, forward.port, limit=_CHUNK)
        inner_reader, inner_writer = await asyncio.wait_for(opening, _CONNECT_TIMEOUT)
        try:
            await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
        finally:
            inner_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until the end of one direction, and pass the end on."""
    try:
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.close()  # one direction is broken: so is the connection


def main() -> int:
    """1 when a port is taken or the namespace is gone."""
    if len(sys.argv) != 2:
        print("usage: python -m lab.publish FILE", file=sys.stderr)
        return 2
    configure_logging()
    with contextlib.ExitStack() as stack:
        try:
            namespace, forwards = load_forwards(Path(sys.argv[1]).read_text())
            sockets = []
            for forward in forwards:
                sock = stack.enter_context(listening_socket(forward.listen_host, forward.listen_port))
                sockets.append((sock, forward))
            enter(namespace)
        except (OSError, ValueError, KeyError, TypeError) as error:
            print(f"the lab's ports cannot be published: {error}", file=sys.stderr)
            return 1
        asyncio.run(Publisher().serve(sockets))
    return 0


if __name__ == "__main__":
    sys.exit(main())
