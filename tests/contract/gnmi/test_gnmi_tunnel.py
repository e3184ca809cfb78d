"""Dial-out by gRPC tunnel: the same server and the same users, in calls of the element's own."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from bng.daemon.tunnel import credentials_of
from telemetry.protocol import gnmi_pb2 as pb
from telemetry.tunnel.connection import TunnelServer
from telemetry.tunnel.dialer import State, Tunnels
from tests.contract.gnmi.client import Client, path
from tests.contract.gnmi.conftest import Serve, Target
from tests.contract.gnmi.element import COUNTERS, PASSWORDS
from tests.support import tunnel_server
from tests.support.certificates import Authority
from tests.support.ports import free_port
from tests.support.waiting import until

GNMIC = os.environ.get("GNMIC") or shutil.which("gnmic")
needs_gnmic = pytest.mark.skipif(GNMIC is None, reason="gnmic is not installed")
TIMEOUT = 30.0
ALL_COUNTERS = "/aether-subscriber:sessions/session/counters"
RATE = "/aether-shaping:shaping-profiles/profile[name=gold]/download/rate"


class Dialling:
    """An element that calls tunnel servers."""

    def __init__(self, target: Target, authority: Authority, folder: Path) -> None:
        self.target = target
        self.folder = folder
        self.pair = authority.issue("collector", "127.0.0.1", "localhost")
        for name, octets in zip(("key.pem", "cert.pem"), self.pair, strict=True):
            (folder / name).write_bytes(octets)
        (folder / "ca.pem").write_bytes(authority.certificate)
        self.tunnels = Tunnels(target.server, credentials_of)

    async def call(self, port: int) -> None:
        ca_file = str(self.folder / "ca.pem")
        server = TunnelServer(
            "noc", "localhost", port, "bng-01", ca_file=ca_file, min_wait=0.05, max_wait=0.1
        )
        await self.tunnels.configure([server])

    @property
    def state(self) -> State:
        return self.tunnels.states["noc"]


Dial = Callable[[Target], Awaitable[Dialling]]


@pytest.fixture
async def dial(tmp_path: Path) -> AsyncIterator[Dial]:
    """Has an element call tunnel servers."""
    (tmp_path / "tunnel").mkdir()
    made: list[Dialling] = []

    async def start(target: Target) -> Dialling:
        made.append(Dialling(target, Authority(), tmp_path / "tunnel"))
        return made[-1]

    yield start
    for dialling in made:
        await dialling.tunnels.stop()


@asynccontextmanager
async def collector_of(dialling: Dialling) -> AsyncIterator[tunnel_server.TunnelServer]:
    """A tunnel server that has the target."""
    made = tunnel_server.TunnelServer()
    await made.start(*dialling.pair)
    await dialling.call(made.port)
    await made.registered()
    try:
        yield made
    finally:
        await dialling.tunnels.stop()
        await made.stop()


async def test_it_is_as_in_a_direct_connection(target, dial):
    dialling = await dial(target)
    async with collector_of(dialling) as collector:
        assert collector.targets == [("bng-01", "GNMI_GNOI")]
        client = Client(
            await collector.bridge(), target.certificate.read_bytes(), "admin", PASSWORDS["admin"]
        )
        assert (await client.capabilities()).gNMI_version == "0.10.0"
        assert len((await client.once(ALL_COUNTERS)).values) == 3 * len(COUNTERS)
        events = await client.subscribe("/aether-events:events/event", mode=pb.ON_CHANGE)
        await events.until_sync()
        update = pb.Update(path=path(RATE), val=pb.TypedValue(json_ietf_val=b'"2000000"'))
        await client.set(update=[update])
        (picture,) = await client.get(RATE)
        assert list(picture.values.values()) == [2_000_000]
        # the history names the tunnel server, not the loopback interface
        assert target.element.tree.datastores.history()[0]["origin"] == "gnmi localhost"
        assert dialling.state.sessions() == (1, 1, 0)
        await client.close()


async def test_a_tunnel_opens_no_door(serve: Serve, dial):
    """Certificates of clients, passwords and NACM are asked for as ever."""
    authority = Authority()
    target = await serve(client_ca=authority.certificate)
    async with collector_of(await dial(target)) as collector:
        port, server = await collector.bridge(), target.certificate.read_bytes()
        key, certificate = authority.issue("somebody")

        async def refused(doing: Awaitable[Any]) -> grpc.StatusCode:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await doing
            return caught.value.code()

        bare = Client(port, server, "admin", PASSWORDS["admin"])
        assert await refused(bare.get(RATE)) is grpc.StatusCode.UNAVAILABLE
        clients = [bare]
        for user, password in (("admin", "wrong"), ("viewer", PASSWORDS["viewer"])):
            shown = Client(port, server, user, password)
            await shown.channel.close()
            credentials = grpc.ssl_channel_credentials(server, key, certificate)
            shown.channel = grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials)
            clients.append(shown)
        _, wrong, viewer = clients
        assert await refused(wrong.get(RATE)) is grpc.StatusCode.UNAUTHENTICATED
        await viewer.get(RATE)
        assert await refused(viewer.set(delete=[path(RATE)])) is grpc.StatusCode.PERMISSION_DENIED
        for client in clients:
            await client.close()


# --- gnmic


class Gnmic:
    """gnmic as a tunnel server."""

    def __init__(self, dialling: Dialling) -> None:
        self.port = free_port()
        self._file = dialling.folder / "gnmic.yaml"
        folder = dialling.folder
        configuration = {
            "username": "admin",
            "password": PASSWORDS["admin"],
            "tls-ca": str(dialling.target.certificate),
            "tls-server-name": "127.0.0.1",
            "encoding": "proto",
            "tunnel-server": {
                "address": f"127.0.0.1:{self.port}",
                "tls": {"cert-file": str(folder / "cert.pem"), "key-file": str(folder / "key.pem")},
                "target-wait-time": "500ms",
            },
        }
        self._file.write_text(json.dumps(configuration))

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        command = [str(GNMIC), "--config", str(self._file), "--use-tunnel-server", *arguments]
        return await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, limit=2**24
        )

    async def ask(self, *arguments: str) -> str:
        process = await self.start(*arguments)
        try:
            async with asyncio.timeout(TIMEOUT):
                out, error = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0, error.decode()
        return out.decode()


@needs_gnmic
async def test_gnmic_asks_through_its_tunnel_server(target, dial):
    dialling = await dial(target)
    gnmic = Gnmic(dialling)
    await dialling.call(gnmic.port)
    assert '"aether-subscriber"' in await gnmic.ask("capabilities", "--format", "json")


@needs_gnmic
async def test_gnmic_is_killed_and_comes_back(target, dial):
    dialling = await dial(target)
    gnmic = Gnmic(dialling)
    await dialling.call(gnmic.port)
    for _ in range(2):
        process = await gnmic.start(
            "subscribe",
            "--format",
            "event",
            "--stream-mode",
            "on-change",
            "--path",
            f"{ALL_COUNTERS}/in-octets",
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(TIMEOUT):
                while b"in-octets" not in (line := await process.stdout.readline()):
                    assert line, "gnmic has ended"
            assert dialling.state.status == "connected"
            assert dialling.state.sessions()[0] == 1
        finally:
            process.send_signal(signal.SIGKILL)
            await process.wait()
        await until(lambda: dialling.state.status != "connected")
        assert dialling.state.sessions()[0] == 0
