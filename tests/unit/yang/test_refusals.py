"""A commit is in force everywhere, or nowhere: handlers that refuse, fail, hang; full disks; kills."""

from __future__ import annotations

import asyncio
import errno
import json
import shutil
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import until
from yang.access import User
from yang.datastore import history
from yang.datastore.handlers import NOT_UNDONE
from yang.datastore.history import Store
from yang.datastore.model import PathOperation, Session
from yang.datastore.running import Snapshot
from yang.path import DataPath
from yang.provider import ConfigDiff, OperationError, Registration
from yang.tree import Tree

ROOT = User("root", recovery=True)
HOSTNAME = DataPath.parse("/ietf-system:system/hostname")
CONTACT = DataPath.parse("/ietf-system:system/contact")


@dataclass
class Part:
    """A part of an element: `value` is what it has in force. `fail` maps a step to what happens then."""

    name: str
    value: str | None = None
    fail: dict[str, Any] = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)

    async def _step(self, name: str) -> None:
        self.steps.append(name)
        failure = self.fail.get(name)
        if failure is not None:
            del self.fail[name]
            if failure == "hang":
                await asyncio.sleep(60)
            raise failure

    async def prepare(self, diff: ConfigDiff) -> str | None:
        await self._step("prepare")
        return hostname(diff.new)

    async def commit(self, token: str | None) -> None:
        await self._step("commit")
        self.value = token
        await self._step("committed")

    async def abort(self, token: str | None) -> None:
        await self._step("abort")


def hostname(members: Any) -> str | None:
    return members.get("ietf-system:system", {}).get("hostname")


@dataclass
class Bench:
    tree: Tree
    parts: list[Part]
    folder: Path

    async def commit(self, name: str, **options: Any) -> int:
        change = [PathOperation("update", HOSTNAME, name)]
        return (await self.tree.transaction(ROOT, "test", change, **options)).number

    async def refused(self, name: str = "after") -> OperationError:
        with pytest.raises(OperationError) as caught:
            await self.commit(name)
        return caught.value

    def check(self, value: str, number: int) -> None:
        """Everywhere is this value, and this commit is the last: running, parts, disk, history."""
        assert hostname(self.tree.running_json()) == value
        self.check_disk(value, number)
        assert self.tree.datastores.history()[0]["number"] == number

    def check_disk(self, value: str, number: int) -> None:
        config = self.folder / "config"
        assert hostname(json.loads((config / "running.json").read_text())) == value
        names = [path.name for path in sorted((config / "history").iterdir())]
        assert names[-1] == f"{number:010d}.json.gz"
        assert not list(config.rglob("*.tmp"))


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    parts = [Part("a"), Part("b"), Part("c")]
    tree = await Tree.open(Registration(config=list(parts)), tmp_path)
    made = Bench(tree, parts, tmp_path)
    assert await made.commit("before") == 1
    for part in parts:
        part.steps.clear()
    yield made
    await tree.close()


DENIED = OperationError("resource-denied", "no room", path="/ietf-system:system/hostname", app_tag="full")


async def test_refused_in_prepare(bench: Bench) -> None:
    bench.parts[1].fail["prepare"] = DENIED
    error = await bench.refused()
    assert (error.tag, error.path, error.app_tag) == ("resource-denied", DENIED.path, "full")
    assert [part.steps for part in bench.parts] == [["prepare", "abort"], ["prepare"], []]
    assert [part.value for part in bench.parts] == ["before"] * 3
    bench.check("before", 1)
    assert await bench.commit("after") == 2
    bench.check("after", 2)


async def test_refused_in_commit(bench: Bench) -> None:
    """Those before it are set back, it too, those after it forget."""
    bench.parts[1].fail["commit"] = DENIED
    error = await bench.refused()
    assert (error.tag, error.path, error.app_tag) == ("resource-denied", DENIED.path, "full")
    assert error.message == "no room; running is as it was before"
    back = ["prepare", "commit", "committed"]
    assert bench.parts[0].steps == [*back, *back]
    assert bench.parts[1].steps == ["prepare", "commit", *back]
    assert bench.parts[2].steps == ["prepare", "abort"]
    assert [part.value for part in bench.parts] == ["before"] * 3
    bench.check("before", 1)
    assert await bench.commit("after") == 2
    bench.check("after", 2)


