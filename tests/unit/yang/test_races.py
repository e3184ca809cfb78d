"""What waits for a change of another session finds things as they are when its turn comes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from yang.datastore.model import PathOperation, Session
from yang.path import DataPath
from yang.provider import OperationError

RATE = "/aether-shaping:shaping-profiles/profile[name='gold']/download/rate"


def change(rate: int) -> list[PathOperation]:
    return [PathOperation("update", DataPath.parse(RATE), f"{rate}000000")]


def rate(net: Any) -> int:
    profile = net.tree.datastores.running.tree["aether-shaping:shaping-profiles"]["profile"][("gold",)]
    return int(profile["download"]["rate"]) // 1_000_000


@pytest.fixture
def one(net: Any) -> Session:
    return Session(1, net.admin, "netconf one")


@pytest.fixture
def two(net: Any) -> Session:
    return Session(2, net.admin, "netconf two")


async def waiting(*work: Any) -> list[asyncio.Task[Any]]:
    """Begin, one after the other."""
    tasks = []
    for each in work:
        tasks.append(asyncio.ensure_future(each))
        await asyncio.sleep(0)
    return tasks


async def test_an_extension_that_comes_in_time_counts(net: Any, one: Session) -> None:
    """The time of a confirmed commit is over while its extension is being carried out."""
    store = net.tree.datastores
    await store.edit_paths(one, "candidate", change(7))
    await store.commit(one, confirmed=True, confirm_timeout=600)
    async with store._change:
        (extension,) = await waiting(store.commit(one, confirmed=True, confirm_timeout=600))
        store._confirm._expired()
    await extension
    await store._confirm._task
    assert (rate(net), store._confirm.active) == (7, True)
    await store.commit(one)


async def test_a_late_revert_leaves_the_commit_of_another_alone(net: Any, one: Session, two: Session) -> None:
    store = net.tree.datastores
    store.make_private(2)
    await store.edit_paths(one, "candidate", change(7))
    await store.edit_paths(
        two, "candidate", [PathOperation("update", DataPath.parse(RATE.replace("gold", "silver")), "9000000")]
    )
    await store.commit(one, confirmed=True, confirm_timeout=600)
    async with store._change:
        confirmation, other = await waiting(
            store.commit(one), store.commit(two, confirmed=True, confirm_timeout=600)
        )
        store._confirm._expired()
        await asyncio.sleep(0)
    await asyncio.gather(confirmation, other)
    await store._confirm._task
    assert (rate(net), store._confirm.active) == (7, True)
    await store.close_session(2)
    assert not store._confirm.active


async def test_a_lock_that_came_first_keeps_others_out(net: Any, one: Session, two: Session) -> None:
    store = net.tree.datastores
    await store.edit_paths(one, "candidate", change(7))
    async with store._change:
        lock, commit = await waiting(store.lock(two, "running"), store.commit(one))
    await lock
    with pytest.raises(OperationError) as caught:
        await commit
    assert (caught.value.tag, rate(net)) == ("in-use", 100)
    await store.unlock(two, "running")
    await store.discard(one)
    async with store._change:
        lock, edit = await waiting(
            store.lock(two, "candidate"), store.edit_paths(one, "candidate", change(8))
        )
    await lock
    with pytest.raises(OperationError) as caught:
        await edit
    assert caught.value.tag == "in-use"


async def test_a_lock_waits_for_the_commit_before_it(net: Any, one: Session, two: Session) -> None:
    store = net.tree.datastores
    await store.edit_paths(one, "candidate", change(7))
    _, lock = await waiting(store.commit(one), store.lock(two, "running"))
    await lock
    assert rate(net) == 7


async def test_a_revert_goes_on_alone_when_its_caller_is_gone(net: Any, one: Session) -> None:
    """As that of a gNMI client whose deadline passes while a handler takes its time."""
    store = net.tree.datastores
    await net.tree.transaction(net.admin, "gnmi", change(7), confirm_timeout=600, persist_id="token")
    begun, go_on, prepare = asyncio.Event(), asyncio.Event(), net.handler.prepare

    async def slow(diff: Any) -> Any:
        begun.set()
        await go_on.wait()
        return await prepare(diff)

    net.handler.prepare = slow
    (cancel,) = await waiting(store.cancel_commit(one, "token"))
    await begun.wait()
    cancel.cancel()
    confirm, other = await waiting(
        store.confirm_commit("token"), net.tree.transaction(net.admin, "gnmi", change(9))
    )
    await asyncio.sleep(0.1)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await cancel
    with pytest.raises(OperationError, match="no confirmed commit to confirm"):
        await confirm
    await other
    assert (rate(net), store._confirm.active) == (9, False)
    assert [entry["kind"] for entry in store.history()][:2] == ["commit", "revert"]
