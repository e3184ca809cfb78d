"""The collector as tunnel server, with the element's side of a tunnel and with clients that are none."""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest

from collector import tunnel
from collector.config import ConfigError, parse
from collector.tunnel import Keeper, TunnelConfig
from telemetry.protocol import tunnel_pb2 as pb
from telemetry.tunnel.connection import TunnelServer
from telemetry.tunnel.dialer import Tunnels
from tests.support.certificates import Authority
from tests.support.ports import free_port
from tests.support.waiting import until

TIMEOUT = 20.0


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while octets := await reader.read(65536):
        writer.write(octets)
        await writer.drain()
    writer.close()


@dataclass
class Local:
    """The gNMI server of an element."""

    local_address: tuple[str, int]
    origins: dict[tuple[str, int], str] = field(default_factory=dict)


class World:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority()
        self.ca = folder / "ca.pem"
        self.ca.write_bytes(self.authority.certificate)
        key, certificate = self.authority.issue("collector", "127.0.0.1")
        (folder / "key.pem").write_bytes(key)
        (folder / "cert.pem").write_bytes(certificate)
        self.sockets = folder / "s"
        self.config = TunnelConfig(
            "127.0.0.1", 0, folder / "cert.pem", folder / "key.pem", self.ca, self.sockets, bind_names=False
        )
        self.server = tunnel.TunnelServer(self.config)
        self.pair = self.authority.issue("bng")

    def credentials(self, _server: TunnelServer | None = None) -> grpc.ChannelCredentials:
        return grpc.ssl_channel_credentials(self.authority.certificate, *self.pair)

    def wanted(self, target: str = "bng-01") -> TunnelServer:
        return TunnelServer("noc", "127.0.0.1", self.server.port, target, min_wait=0.02, max_wait=0.1)

    def names(self) -> set[str]:
        return {path.name for path in self.sockets.iterdir()}

    async def open(self, name: str = "bng-01") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(self.sockets / name)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    folder = Path(tempfile.mkdtemp(prefix="tun"))  # short, as names of sockets have to be
    made = World(folder)
    await made.server.start()
    yield made
    await made.server.stop()
    shutil.rmtree(folder)


@pytest.fixture
async def tunnels(world: World) -> AsyncIterator[Tunnels]:
    """An element that has registered."""
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    made = Tunnels(Local(server.sockets[0].getsockname()[:2]), world.credentials)
    await made.configure([world.wanted()])
    await until(lambda: world.names() == {"bng-01"})
    yield made
    await made.stop()
    server.close()


class Stranger:
    """A client that says what the test wants."""

    def __init__(self, world: World) -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        self.channel = grpc.aio.secure_channel(f"127.0.0.1:{world.server.port}", world.credentials(), options)
        self.register: Any = self.call("Register")

    def call(self, method: str) -> Any:
        return self.channel.stream_stream(f"/grpctunnel.Tunnel/{method}")()

    async def add(self, name: str) -> pb.Target:
        target = pb.Target(op=pb.Target.ADD, target=name, target_type="GNMI_GNOI")
        await self.register.write(pb.RegisterOp(target=target).SerializeToString())
        return (await self.hear()).target

    async def hear(self) -> pb.RegisterOp:
        async with asyncio.timeout(TIMEOUT):
            return pb.RegisterOp.FromString(await self.register.read())


async def test_a_socket_leads_to_the_target(world, tunnels):
    assert world.sockets.stat().st_mode & 0o077 == 0
    connections = [await world.open() for _ in range(3)]
    for number, (reader, writer) in enumerate(connections):
        text = bytes([number]) * 300_000
        writer.write(text)
        writer.write_eof()
        assert await reader.read() == text
        writer.close()
    await until(lambda: tunnels.states["noc"].sessions() == (0, 3, 0))


async def test_a_target_that_goes_and_comes_back(world, tunnels):
    reader, writer = await world.open()
    writer.write(b"a")
    assert await reader.read(1) == b"a"
    await tunnels.configure([])
    assert await reader.read() == b""
    await until(lambda: world.names() == set())
    writer.close()
    (world.sockets / "bng-01").write_bytes(b"what a collector left that was killed")
    await tunnels.configure([world.wanted()])
    await until(lambda: tunnels.states["noc"].status == "connected")
    reader, writer = await world.open()
    writer.write(b"b")
    assert await reader.read(1) == b"b"
    writer.close()


