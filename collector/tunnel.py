"""The collector as tunnel server (openconfig/grpctunnel): targets that cannot be dialled call it.

Each target that has registered is a Unix socket of its name in a folder. A connection to the socket goes
through the tunnel to the target's gNMI server, so that a client that knows nothing of tunnels can use it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import grpc
import structlog
from google.protobuf.message import DecodeError

from telemetry.protocol import tunnel_pb2
from telemetry.tunnel.desk import Added, Desk, Failed, Refused, Removed
from telemetry.tunnel.registration import Answer, TunnelError
from telemetry.tunnel.session import CHUNK, Session

log = structlog.get_logger()

MAXIMUM_FOLDER: Final = 42
"""Octets of the folder's name: what the path of a socket may have, without a name and a slash."""
OPEN_SECONDS: Final = 10.0
"""A client that has not opened a connection by then does not get it any more."""
MAXIMUM_WAITING: Final = 64
"""Connections of one client that are asked for and not there yet."""
_OPTIONS: Final = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", 1 << 20),
    ("grpc.max_metadata_size", 16 << 10),
    ("grpc.max_concurrent_streams", 256),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.http2.max_ping_strikes", 0),
)


@dataclass(frozen=True, slots=True)
class TunnelConfig:
    """Where targets call.

    Attributes:
        host, port: to listen on.
        certificate, key: of the server, PEM files.
        ca: authorities of the certificates that clients must show, PEM file.
        folder: where the sockets are.
        bind_names: whether a target may only have a name that the certificate of its client has.
    """

    host: str
    port: int
    certificate: Path
    key: Path
    ca: Path
    folder: Path
    bind_names: bool = True


class _Stream:
    """An RPC that ends when its handler does. Methods raise TunnelError."""

    def __init__(self, context: Any) -> None:
        self.peer: str = context.peer()
        self._context = context
        self._writing = asyncio.Lock()

    async def read(self) -> bytes | None:
        octets = await self._safely(self._context.read())
        return None if octets is grpc.aio.EOF else octets

    async def write(self, octets: bytes) -> None:
        async with self._writing:
            await self._safely(self._context.write(octets))

    @staticmethod
    async def _safely(doing: Awaitable[Any]) -> Any:
        try:
            return await doing
        except Exception as error:  # that an RPC is over grpc.aio says in many ways
            raise TunnelError(str(error) or "the RPC has ended") from None

    async def done_writing(self) -> None:
        pass

    def cancel(self) -> None:
        pass


class _Client(_Stream):
    """One Register RPC."""

    def __init__(self, context: Any, desk: Desk) -> None:
        super().__init__(context)
        self.desk = desk
        self.sockets: dict[str, asyncio.Server] = {}
        self.waiting = 0


@dataclass(slots=True)
class _Waiting:
    """A connection that a client has been asked for."""

    client: _Client
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    patience: asyncio.TimerHandle


