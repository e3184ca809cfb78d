"""A tunnel server (openconfig/grpctunnel) for tests, that can also misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc

from telemetry.protocol import tunnel_pb2 as pb

TIMEOUT = 20.0


class Carried:
    """One connection through the tunnel, seen from the tunnel server."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self.over = asyncio.Event()
        self.status = grpc.StatusCode.OK

    async def send(self, octets: bytes = b"", *, close: bool = False) -> None:
        await self._context.write(pb.Data(data=octets, close=close).SerializeToString())

    async def send_raw(self, octets: bytes) -> None:
        await self._context.write(octets)

    async def read(self) -> bytes:
        """What comes next; empty when the target has closed, or the stream has ended."""
        async with asyncio.timeout(TIMEOUT):
            octets = await self._context.read()
        if octets is grpc.aio.EOF:
            return b""
        message = pb.Data.FromString(octets)
        return b"" if message.close else message.data

    async def read_all(self) -> bytes:
        found = b""
        while octets := await self.read():
            found += octets
        return found

    def end(self, status: grpc.StatusCode = grpc.StatusCode.OK) -> None:
        """End the stream."""
        self.status = status
        self.over.set()


class TunnelServer:
    """Takes targets and opens connections to them.

    Attributes:
        port: where it listens.
        targets: (target, target_type) of each that was announced, in their order.
        answers: what targets said of sessions.
        accept: whether targets are taken; otherwise `refusal` is the error.
        silent: nothing is said of targets at all.
    """

    def __init__(self) -> None:
        self.port = 0
        self.targets: list[tuple[str, str]] = []
        self.answers: asyncio.Queue[pb.Session] = asyncio.Queue()
        self.arrived = asyncio.Event()
        self.accept = True
        self.silent = False
        self.refusal = "no more targets"
        self.register: Any = None
        self._ended = asyncio.Event()
        self._tag = 0
        self._waiting: dict[int, asyncio.Future[Carried]] = {}
        self._server: grpc.aio.Server | None = None
        self._bridges: list[asyncio.Server] = []

    async def start(self, key: bytes, certificate: bytes, client_ca: bytes | None = None) -> None:
        """Listen; on the port of the last time, if there is one."""
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        methods = {
            "Register": grpc.stream_stream_rpc_method_handler(self._register),
            "Tunnel": grpc.stream_stream_rpc_method_handler(self._tunnel),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpctunnel.Tunnel", methods),))
        credentials = grpc.ssl_server_credentials(
            [(key, certificate)], client_ca, require_client_auth=client_ca is not None
        )
        self.port = server.add_secure_port(f"127.0.0.1:{self.port}", credentials)
        await server.start()
        self._server = server

    async def stop(self) -> None:
        for bridge in self._bridges:
            bridge.close()
        if self._server is not None:
            await self._server.stop(0)
            self._server = None

    async def registered(self) -> None:
        """Wait for the next target."""
        async with asyncio.timeout(TIMEOUT):
            await self.arrived.wait()
        self.arrived.clear()

    async def ask(self, tag: int, target: str = "bng-01", target_type: str = "GNMI_GNOI") -> None:
        """Ask for a connection."""
        session = pb.Session(tag=tag, accept=True, target=target, target_type=target_type)
        await self.say(pb.RegisterOp(session=session).SerializeToString())

    async def say(self, octets: bytes) -> None:
        """Send something in the Register stream."""
        await self.register.write(octets)

    async def answer(self) -> pb.Session:
        """The next answer of a target."""
        async with asyncio.timeout(TIMEOUT):
            return await self.answers.get()

    async def open(self) -> Carried:
        """A connection to the target."""
        self._tag += 1
        waiting = self._waiting[self._tag] = asyncio.get_running_loop().create_future()
        await self.ask(self._tag)
        async with asyncio.timeout(TIMEOUT):
            return await waiting

    def hang_up(self, status: grpc.StatusCode = grpc.StatusCode.OK) -> None:
        """End the Register stream."""
        self.register.set_code(status)
        self._ended.set()

    async def bridge(self) -> int:
        """A TCP port of which each connection goes through the tunnel."""
        listening = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self._bridges.append(listening)
        port: int = listening.sockets[0].getsockname()[1]
        return port

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        carried = await self.open()

        async def inward() -> None:
            while octets := await reader.read(65536):
                await carried.send(octets)
            await carried.send(close=True)

        sending = asyncio.create_task(inward())
        try:
            while octets := await carried._context.read():
                if octets is grpc.aio.EOF or (message := pb.Data.FromString(octets)).close:
                    break
                writer.write(message.data)
                await writer.drain()
        finally:
            sending.cancel()
            carried.end()
            writer.close()

    async def _register(self, requests: AsyncIterator[bytes], context: Any) -> None:
        self.register = context
        self._ended = asyncio.Event()
        hearing = asyncio.create_task(self._hear(context))
        ended = asyncio.create_task(self._ended.wait())
        await asyncio.wait({hearing, ended}, return_when=asyncio.FIRST_COMPLETED)
        hearing.cancel()
        ended.cancel()

    async def _hear(self, context: Any) -> None:
        while (octets := await context.read()) is not grpc.aio.EOF:
            message = pb.RegisterOp.FromString(octets)
            if message.WhichOneof("Registration") == "session":
                self.answers.put_nowait(message.session)
                continue
            target = message.target
            self.targets.append((target.target, target.target_type))
            if self.silent:
                continue
            answer = pb.Target(target=target.target, target_type=target.target_type, accept=self.accept)
            if not self.accept:
                answer.error = self.refusal
            await context.write(pb.RegisterOp(target=answer).SerializeToString())
            self.arrived.set()

    async def _tunnel(self, requests: AsyncIterator[bytes], context: Any) -> None:
        first = pb.Data.FromString(await context.read())
        assert not first.data
        carried = Carried(context)
        waiting = self._waiting.pop(first.tag, None)
        if waiting is not None:
            waiting.set_result(carried)
        await carried.over.wait()
        context.set_code(carried.status)
