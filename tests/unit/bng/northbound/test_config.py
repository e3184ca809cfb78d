"""Commits across the seam: control refuses, dies, or is silent in the middle of one.

Control is the real two-step configuration behind a real command socket; management is a real tree.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bng.config import Config
from bng.configuration import Configuration
from bng.northbound.config import ConfigHandler
from bng.seam.command import CommandClient, CommandServer
from bng.units import digest, units_of
from tests.support.waiting import until
from yang.access import User
from yang.datastore.handlers import NOT_UNDONE
from yang.datastore.model import PathOperation
from yang.path import DataPath
from yang.provider import OperationError, Registration
from yang.tree import Tree

ROOT = User("root", recovery=True)
PROFILES = "/aether-shaping:shaping-profiles/profile"


class Control:
    """Control without sessions. `fault` happens to the next commit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fault: str | None = None
        self.connected: list[asyncio.StreamWriter] = []
        self.begin()

    def begin(self) -> None:
        """A new process with what the last one left on the disk."""
        self.configuration = Configuration(self.folder / "control" / "config.json", self._apply)
        methods = {
            "hello": self._hello,
            "config.prepare": self._prepare,
            "config.commit": self._commit,
            "config.abort": self._abort,
        }
        self.server = CommandServer(self.folder / "control.sock", methods)

    async def _apply(self, config: Config, _old: Config) -> None:
        if "refused" in config.profiles:
            path = f"{PROFILES}[name='refused']"
            raise OperationError("operation-failed", "the kernel refuses it: Invalid argument", path=path)

    async def _hello(self, _params: dict[str, Any]) -> dict[str, Any]:
        return {"config_digest": self.configuration.digest}

    async def _prepare(self, params: dict[str, Any]) -> dict[str, Any]:
        token = self.configuration.prepare(params["units"], replace=bool(params.get("replace")))
        return {"token": token}

    async def _commit(self, params: dict[str, Any]) -> None:
        fault, self.fault = self.fault, None
        if fault == "dies before":
            await self._die()
        await self.configuration.commit(params["token"])
        if fault == "dies after":
            await self._die()
        if fault == "is silent":
            await asyncio.sleep(60)

    async def _abort(self, params: dict[str, Any]) -> None:
        self.configuration.abort(params["token"])

    async def _die(self) -> None:
        """Every connection ends at once, as with kill -9; another process takes over."""
        for peer in self.server._peers:
            peer.writer.transport.abort()
        dead = self.server
        self.begin()
        asyncio.get_running_loop().call_soon(lambda: asyncio.ensure_future(self._take_over(dead)))
        await asyncio.sleep(60)

    async def _take_over(self, dead: CommandServer) -> None:
        await dead.close()
        await self.server.start()

    @property
    def profiles(self) -> set[str]:
        return set(self.configuration.config.profiles)


class Bench:
    def __init__(self, control: Control, tree: Tree, client: CommandClient) -> None:
        self.control, self.tree, self.client = control, tree, client

    async def commit(self, name: str) -> int:
        rates = {"download": {"rate": "9000"}, "upload": {"rate": "9000"}}
        edit = PathOperation("update", DataPath.parse(f"{PROFILES}[name='{name}']"), rates)
        return (await self.tree.transaction(ROOT, "test", [edit])).number

    async def agree(self, *names: str) -> None:
        """Both sides come to have just these profiles."""
        await until(lambda: self.client.connected and self.control.profiles == set(names))
        running = self.tree.running_json()
        assert digest(units_of(running)) == self.control.configuration.digest
        assert {p["name"] for p in running["aether-shaping:shaping-profiles"]["profile"]} == set(names)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    control = Control(tmp_path)
    await control.server.start()
    trees: list[Tree] = []

    async def greet(client: CommandClient) -> None:
        await handler.synchronise((await client.call("hello", {}))["config_digest"])

    client = CommandClient(tmp_path / "control.sock", greet, lambda _: None)
    handler = ConfigHandler(client, lambda: units_of(trees[0].running_json()) if trees else units_of({}))
    trees.append(await Tree.open(Registration(config=[handler]), tmp_path))
    task = asyncio.ensure_future(client.run())
    await until(lambda: client.connected)
    made = Bench(control, trees[0], client)
    await made.commit("first")
    yield made
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await control.server.close()
    await trees[0].close()


async def test_what_the_kernel_refuses_is_nowhere(bench: Bench) -> None:
    with pytest.raises(OperationError) as caught:
        await bench.commit("refused")
    assert caught.value.path == f"{PROFILES}[name='refused']"
    assert caught.value.message == "the kernel refuses it: Invalid argument; running is as it was before"
    await bench.agree("first")
    assert bench.tree.datastores.history()[0]["number"] == 1
    assert await bench.commit("second") == 2
    await bench.agree("first", "second")


@pytest.mark.parametrize("fault", ["dies before", "dies after"])
async def test_control_dies_during_a_commit(bench: Bench, fault: str) -> None:
    """The client is told, nothing is committed, and the next control has what is running."""
    bench.control.fault = fault
    with pytest.raises(OperationError) as caught:
        await bench.commit("second")
    assert caught.value.message.startswith("the control plane went away before it answered; running is as it")
    await bench.agree("first")
    assert bench.tree.datastores.history()[0]["number"] == 1
    assert await bench.commit("second") == 2
    await bench.agree("first", "second")


async def test_control_is_silent_during_a_commit(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bng.northbound.config._WITHIN", 0.05)
    bench.control.fault = "is silent"
    with pytest.raises(OperationError, match=r"did not answer config\.commit within 0\.05 s"):
        await bench.commit("second")
    await bench.agree("first")
    assert await bench.commit("second") == 2
    await bench.agree("first", "second")


async def test_control_that_cannot_be_set_back_at_once_is_later(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fails when control has taken it, and control does not take it back: it is sent all of it."""
    monkeypatch.setattr("bng.northbound.config._AGAIN", 0.01)

    def broken(_entry: Any) -> None:
        bench.control.configuration.prepare = refuse  # type: ignore[method-assign]
        raise OSError(5, "Input/output error")

    refusals: list[Any] = []

    def refuse(changed: Any, *, replace: bool = False) -> int:
        refusals.append(changed)
        if len(refusals) == 2:
            del bench.control.configuration.prepare  # the class's again
        raise OperationError("operation-failed", "not now")

    monkeypatch.setattr(bench.tree.datastores._store, "publish", broken)
    with pytest.raises(OperationError) as caught:
        await bench.commit("second")
    assert caught.value.message.endswith(f"Input/output error; {NOT_UNDONE}")
    await bench.agree("first")
    assert len(refusals) == 2


async def test_control_comes_back_while_a_commit_is_not_written_yet(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It must not be sent the configuration of before, which is running a moment longer."""
    store = bench.tree.datastores._store
    publish = store.publish
    loop = asyncio.get_running_loop()

    def slow(entry: Any) -> None:
        died = asyncio.run_coroutine_threadsafe(die(), loop)
        died.result(5)
        publish(entry)

    async def die() -> None:
        old = bench.control.server
        dying = asyncio.ensure_future(bench.control._die())
        await until(lambda: bench.control.server is not old)
        await until(lambda: bench.client.connected and bool(bench.control.server._peers))
        await bench.client.call("hello", {})
        dying.cancel()

    monkeypatch.setattr(store, "publish", slow)
    assert await bench.commit("second") == 2
    await bench.agree("first", "second")