@pytest.mark.parametrize("last", [0, 1, 2])
async def test_failing_after_it_took_it(bench: Bench, last: int) -> None:
    bench.parts[last].fail["committed"] = RuntimeError("a defect")
    error = await bench.refused()
    assert error.tag == "operation-failed"
    assert "as it was before" in error.message
    assert NOT_UNDONE not in error.message
    assert [part.value for part in bench.parts] == ["before"] * 3
    bench.check("before", 1)


async def test_a_part_that_cannot_be_set_back_is_told_of(bench: Bench) -> None:
    first, second, third = bench.parts
    third.fail["commit"] = DENIED

    async def deaf(_diff: ConfigDiff) -> None:
        raise OperationError("resource-denied", "not running")

    original = second.commit

    async def commit(token: str | None) -> None:
        await original(token)
        second.prepare = deaf  # type: ignore[assignment,method-assign]

    second.commit = commit  # type: ignore[method-assign]
    error = await bench.refused()
    assert error.message == f"no room; running is as it was before; {NOT_UNDONE}"
    assert (first.value, second.value) == ("before", "after"), "the others are set back all the same"
    bench.check("before", 1)


async def test_failing_to_abort_changes_nothing(bench: Bench) -> None:
    bench.parts[0].fail["abort"] = RuntimeError("a defect")
    bench.parts[1].fail["abort"] = OperationError("operation-failed", "away")
    bench.parts[2].fail["prepare"] = DENIED
    assert (await bench.refused()).tag == "resource-denied"
    assert [part.steps[-1] for part in bench.parts] == ["abort", "abort", "prepare"]
    bench.check("before", 1)


@pytest.mark.parametrize("step", ["prepare", "commit", "committed", "abort"])
async def test_hanging_does_not_hold_the_others_up(bench: Bench, step: str) -> None:
    bench.tree._running._handlers.within = 0.05
    bench.parts[1].fail[step] = "hang"
    if step == "abort":
        bench.parts[2].fail["prepare"] = DENIED
    error = await bench.refused()
    if step != "abort":
        assert "within 0.05 s" in error.message
    assert [part.value for part in bench.parts] == ["before"] * 3
    bench.check("before", 1)
    assert await bench.commit("after") == 2


async def test_a_full_disk_is_found_before_anything_is_in_force(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(history.os, "fsync", full)
    error = await bench.refused()
    assert error.message == "the configuration cannot be written: No space left on device"
    assert [part.steps for part in bench.parts] == [["prepare", "abort"]] * 3
    monkeypatch.undo()
    bench.check("before", 1)


@pytest.mark.parametrize("full", [False, True])
async def test_what_is_not_valid_has_been_written_for_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    """It is thrown away, and the client is told what is not valid, also where it could not be written."""
    written = threading.Event()
    save = Store.stage

    def stage(store: Store, *args: Any) -> None:
        try:
            if full:
                raise OSError(errno.ENOSPC, "No space left on device")
            save(store, *args)
        finally:
            written.set()

    def complete(*_args: Any) -> Snapshot:
        assert written.wait(10), "nothing is written while it is validated"
        raise OperationError("operation-failed", "a must does not hold")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "stage", stage)
        patch.setattr("yang.datastore.running.complete", complete)
        assert (await bench.refused()).message == "a must does not hold"
    assert [part.steps for part in bench.parts] == [[]] * 3
    bench.check("before", 1)
    assert await bench.commit("after") == 2
    bench.check("after", 2)


async def test_a_commit_whose_last_name_was_not_on_the_disk(bench: Bench) -> None:
    """When power fails after the reply, the file of the history may have the name that it was written by."""
    await bench.commit("after")
    [path] = (bench.folder / "config/history").glob("*2.json.gz")
    copy = bench.folder.with_name(bench.folder.name + "-power")
    shutil.copytree(bench.folder, copy)
    (copy / "config/history" / path.name).rename(copy / "config/history" / f"{path.name}.tmp")
    again = await Tree.open(Registration(), copy)
    try:
        Bench(again, [], copy).check("after", 2)
    finally:
        await again.close()