class TunnelServer:
    """Serves until it is stopped.

    Attributes:
        port: where it listens.
    """

    def __init__(self, config: TunnelConfig) -> None:
        self.port = config.port
        self._config = config
        self._names: set[str] = set()
        self._clients: set[_Client] = set()
        self._waiting: dict[int, _Waiting] = {}
        self._tag = 0
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        """Listen. Raises OSError: of files, of the folder, or because the address cannot be had."""
        config = self._config
        config.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        credentials = grpc.ssl_server_credentials(
            [(config.key.read_bytes(), config.certificate.read_bytes())],
            config.ca.read_bytes(),
            require_client_auth=True,
        )
        server = grpc.aio.server(options=_OPTIONS)
        methods = {
            "Register": grpc.stream_stream_rpc_method_handler(self._register),
            "Tunnel": grpc.stream_stream_rpc_method_handler(self._tunnel),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpctunnel.Tunnel", methods),))
        address = f"[{config.host}]:{config.port}" if ":" in config.host else f"{config.host}:{config.port}"
        try:
            self.port = server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise OSError(f"cannot listen on {address}: {error}") from None
        await server.start()
        self._server = server
        log.info("collector.tunnel-listening", address=f"{config.host} {self.port}")

    async def stop(self) -> None:
        """End all tunnels; no socket is left."""
        if self._server is not None:
            await self._server.stop(0)
            self._server = None
        for client in tuple(self._clients):
            self._leave(client)

    # --- targets

    async def _register(self, _requests: AsyncIterator[bytes], context: Any) -> None:
        proven = _names_of(context.auth_context()) if self._config.bind_names else None
        client = _Client(context, Desk(self._names, proven))
        self._clients.add(client)
        try:
            while (octets := await client.read()) is not None:
                await self._do(client, client.desk.receive(octets))
        except TunnelError as error:
            log.warning("collector.tunnel-ended", peer=client.peer, reason=str(error))
            context.set_code(grpc.StatusCode.INVALID_ARGUMENT)
            context.set_details(str(error))
        finally:
            self._leave(client)

    def _leave(self, client: _Client) -> None:
        self._clients.discard(client)
        for name in tuple(client.sockets):
            self._remove(client, name)
        for tag, waiting in tuple(self._waiting.items()):
            if waiting.client is client:
                self._give_up(tag)

    async def _do(self, client: _Client, action: Added | Removed | Failed | Answer | None) -> None:
        if isinstance(action, Added):
            await self._add(client, action.name)
            await client.write(action.answer)
        elif isinstance(action, Removed):
            self._remove(client, action.name)
            await client.write(action.answer)
        elif isinstance(action, Failed):
            waiting = self._waiting.get(action.tag)
            if waiting is not None and waiting.client is client:
                log.warning("collector.tunnel-refused", peer=client.peer, reason=action.reason)
                self._give_up(action.tag)
        elif action is not None:
            if isinstance(action, Refused):
                log.warning(
                    "collector.tunnel-target-refused",
                    target=action.name,
                    peer=client.peer,
                    reason=action.reason,
                )
            await client.write(action.octets)

    async def _add(self, client: _Client, name: str) -> None:
        # before anything is waited for, so that nobody else takes the name meanwhile
        self._names.add(name)
        path = self._config.folder / name
        try:
            path.unlink(missing_ok=True)  # of a collector that was killed
            connected = partial(self._connected, client, name)
            server = await asyncio.start_unix_server(connected, path, limit=CHUNK, start_serving=False)
        except OSError as error:
            self._names.discard(name)
            raise TunnelError(f"cannot make the socket {path}: {error.strerror}") from None
        # before it listens: a client may end its call meanwhile, and what it had is removed then
        client.sockets[name] = server
        await server.start_serving()
        log.info("collector.tunnel-target", target=name, peer=client.peer)

    def _remove(self, client: _Client, name: str) -> None:
        client.sockets.pop(name).close()
        (self._config.folder / name).unlink(missing_ok=True)
        self._names.discard(name)
        log.info("collector.tunnel-target-gone", target=name, peer=client.peer)

    # --- connections

    async def _connected(
        self, client: _Client, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if client.waiting >= MAXIMUM_WAITING or name not in client.sockets:
            writer.close()
            return
        self._tag = self._tag % (2**31 - 1) + 1
        tag = self._tag
        patience = asyncio.get_running_loop().call_later(OPEN_SECONDS, self._give_up, tag)
        self._waiting[tag] = _Waiting(client, reader, writer, patience)
        client.waiting += 1
        try:
            await client.write(client.desk.ask(tag, name))
        except TunnelError:
            self._give_up(tag)

    def _take(self, tag: int) -> _Waiting | None:
        waiting = self._waiting.pop(tag, None)
        if waiting is not None:
            waiting.client.waiting -= 1
            waiting.patience.cancel()
        return waiting

    def _give_up(self, tag: int) -> None:
        waiting = self._take(tag)
        if waiting is not None:
            waiting.writer.close()

    async def _tunnel(self, _requests: AsyncIterator[bytes], context: Any) -> None:
        stream = _Stream(context)
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                tag = _tag_of(await stream.read())
            waiting = self._waiting.get(tag)
            if waiting is None or waiting.client.peer != stream.peer:
                raise TunnelError("nobody waits for a connection with this tag")
            self._take(tag)
            await Session(None).run(stream, waiting.reader, waiting.writer)
        except (TunnelError, TimeoutError) as error:
            log.info("collector.tunnel-session-ended", peer=stream.peer, reason=str(error) or "no tag came")


def _tag_of(octets: bytes | None) -> int:
    """Of the first message of a Tunnel RPC; 0 when there is none."""
    try:
        return int(tunnel_pb2.Data.FromString(octets or b"").tag)
    except DecodeError:
        return 0


def _names_of(proven: Mapping[str, Iterable[bytes]]) -> set[str]:
    """What a certificate says whose it is: its CN, and its alternative names of any kind."""
    kinds = ("x509_common_name", "x509_subject_alternative_name")
    return {name.decode(errors="replace") for kind in kinds for name in proven.get(kind, ())}


class Keeper:
    """The tunnel server that the configuration wants, if any. One that cannot be is told, and does without:
    targets that can be dialled are collected all the same."""

    def __init__(self) -> None:
        self._server: TunnelServer | None = None
        self._followed: tuple[TunnelConfig | None, list[bytes | None]] = None, []
        self._told = ""

    @property
    def port(self) -> int | None:
        """Where it listens; None when it does not."""
        return self._server.port if self._server else None

    async def follow(self, config: TunnelConfig | None) -> None:
        """Serve this from now on, files as they are now. Calls end if it is another one than before, and
        not otherwise; what cannot be served leaves the one before in its place."""
        wanted = config, _contents(config)
        if wanted == self._followed:
            return
        (before, _), self._followed = self._followed, wanted
        was = self._server is not None
        await self.stop()
        if not await self._serve(config) and was:
            await self._serve(before)

    async def again(self) -> None:
        """Serve what is wanted, if it could not be yet: its port may be free now."""
        config, _ = self._followed
        if self._server is None and config is not None:
            contents = _contents(config)
            if await self._serve(config):
                self._followed = config, contents

    async def stop(self) -> None:
        """End all tunnels."""
        if self._server is not None:
            await self._server.stop()
            self._server = None

    async def _serve(self, config: TunnelConfig | None) -> bool:
        if config is not None:
            server = TunnelServer(config)
            try:
                await server.start()
            except OSError as error:
                if self._told != str(error):
                    self._told = str(error)
                    log.error("collector.tunnel-not-served", error=self._told)
                return False
            self._server, self._told = server, ""
        return True


def _contents(config: TunnelConfig | None) -> list[bytes | None]:
    """Of the files that it names, None for one that cannot be read."""
    found: list[bytes | None] = []
    for file in (config.certificate, config.key, config.ca) if config else ():
        try:
            found.append(file.read_bytes())
        except OSError:
            found.append(None)
    return found
