"""A confirmed commit that persists goes on when the process starts again, and is not for ever."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from yang.access import User
from yang.datastore.confirmation import STARTS, Confirmation, ConfirmationFile
from yang.datastore.history import Store, write_durably
from yang.datastore.model import PathOperation, Session
from yang.path import DataPath
from yang.provider import OperationError, Registration
from yang.tree import Tree

ROOT = User("root", recovery=True)
ONE = Session(1, ROOT)
TIMER = DataPath.parse("/aether-bng:bng/timers/counters")
Start = Callable[..., Awaitable[Tree]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Opens the element of this folder; one that was opened before is left as a `kill -9` leaves it, unless
    it is stopped in an orderly way."""
    first = tmp_path / "first.json"
    first.write_text(json.dumps({"aether-bng:bng": {"identity": {"bng-id": "b"}, "timers": {"counters": 5}}}))
    opened: list[Tree] = []

    async def start(boot_id: str = "boot-1", *, orderly: bool = False) -> Tree:
        if orderly:
            await opened.pop().close()
        opened.append(await Tree.open(Registration(), tmp_path / "state", first, boot_id=boot_id))
        return opened[-1]

    yield start
    for tree in opened:
        await tree.close()


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return tmp_path / "state/config/confirmation.json"


def counters(tree: Tree) -> int:
    return int(tree.running_json()["aether-bng:bng"]["timers"]["counters"])


async def change(tree: Tree, value: int, persist: str | None = "token", **more: Any) -> None:
    await tree.datastores.edit_paths(ONE, "candidate", [PathOperation("update", TIMER, value)])
    await tree.datastores.commit(ONE, confirmed=True, confirm_timeout=60, persist=persist, **more)


async def test_it_is_confirmed_after_a_kill(start: Start, record: Path) -> None:
    await change(await start(), 9)
    again = await start()
    assert (counters(again), again.datastores.confirmed_commit.persist) == (9, "token")
    with pytest.raises(OperationError, match="with its persist-id first"):
        await again.datastores.commit(ONE)
    await again.datastores.commit(ONE, persist_id="token")
    assert not record.exists()
    assert counters(await start()) == 9


async def test_it_is_cancelled_after_an_orderly_stop(start: Start) -> None:
    tree = await start()
    await change(tree, 9)
    await change(tree, 11, persist_id="token")
    again = await start(orderly=True)
    assert counters(again) == 11
    await again.datastores.cancel_commit(Session(7, ROOT), "token")
    assert counters(again) == 5
    newest = again.datastores.history()[0]
    assert (newest["kind"], newest["restores"]) == ("revert", 0)


async def test_it_is_undone_when_its_time_is_over(start: Start, record: Path) -> None:
    tree = await start()
    asked = [PathOperation("update", TIMER, 9)]
    await tree.transaction(ROOT, "gnmi", asked, confirm_timeout=600, persist_id="token")
    await tree.datastores.set_rollback_duration("token", 60)
    confirmation = json.loads(record.read_bytes())
    confirmation["confirmation"]["until"] -= 59.8  # a moment is left
    record.write_text(json.dumps(confirmation))
    last = await start()
    async with asyncio.timeout(10):
        while counters(last) != 5:
            await asyncio.sleep(0.01)
    comment = last.datastores.history()[0]["comment"]
    assert comment in (
        "it was not confirmed in time",
        "the element stopped before a confirmed commit was confirmed",
    )
    assert not record.exists()


def waiting(**other: Any) -> Confirmation:
    return replace(Confirmation(3, "token", time.monotonic() + 60, 60, "root", "", "", 0), **other)


@pytest.mark.parametrize(
    ("boot_id", "found"),
    [
        ("boot-2", waiting()),
        ("boot-1", waiting(until=0.0)),
        ("boot-1", waiting(commit=2)),  # another commit came, and the process died before it was noted
        ("boot-1", waiting(token="")),
        ("boot-1", waiting(starts=STARTS)),
    ],
)
def test_what_does_not_go_on(tmp_path: Path, boot_id: str, found: Confirmation) -> None:
    path = tmp_path / "confirmation.json"
    ConfirmationFile(path, write_durably, "boot-1").keep(found)
    assert ConfirmationFile(path, write_durably, boot_id).resume(3) is None


def test_starts_are_counted_and_damage_is_passed_over(tmp_path: Path) -> None:
    file = ConfirmationFile(tmp_path / "confirmation.json", write_durably, "boot-1")
    file.keep(waiting())
    seen = [file.resume(3) for _ in range(STARTS + 1)]
    assert [found and found.starts for found in seen] == [1, 2, 3, None]
    for content in ("", "{", "[]", '{"boot": "boot-1", "confirmation": {"surprise": 1}}'):
        (tmp_path / "confirmation.json").write_text(content)
        assert file.resume(3) is None


async def test_another_model_ends_it(start: Start, record: Path) -> None:
    await change(await start(), 9)
    backup = record.with_name("unconfirmed.json")
    document = json.loads(backup.read_bytes())
    document["@"]["aether-configuration:modules"] = "aether-bng@2001-01-01"
    backup.write_text(json.dumps(document))
    again = await start()
    assert (counters(again), record.exists()) == (5, False)
    with pytest.raises(OperationError, match="no confirmed commit"):
        await again.datastores.confirm_commit("token")


async def test_a_boot_ends_it(start: Start, record: Path) -> None:
    await change(await start(), 9)
    assert (counters(await start("boot-2")), record.exists()) == (5, False)


async def test_what_the_start_undoes_is_told(start: Start) -> None:
    await change(await start(), 9, persist=None)
    again = await start()
    newest = again.datastores.history()[0]
    assert (counters(again), newest["kind"]) == (5, "revert")
    assert list(newest["changed"]) == ["/aether-bng:bng/timers/counters"]


async def test_a_disk_that_refuses_it_keeps_the_commit(
    start: Start, record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = await start()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tree.datastores.confirmed_commit._store.confirmation, "_write", full)
    await change(tree, 9)
    assert (counters(tree), record.exists()) == (9, False)
    assert counters(await start(orderly=True)) == 5


async def test_a_kill_while_it_is_reverted_does_not_bring_it_back(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = await start()
    await change(tree, 9)
    with monkeypatch.context() as patched:
        patched.setattr(Store, "drop_backup", lambda _: None)  # killed before
        await tree.datastores.cancel_commit(ONE, "token")
    again = await start()
    assert counters(again) == 5
    with pytest.raises(OperationError, match="no confirmed commit"):
        await again.datastores.confirm_commit("token")


async def test_what_is_confirmed_stays_so_without_power(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder without what it would go back to is on the disk before the reply."""
    tree = await start()
    await change(tree, 9, persist=None)
    flushed: list[bool] = []
    monkeypatch.setattr(
        "yang.datastore.history.flush", lambda folder: flushed.append((folder / "unconfirmed.json").exists())
    )
    await tree.datastores.commit(ONE)
    assert flushed == [False]