async def test_a_name_belongs_to_one(world, tunnels):
    stranger = Stranger(world)
    assert (await stranger.add("bng-01")).error == "the name is taken"
    assert (await stranger.add("../bng-02")).error
    assert (await stranger.add("bng-02")).accept
    assert world.names() == {"bng-01", "bng-02"}
    await stranger.channel.close()
    await until(lambda: world.names() == {"bng-01"})


async def test_a_connection_is_for_who_was_asked(world, tunnels):
    """A stranger who guesses the tag of a connection to another target does not get it."""
    stranger, other = Stranger(world), Stranger(world)
    await stranger.add("bng-02")
    await other.add("bng-03")
    _, writer = await world.open("bng-02")
    tag = (await stranger.hear()).session.tag
    for who, octets in (
        (other, pb.Data(tag=tag).SerializeToString()),
        (stranger, pb.Data(tag=tag + 1).SerializeToString()),
        (stranger, b"\xff"),
    ):
        call = who.call("Tunnel")
        await call.write(octets)
        async with asyncio.timeout(TIMEOUT):
            assert await call.read() is grpc.aio.EOF
    call = stranger.call("Tunnel")
    await call.write(pb.Data(tag=tag).SerializeToString())
    writer.write(b"for bng-02")
    async with asyncio.timeout(TIMEOUT):
        assert pb.Data.FromString(await call.read()).data == b"for bng-02"
    writer.close()
    for who in (stranger, other):
        await who.channel.close()


async def test_connections_that_are_not_to_be_had(world, monkeypatch):
    monkeypatch.setattr(tunnel, "OPEN_SECONDS", 0.1)
    monkeypatch.setattr(tunnel, "MAXIMUM_WAITING", 2)
    stranger = Stranger(world)
    await stranger.add("bng-02")
    first, second, third = [await world.open("bng-02") for _ in range(3)]
    assert await third[0].read() == b""  # too many
    tag = (await stranger.hear()).session.tag
    refused = pb.Session(tag=tag, error="no")
    await stranger.register.write(pb.RegisterOp(session=refused).SerializeToString())
    assert await first[0].read() == b""  # refused
    assert await second[0].read() == b""  # not opened in time
    for _, writer in (first, second, third):
        writer.close()
    await stranger.channel.close()


async def test_garbage_ends_the_registration_alone(world, tunnels):
    stranger = Stranger(world)
    await stranger.add("bng-02")
    await stranger.register.write(b"\xff\xff")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stranger.register.read()
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    await until(lambda: world.names() == {"bng-01"})
    reader, writer = await world.open()
    writer.write(b"fine")
    assert await reader.read(4) == b"fine"
    writer.close()
    await stranger.channel.close()


async def test_who_shows_no_certificate(world):
    channel = grpc.aio.secure_channel(
        f"127.0.0.1:{world.server.port}", grpc.ssl_channel_credentials(world.authority.certificate)
    )
    with pytest.raises(grpc.aio.AioRpcError):
        await channel.stream_stream("/grpctunnel.Tunnel/Register")().read()
    await channel.close()


def test_a_configuration(tmp_path):
    login = {"username": "u", "password": "p", "ca": "ca.pem"}
    target = {"bng_id": "bng-01", "address": "unix:/run/c/bng-01", "server_name": "bng-01.example", **login}
    served = {"address": "[::]:57402", "certificate": "c", "key": "k", "ca": "a", "folder": "/run/c"}
    whole = {"database": "d", "targets": [target], "tunnel": served}
    config = parse(whole)
    assert (config.targets[0].address, config.targets[0].server_name) == (
        "unix:/run/c/bng-01",
        "bng-01.example",
    )
    assert config.tunnel == TunnelConfig("::", 57402, Path("c"), Path("k"), Path("a"), Path("/run/c"))
    assert config.tunnel.bind_names
    unbound = parse({**whole, "tunnel": {**served, "bind_names": False}}).tunnel
    assert unbound
    assert not unbound.bind_names
    for wrong in (
        [],
        {**served, "bind_names": "no"},
        {**served, "address": "57402"},
        {**served, "folder": "run"},
        {**served, "folder": "/" + "x" * 42},
        {name: value for name, value in served.items() if name != "ca"},
    ):
        with pytest.raises(ConfigError, match="tunnel"):
            parse({**whole, "tunnel": wrong})
    with pytest.raises(ConfigError, match="address"):
        parse({**whole, "targets": [{**target, "address": "unix:relative"}]})


