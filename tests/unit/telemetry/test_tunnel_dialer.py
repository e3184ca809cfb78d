"""Calls to tunnel servers that do what they should and what they should not, and connections through them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import grpc
import pytest

from telemetry.protocol import tunnel_pb2 as pb
from telemetry.tunnel.connection import Bounds, TunnelServer
from telemetry.tunnel.dialer import State, Tunnels
from tests.support import tunnel_server
from tests.support.certificates import Authority
from tests.support.waiting import until

TIMEOUT = 20.0
CHUNK = 64 * 1024

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says what it hears, and closes when the other has."""
    while octets := await reader.read(CHUNK):
        writer.write(octets)
        await writer.drain()
    writer.close()


@dataclass
class Local:
    """What connections go to: any TCP server."""

    peer: Peer = echo
    origins: dict[tuple[str, int], str] = field(default_factory=dict)
    local_address: tuple[str, int] = ("127.0.0.1", 1)
    written: int = 0

    async def start(self) -> asyncio.Server:
        server = await asyncio.start_server(lambda reader, writer: self.peer(reader, writer), "127.0.0.1", 0)
        self.local_address = server.sockets[0].getsockname()[:2]
        return server

    async def flood(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Says more than anybody wants to hear."""
        try:
            while True:
                writer.write(b"x" * CHUNK)
                await writer.drain()
                self.written += CHUNK
        except OSError:
            writer.close()


@dataclass
class World:
    """One target and one tunnel server."""

    local: Local
    collector: tunnel_server.TunnelServer
    tunnels: Tunnels
    wanted: TunnelServer
    authority: Authority
    pair: tuple[bytes, bytes]

    @property
    def state(self) -> State:
        return self.tunnels.states["noc"]

    async def call(self, **options: Any) -> None:
        await self.tunnels.configure([replace(self.wanted, **options)])

    async def connect(self) -> None:
        await self.call()
        await self.collector.registered()
        await until(lambda: self.state.status == "connected")


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
async def world(authority: Authority, request: Any) -> AsyncIterator[World]:
    local = Local()
    server = await local.start()
    pair = authority.issue("collector", "127.0.0.1")
    collector = tunnel_server.TunnelServer()
    await collector.start(*pair)
    bounds = getattr(request, "param", Bounds(sessions=2))
    tunnels = Tunnels(local, lambda _: grpc.ssl_channel_credentials(authority.certificate), bounds)
    wanted = TunnelServer("noc", "127.0.0.1", collector.port, "bng-01", min_wait=0.02, max_wait=0.1)
    made = World(local, collector, tunnels, wanted, authority, pair)
    yield made
    await tunnels.stop()
    await collector.stop()
    server.close()


# --- connections


async def test_octets_both_ways_and_half_close(world):
    await world.connect()
    carried = await world.collector.open()
    assert list(world.local.origins.values()) == ["127.0.0.1"]
    for text in (b"a", b"b" * 500_000):
        await carried.send(text)
        heard = b""
        while len(heard) < len(text):
            heard += await carried.read()
        assert heard == text
    # the server has no more to say, and hears the rest all the same
    await carried.send(b"the last", close=True)
    assert await carried.read_all() == b"the last"
    carried.end()
    await until(lambda: world.state.sessions() == (0, 1, 0))
    assert world.local.origins == {}


async def test_the_target_closes_first(world):
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.write_eof()
        answers.append(await reader.read())
        writer.close()

    answers: list[bytes] = []
    world.local.peer = greet
    await world.connect()
    carried = await world.collector.open()
    assert await carried.read_all() == b"hello"
    await carried.send(b"bye", close=True)
    carried.end()
    await until(lambda: world.state.sessions()[0] == 0 and answers)
    assert answers == [b"bye"]


async def test_the_server_ends_a_stream(world):
    await world.connect()
    first, second = await world.collector.open(), await world.collector.open()
    await first.send(b"unanswered")
    first.end()
    await until(lambda: world.state.sessions()[0] == 1)
    await second.send(b"still here")
    assert await second.read() == b"still here"


@pytest.mark.parametrize("world", [Bounds(linger=0.1)], indirect=True)
async def test_who_has_closed_does_not_wait_for_ever(world):
    """Neither for a target that does not close in its turn, nor for a tunnel server."""
    ended = asyncio.Event()

    async def stubborn(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        await ended.wait()
        writer.close()

    world.local.peer = stubborn
    await world.connect()
    carried = await world.collector.open()
    await carried.send(close=True)
    await until(lambda: world.state.sessions() == (0, 1, 0))
    ended.set()
    carried = await world.collector.open()
    await carried.send(close=True)
    await until(lambda: world.state.sessions() == (0, 2, 0))


@pytest.mark.parametrize("world", [Bounds(stall=0.3)], indirect=True)
async def test_a_slow_reader_holds_nobody_up_and_is_dismissed(world):
    world.local.peer = world.local.flood
    await world.connect()
    await world.collector.open()
    await until(lambda: world.state.sessions() == (1, 1, 0))
    world.local.peer = echo
    other = await world.collector.open()
    await other.send(b"quick")
    assert await other.read() == b"quick"
    await until(lambda: world.state.sessions() == (1, 2, 0))
    # sockets and windows hold some of it, and nobody else does
    assert world.local.written < 64 * 1024 * 1024
    await other.send(b"still quick")
    assert await other.read() == b"still quick"


@pytest.mark.parametrize("world", [Bounds(stall=0.3)], indirect=True)
async def test_a_target_that_reads_nothing(world):
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.close()

    ended = asyncio.Event()
    world.local.peer = deaf
    await world.connect()
    carried = await world.collector.open()
    sending = asyncio.create_task(_pour(carried))
    await until(lambda: world.state.sessions()[0] == 0)
    sending.cancel()
    ended.set()


async def _pour(carried: tunnel_server.Carried) -> None:
    while True:
        await carried.send(b"x" * CHUNK)


async def test_garbage_in_a_connection_ends_it_alone(world):
    await world.connect()
    first, second = await world.collector.open(), await world.collector.open()
    await first.send_raw(b"\xff\xff")
    await until(lambda: world.state.sessions()[0] == 1)
    await second.send(b"fine")
    assert await second.read() == b"fine"
    third = await world.collector.open()
    with suppress(Exception):  # grpc.aio's, when the stream has ended before all of it is written
        await third.send(b"y" * (2 * 1024 * 1024))  # more than a message may have
    await until(lambda: world.state.sessions()[0] == 1)
    assert world.state.status == "connected"


async def test_too_many_and_wrong_ones_are_refused(world):
    await world.connect()
    await world.collector.open()
    await world.collector.open()
    for _ in range(500):
        await world.collector.ask(9)
    for _ in range(500):
        assert "2 connections" in (await world.collector.answer()).error
    for tag, target, reason in ((-1, "bng-01", "positive"), (9, "bng-02", "bng-01"), (1, "bng-01", "in use")):
        await world.collector.ask(tag, target)
        assert reason in (await world.collector.answer()).error
    assert world.state.sessions() == (2, 505, 503)
    # and one that the server gives up
    await world.collector.say(pb.RegisterOp(session=pb.Session(tag=2, error="no")).SerializeToString())
    await until(lambda: world.state.sessions() == (1, 505, 503))


async def test_one_that_is_given_up_at_once(world):
    await world.connect()
    for _ in range(3):
        await world.collector.ask(7)
        await world.collector.say(pb.RegisterOp(session=pb.Session(tag=7, error="no")).SerializeToString())
    await until(lambda: world.state.sessions()[:2] == (0, 3))
    carried = await world.collector.open()
    await carried.send(b"now")
    assert await carried.read() == b"now"


async def test_a_gnmi_server_that_cannot_be_reached(world):
    await world.connect()
    world.local.local_address = ("127.0.0.1", 1)
    await world.collector.ask(1)
    assert "cannot be reached" in (await world.collector.answer()).error
    await until(lambda: world.state.sessions() == (0, 1, 1))


# --- calls


async def test_a_server_that_comes_and_goes(world):
    await world.collector.stop()
    await world.call()
    await until(lambda: world.state.failures >= 2)
    assert "refused" in world.state.last_error
    assert world.state.last_connected == 0
    for _ in range(2):
        await world.collector.start(*world.pair)
        await world.collector.registered()
        await until(lambda: world.state.status == "connected")
        carried = await world.collector.open()
        await carried.send(b"back")
        assert await carried.read() == b"back"
        await world.collector.stop()
        await until(lambda: world.state.status != "connected")
    assert world.state.last_connected
    assert world.collector.targets == [("bng-01", "GNMI_GNOI")] * 2


@pytest.mark.parametrize("octets", [b"\xff\xff", b"\x00" * (2 * 1024 * 1024)])
async def test_garbage_in_the_registration_ends_the_call(world, octets):
    await world.connect()
    await world.collector.open()
    with suppress(Exception):  # grpc.aio's, when the call has ended before all of it is written
        await world.collector.say(octets)
    await until(lambda: world.state.attempts == 2 and world.state.status == "connected")
    assert world.state.last_error
    assert world.state.sessions()[0] == 0
    assert world.state.failures == 0


async def test_a_registration_that_ends(world):
    await world.connect()
    world.collector.hang_up()
    await until(lambda: world.state.attempts == 2 and world.state.status == "connected")
    assert "ended the registration" in world.state.last_error


async def test_a_server_that_cancels_does_not_end_the_calling(world):
    """The status CANCELLED is not the exception that ends tasks."""
    await world.connect()
    carried = await world.collector.open()
    carried.end(grpc.StatusCode.CANCELLED)
    await until(lambda: world.state.sessions()[0] == 0)
    world.collector.hang_up(grpc.StatusCode.CANCELLED)
    await until(lambda: world.state.attempts == 2 and world.state.status == "connected")
    assert world.state.last_error == "CANCELLED"


async def test_a_target_that_is_not_taken(world):
    world.collector.accept = False
    await world.call()
    await until(lambda: world.state.failures >= 2)
    assert world.state.last_error == "the tunnel server does not take the target bng-01: no more targets"
    assert world.state.status != "connected"
    world.collector.accept = True
    await until(lambda: world.state.status == "connected")


@pytest.mark.parametrize("world", [Bounds(register=0.1)], indirect=True)
async def test_a_server_that_says_nothing(world):
    world.collector.silent = True
    await world.call()
    await until(lambda: world.state.failures >= 2)
    assert "within 0.1 seconds" in world.state.last_error


async def test_a_peer_that_is_no_tunnel_server(world):
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await reader.read(100)
        writer.close()

    world.local.peer = talk
    await world.call(port=world.local.local_address[1])
    await until(lambda: world.state.failures >= 2)
    assert world.state.last_error


async def test_a_certificate_of_somebody_else(world):
    await world.collector.stop()
    await world.collector.start(*Authority().issue("collector", "127.0.0.1"))
    await world.call()
    await until(lambda: world.state.failures >= 1)
    assert "certificate" in world.state.last_error.lower()
    await world.collector.stop()
    await world.collector.start(*world.authority.issue("collector", "tunnel.example"))
    await until(lambda: world.state.failures >= 5)
    assert world.collector.targets == []
    await world.call(server_name="tunnel.example")
    await until(lambda: world.state.status == "connected")


async def test_several_servers_and_a_change_of_one(world):
    second = tunnel_server.TunnelServer()
    await second.start(*world.pair)
    other = replace(world.wanted, name="other", port=second.port, target="bng-01.other")
    await world.tunnels.configure([world.wanted, other])
    await world.collector.registered()
    await second.registered()
    carried = await world.collector.open()
    await world.tunnels.configure([world.wanted, replace(other, target="renamed")])
    await second.registered()
    assert second.targets == [("bng-01.other", "GNMI_GNOI"), ("renamed", "GNMI_GNOI")]
    await carried.send(b"untouched")
    assert await carried.read() == b"untouched"
    assert world.state.attempts == 1
    await world.tunnels.configure([])
    assert world.tunnels.states == {}
    assert await carried.read() == b""
    await second.stop()


async def test_what_a_server_says_is_made_text(world):
    world.collector.accept = False
    world.collector.refusal = "no\0\x1b[31m\u202e" + "x" * 1000
    await world.call()
    await until(lambda: world.state.failures > 0)
    assert world.state.last_error.isprintable()
    assert "no\ufffd\ufffd[31m\ufffdxxx" in world.state.last_error
    assert len(world.state.last_error) <= 255