@pytest.mark.parametrize("broken", [1, 2])
async def test_a_disk_that_fails_at_the_last_step(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, broken: int
) -> None:
    calls = 0
    rename: Callable[[Path], None] = history.rename

    def fail(path: Path) -> None:
        nonlocal calls
        calls += 1
        if calls == broken:
            raise OSError(errno.EIO, "Input/output error")
        rename(path)

    monkeypatch.setattr(history, "rename", fail)
    error = await bench.refused()
    assert error.message == "the configuration cannot be written: Input/output error"
    assert [part.value for part in bench.parts] == ["before"] * 3
    bench.check("before", 1)


async def test_a_confirmed_commit_whose_backup_cannot_be_written_is_none(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(bench.tree.datastores._store, "keep_backup", full)
    with pytest.raises(OperationError, match="reverts to cannot be written: No space"):
        await bench.commit("after", confirm_timeout=60)
    assert not bench.tree.datastores.confirmed_commit.active
    bench.check("before", 1)


async def test_a_refused_confirmed_commit_leaves_no_backup(bench: Bench) -> None:
    bench.parts[1].fail["commit"] = DENIED
    with pytest.raises(OperationError, match="no room"):
        await bench.commit("after", confirm_timeout=60)
    assert not (bench.folder / "config/unconfirmed.json").exists()
    bench.check("before", 1)


async def test_a_revert_that_is_refused_is_tried_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yang.datastore.confirm._RETRY", 0.01)
    store = bench.tree.datastores
    await bench.commit("after", confirm_timeout=60, persist_id="x")
    bench.parts[0].fail["prepare"] = OperationError("resource-denied", "control is away")
    await store.set_rollback_duration("x", 0.01)
    await until(lambda: not store.confirmed_commit.active)
    assert bench.parts[0].steps[-4:] == ["prepare", "prepare", "commit", "committed"]
    bench.check("before", 3)


@pytest.mark.parametrize(
    ("step", "value", "number"),
    [
        ("stage history", "before", 1),
        ("stage running", "before", 1),
        ("publish running", "before", 1),
        ("publish history", "after", 2),
        ("entries", "after", 2),
    ],
)
async def test_killed_in_between(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, step: str, value: str, number: int
) -> None:
    """Wherever the element is killed: the next start has all of the commit, or nothing."""
    snapshots: list[Path] = []
    stage, rename = history.stage, history.rename

    def note(what: str, path: Path) -> None:
        if what == step or (step == "entries" and what == "done"):
            copy = bench.folder.with_name(bench.folder.name + "-killed")
            if not copy.exists():
                shutil.copytree(bench.folder, copy)
                snapshots.append(copy)

    def noted_stage(path: Path, data: bytes) -> None:
        note("stage " + ("running" if path.name == "running.json" else "history"), path)
        stage(path, data)

    def noted_rename(path: Path) -> None:
        note("publish " + ("running" if path.name == "running.json" else "history"), path)
        rename(path)
        if path.name != "running.json":
            note("done", path)

    monkeypatch.setattr(history, "stage", noted_stage)
    monkeypatch.setattr(history, "rename", noted_rename)
    await bench.commit("after")
    monkeypatch.undo()
    [copy] = snapshots
    again = await Tree.open(Registration(), copy)
    try:
        Bench(again, [], copy).check(value, number)
    finally:
        await again.close()


async def test_two_who_commit_at_once_are_one_after_the_other(bench: Bench) -> None:
    bench.parts[2].fail["commit"] = DENIED
    one, two = await asyncio.gather(bench.commit("x"), bench.commit("y"), return_exceptions=True)
    assert isinstance(one, OperationError)
    assert two == 2
    bench.check("y", 2)
    assert [part.value for part in bench.parts] == ["y"] * 3


async def test_candidate_outlives_a_refused_commit(bench: Bench) -> None:
    session = Session(1, ROOT)
    store = bench.tree.datastores
    await store.edit_paths(session, "candidate", [PathOperation("update", CONTACT, "somebody")])
    bench.parts[0].fail["commit"] = DENIED
    with pytest.raises(OperationError, match="no room"):
        await store.commit(session)
    assert store.is_dirty()
    assert (await store.commit(session)).number == 2