@pytest.fixture
async def keeper(world: World) -> AsyncIterator[Keeper]:
    """Serves in place of the world's server."""
    await world.server.stop()
    made = Keeper()
    yield made
    await made.stop()


async def test_a_name_is_for_whose_certificate_has_it(world, keeper):
    await keeper.follow(dataclasses.replace(world.config, bind_names=True))
    world.server.port = keeper.port
    for pair, taken, refused in (
        (("box-1",), "box-1", "box-2"),
        (("some box", "box-3", "192.0.2.7"), "box-3", "box-1"),
        (("", "Box-4.example"), "box-4.example", "box-4"),
        (("x", "192.0.2.7"), "192.0.2.7", "192.0.2.8"),
    ):
        world.pair = world.authority.issue(*pair)
        stranger = Stranger(world)
        assert "certificate" in (await stranger.add(refused)).error
        assert (await stranger.add(taken)).accept
        assert world.names() == {taken}
        await stranger.channel.close()
        await until(lambda: world.names() == set())


async def test_a_port_that_is_another_ones_for_a_while(world, keeper):
    """Say, of a collector that is about to end."""
    config = dataclasses.replace(world.config, port=free_port())
    other = tunnel.TunnelServer(config)
    await other.start()
    await keeper.follow(config)
    await keeper.again()
    assert keeper.port is None
    await other.stop()
    await keeper.again()
    assert keeper.port == config.port
    await keeper.again()
    world.server.port = keeper.port
    stranger = Stranger(world)
    assert (await stranger.add("bng-01")).accept
    await keeper.follow(config)  # the same: calls go on
    await keeper.again()
    assert (await stranger.add("bng-02")).accept
    await stranger.channel.close()


async def test_what_is_served_follows_the_configuration(world, keeper):
    config = dataclasses.replace(world.config, port=free_port())
    await keeper.follow(config)
    world.server.port = keeper.port
    first = Stranger(world)
    assert (await first.add("bng-01")).accept
    await keeper.follow(config)  # the same: calls go on
    assert (await first.add("bng-02")).accept
    other = dataclasses.replace(config, folder=world.folder / "t")
    await keeper.follow(other)  # at the same address
    assert world.names() == set()
    second = Stranger(world)
    assert (await second.add("bng-01")).accept
    assert [path.name for path in other.folder.iterdir()] == ["bng-01"]
    await keeper.follow(dataclasses.replace(other, ca=world.folder / "none"))  # cannot be served
    third = Stranger(world)
    assert (await third.add("bng-03")).accept
    world.authority = Authority("another")  # the same file, with another authority
    world.ca.write_bytes(world.authority.certificate)
    await keeper.follow(other)
    with pytest.raises(grpc.aio.AioRpcError):
        await Stranger(world).add("bng-03")
    await keeper.follow(None)
    assert keeper.port is None
    for who in (first, second, third):
        await who.channel.close()


class Ended:
    """An RPC that announces a target, and may be cancelled at any time."""

    def __init__(self, name: str) -> None:
        target = pb.Target(op=pb.Target.ADD, target=name, target_type="GNMI_GNOI")
        self._messages = [pb.RegisterOp(target=target).SerializeToString()]

    def peer(self) -> str:
        return "ipv4:192.0.2.1:1"

    async def read(self) -> Any:
        if not self._messages:
            await asyncio.Event().wait()
        return self._messages.pop()

    async def write(self, _octets: bytes) -> None:
        await asyncio.sleep(0)


@pytest.mark.parametrize("turns", range(1, 8))
async def test_a_call_that_is_cancelled_leaves_no_name_behind(world, turns):
    call = asyncio.create_task(world.server._register(None, Ended("bng-01")))
    for _ in range(turns):
        await asyncio.sleep(0)
    call.cancel()
    await asyncio.wait({call})
    assert world.names() == set()
    stranger = Stranger(world)
    assert (await stranger.add("bng-01")).accept
    await stranger.channel.close()
