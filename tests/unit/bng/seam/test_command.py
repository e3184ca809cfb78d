"""The command socket: requests, errors, pushes, restarts, and peers that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bng.seam.command import CommandClient, CommandServer, encode, read_frame
from tests.support.waiting import PATIENCE, until
from yang.provider import OperationError


async def echo(params: dict) -> dict:
    return params


async def refuse(params: dict) -> None:
    raise OperationError("in-use", "somebody else has it", path="/a:b", app_tag="busy")


async def crash(params: dict) -> None:
    raise RuntimeError("a bug")


async def hang(params: dict) -> None:
    await asyncio.sleep(3600)


METHODS = {"echo": echo, "refuse": refuse, "crash": crash, "hang": hang}


class Management:
    def __init__(self, path: Path) -> None:
        self.pushes: list[dict] = []
        self.connects = 0
        self.connected = asyncio.Event()
        self.pushed = asyncio.Event()
        self.client = CommandClient(path, self._on_connect, self._on_push)

    async def _on_connect(self, client: CommandClient) -> None:
        self.connects += 1
        self.connected.set()

    def _on_push(self, message: dict) -> None:
        self.pushes.append(message)
        self.pushed.set()


@contextlib.asynccontextmanager
async def running(path: Path) -> AsyncIterator[tuple[CommandServer, Management]]:
    server = CommandServer(path, METHODS)
    await server.start()
    management = Management(path)
    task = asyncio.ensure_future(management.client.run())
    try:
        await asyncio.wait_for(management.connected.wait(), 5)
        yield server, management
    finally:
        task.cancel()
        await server.close()


async def test_answers_and_errors(tmp_path: Path) -> None:
    async with running(tmp_path / "s") as (_, management):
        client = management.client
        assert (tmp_path / "s").stat().st_mode & 0o777 == 0o600
        big = {"x": "y" * 3_000_000}
        assert await client.call("echo", big) == big
        with pytest.raises(OperationError) as caught:
            await client.call("refuse", {})
        error = caught.value
        assert (error.tag, str(error), error.path, error.app_tag) == (
            "in-use", "somebody else has it", "/a:b", "busy",
        )  # fmt: skip
        with pytest.raises(OperationError, match="its log says why"):
            await client.call("crash", {})
        with pytest.raises(OperationError, match="no method 'nothing'"):
            await client.call("nothing", {})


async def test_a_slow_request_holds_up_no_other(tmp_path: Path) -> None:
    async with running(tmp_path / "s") as (_, management):
        slow = asyncio.ensure_future(management.client.call("hang", {}, within=0.2))
        assert await management.client.call("echo", {"a": 1}) == {"a": 1}
        with pytest.raises(OperationError, match="did not answer hang"):
            await slow


async def test_pushes_reach_management(tmp_path: Path) -> None:
    async with running(tmp_path / "s") as (server, management):
        server.push("journal", newest_seq=7)
        await asyncio.wait_for(management.pushed.wait(), PATIENCE * 15)
        assert management.pushes == [{"push": "journal", "newest_seq": 7}]


async def test_reconnects_and_fails_clearly_in_between(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with running(path) as (server, management):
        waiting = asyncio.ensure_future(management.client.call("hang", {}))
        await asyncio.sleep(0)
        await server.close()
        with pytest.raises(OperationError, match="went away"):
            await waiting
        with pytest.raises(OperationError, match="not running at the moment"):
            await management.client.call("echo", {})
        management.connected.clear()
        again = CommandServer(path, METHODS)
        await again.start()
        await asyncio.wait_for(management.connected.wait(), PATIENCE * 15)
        assert management.connects == 2
        assert await management.client.call("echo", {"b": 2}) == {"b": 2}
        await again.close()


@pytest.mark.parametrize(
    "garbage",
    [b"\xff\xff\xff\xff", struct.pack("!I", 4) + b"oops", struct.pack("!I", 2) + b"[]", b"\0\0"],
)
async def test_garbage_costs_only_its_connection(tmp_path: Path, garbage: bytes) -> None:
    async with running(tmp_path / "s") as (_, management):
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
        writer.write(garbage)
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), PATIENCE * 15) == b""
        writer.close()
        assert await management.client.call("echo", {}) == {}


@pytest.mark.parametrize("error", ["no", {}, {"tag": "in-use"}])
async def test_answers_that_say_too_little(tmp_path: Path, error: object) -> None:
    """Of a control plane of another version: who asked is told, the connection stays."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = await read_frame(reader)
            for number in ([], {}, None, request["id"]):
                writer.write(encode({"id": number, "error": error}))

    server = await asyncio.start_unix_server(answer, str(tmp_path / "s"))
    management = Management(tmp_path / "s")
    task = asyncio.ensure_future(management.client.run())
    await asyncio.wait_for(management.connected.wait(), PATIENCE * 15)
    for _ in range(2):
        with pytest.raises(OperationError, match="did not say why"):
            await management.client.call("echo", {})
    assert management.connects == 1
    task.cancel()
    server.close()


async def test_params_must_be_an_object(tmp_path: Path) -> None:
    async with running(tmp_path / "s") as (_, management):
        with pytest.raises(OperationError, match="must be an object"):
            await management.client.call("echo", [1])  # type: ignore[arg-type]


async def test_a_peer_that_does_not_read_costs_bounded_memory(tmp_path: Path) -> None:
    async with running(tmp_path / "s") as (server, _):
        _, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
        await until(lambda: len(server._peers) == 2)
        blob = "z" * 200_000
        for number in range(200):
            server.push("health", record=blob, number=number)
        held = [peer for peer in server._peers if peer.held]
        assert held
        assert all(len(peer.held) == 1 for peer in held)
        assert all(peer.writer.transport.get_write_buffer_size() < 8 << 20 for peer in server._peers)
        writer.close()
