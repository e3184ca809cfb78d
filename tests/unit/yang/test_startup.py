"""The startup datastore, and what an element loads: after a death, after a boot of its machine."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from yang.access import User
from yang.datastore.model import PathOperation, Session
from yang.path import DataPath
from yang.provider import OperationError, Registration
from yang.tree import Tree

ROOT = User("root", recovery=True)
ONE, TWO = Session(1, ROOT), Session(2, ROOT)
TIMER = DataPath.parse("/aether-bng:bng/timers/counters")
Open = Callable[..., Awaitable[Tree]]


def explicit(running: Any) -> bool:
    """The policy of the tests: saves unless the location says otherwise."""
    return bool(running.get("aether-bng:bng", {}).get("identity", {}).get("location") != "explicit")


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Open]:
    """Open the element of this folder; one that was opened before is left as a `kill -9` leaves it."""
    first = tmp_path / "first.json"
    first.write_text(json.dumps({"aether-bng:bng": {"identity": {"bng-id": "b"}, "timers": {"counters": 5}}}))
    opened: list[Tree] = []

    async def start(boot_id: str = "boot-1", policy: Any = explicit) -> Tree:
        opened.append(
            await Tree.open(Registration(), tmp_path / "state", first, saves=policy, boot_id=boot_id)
        )
        return opened[-1]

    yield start
    for tree in opened:
        await tree.close()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "state" / "config"


async def commit(tree: Tree, leaf: str, value: Any, session: Session = ONE, **options: Any) -> None:
    path = DataPath.parse(f"/aether-bng:bng/{leaf}")
    await tree.datastores.edit_paths(session, "candidate", [PathOperation("update", path, value)])
    await tree.datastores.commit(session, **options)


async def save_explicitly(tree: Tree) -> None:
    await commit(tree, "identity/location", "explicit")


def counters(tree: Tree, source: str = "running") -> Any:
    timers = tree.datastores.tree(source).get("aether-bng:bng", {}).get("timers", {})
    return timers.get("counters")


async def refused(work: Any) -> OperationError:
    with pytest.raises(OperationError) as caught:
        await work
    return caught.value


# --- automatic -----------------------------------------------------------------------------------


async def test_each_commit_is_startup_and_costs_no_file(start: Open, config: Path) -> None:
    tree = await start()
    await commit(tree, "timers/counters", 7)
    assert counters(tree, "startup") == 7
    assert not (config / "startup.json").exists()
    assert counters(await start("boot-2")) == 7


async def test_what_is_not_confirmed_is_not_startup(start: Open) -> None:
    tree = await start()
    await commit(tree, "timers/counters", 7, confirmed=True)
    assert (counters(tree), counters(tree, "startup")) == (7, 5)
    await tree.datastores.commit(ONE)
    assert counters(tree, "startup") == 7


async def test_a_startup_of_its_own_lasts_until_the_next_commit(start: Open, config: Path) -> None:
    tree = await start()
    await tree.datastores.edit_paths(ONE, "candidate", [PathOperation("update", TIMER, 9)])
    await tree.datastores.copy(ONE, "startup", "candidate")
    assert (counters(tree), counters(tree, "startup")) == (5, 9)
    again = await start("boot-2")
    assert counters(again) == 9
    await commit(again, "timers/health", 6)
    assert not (config / "startup.json").exists()


async def test_a_confirmation_saves_as_well(start: Open, config: Path) -> None:
    tree = await start()
    await tree.datastores.delete(ONE, "startup")
    assert tree.datastores.tree("startup") == {}
    await commit(tree, "timers/counters", 7, confirmed=True)
    assert tree.datastores.tree("startup") == {}
    await tree.datastores.commit(ONE)
    assert counters(tree, "startup") == 7
    assert not (config / "startup.json").exists()


# --- explicit ------------------------------------------------------------------------------------


async def test_only_copy_config_saves(start: Open, config: Path) -> None:
    tree = await start()
    await save_explicitly(tree)
    await commit(tree, "timers/counters", 7)
    await commit(tree, "timers/counters", 8)
    assert (counters(tree), counters(tree, "startup")) == (8, 5)
    assert (config / "startup.json").stat().st_mode & 0o777 == 0o600
    await tree.datastores.copy(ONE, "startup", "running")
    assert counters(tree, "startup") == 8
    await commit(tree, "timers/counters", 9)
    assert counters(tree, "startup") == 8


async def test_a_death_keeps_running_and_a_boot_loads_startup(start: Open) -> None:
    tree = await start()
    await save_explicitly(tree)
    await commit(tree, "timers/counters", 7)
    again = await start()
    assert (counters(again), counters(again, "startup")) == (7, 5)
    booted = await start("boot-2")
    assert (counters(booted), counters(booted, "startup")) == (5, 5)
    newest = booted.datastores.history()[0]
    assert (newest["origin"], newest["comment"]) == ("startup", "the machine was booted")
    await commit(booted, "timers/counters", 8)
    assert counters(await start("boot-2")) == 8


async def test_a_boot_during_a_confirmed_commit_loads_startup(start: Open, config: Path) -> None:
    tree = await start()
    await save_explicitly(tree)
    await commit(tree, "timers/counters", 7)
    await commit(tree, "timers/counters", 8, confirmed=True)
    assert counters(tree, "startup") == 5
    assert counters(await start("boot-2")) == 5
    assert not (config / "unconfirmed.json").exists()


async def test_the_first_unsaved_commit_may_be_one_to_be_confirmed(start: Open) -> None:
    tree = await start()
    await save_explicitly(tree)
    await commit(tree, "timers/counters", 7, confirmed=True)
    await commit(tree, "timers/counters", 8, confirmed=True)
    assert counters(tree, "startup") == 5
    assert counters(await start()) == 5, "what was not confirmed is undone by a restart"


async def test_the_commit_that_ends_saving_is_saved(start: Open, config: Path) -> None:
    tree = await start()
    await tree.datastores.delete(ONE, "startup")
    await save_explicitly(tree)
    assert tree.datastores.tree("startup") is tree.datastores.running.tree
    assert not (config / "startup.json").exists()


async def test_what_ends_saving_may_be_unconfirmed(start: Open) -> None:
    tree = await start()
    await commit(tree, "timers/health", 7, confirmed=True)
    path = DataPath.parse("/aether-bng:bng/identity/location")
    await tree.datastores.edit_paths(ONE, "candidate", [PathOperation("update", path, "explicit")])
    await commit(tree, "timers/counters", 7, confirmed=True)
    await commit(tree, "timers/counters", 8, confirmed=True)
    assert counters(tree, "startup") == 5
    again = await start("boot-2")
    assert (counters(again), counters(again, "startup")) == (5, 5)
    assert again.datastores.tree("startup")["aether-bng:bng"]["timers"] == {"counters": 5}


async def test_back_to_automatic(start: Open, config: Path) -> None:
    tree = await start()
    await save_explicitly(tree)
    await commit(tree, "timers/counters", 7)
    await commit(tree, "identity/location", "automatic")
    assert counters(tree, "startup") == 7
    assert not (config / "startup.json").exists()


async def test_a_deleted_startup_boots_as_at_first(start: Open) -> None:
    tree = await start()
    await save_explicitly(tree)
    await commit(tree, "timers/counters", 7)
    await tree.datastores.delete(ONE, "startup")
    assert counters(await start()) == 7
    booted = await start("boot-2")
    assert counters(booted) == 5
    assert booted.datastores.tree("startup") == {}


async def test_running_that_is_gone_comes_from_startup(start: Open, config: Path) -> None:
    tree = await start()
    await save_explicitly(tree)
    await commit(tree, "timers/counters", 7)
    await tree.datastores.copy(ONE, "startup", "running")
    (config / "running.json").unlink()
    assert counters(await start()) == 7


@pytest.mark.parametrize("damage", [b"", b"{", b'{"aether-bng:bng": {"timers": {"counters": "never"}}}'])
async def test_a_damaged_startup_is_kept_aside(start: Open, config: Path, damage: bytes) -> None:
    tree = await start()
    await save_explicitly(tree)
    await commit(tree, "timers/counters", 7)
    (config / "startup.json").write_bytes(damage)
    booted = await start("boot-2")
    assert (counters(booted), counters(booted, "startup")) == (7, 7)
    assert (config / "startup.json.damaged").read_bytes() == damage
    await commit(booted, "timers/counters", 8)
    assert counters(booted, "startup") == 7


async def test_a_machine_that_cannot_tell_its_boot_keeps_running(start: Open) -> None:
    tree = await start("")
    await save_explicitly(tree)
    await commit(tree, "timers/counters", 7)
    assert counters(await start("")) == 7


# --- who may -------------------------------------------------------------------------------------


async def test_startup_has_a_lock_of_its_own(start: Open) -> None:
    store = (await start()).datastores
    await store.lock(ONE, "startup")
    assert (await refused(store.lock(TWO, "startup"))).info == {"session-id": "1"}
    assert (await refused(store.copy(TWO, "startup", "running"))).tag == "in-use"
    assert (await refused(store.delete(TWO, "startup"))).tag == "in-use"
    assert (await refused(store.commit(TWO))).tag == "in-use", "a commit would be startup too"
    await store.copy(ONE, "startup", "running")
    await store.commit(ONE)
    await store.close_session(1)
    await store.lock(TWO, "startup")


async def test_startup_is_valid_always(start: Open) -> None:
    tree = await start()
    path = DataPath.parse("/aether-bng:bng/interfaces/upstream")
    await tree.datastores.edit_paths(ONE, "candidate", [PathOperation("update", path, "eth9")])
    error = await refused(tree.datastores.copy(ONE, "startup", "candidate"))
    assert (error.tag, error.path) == ("data-missing", "/aether-bng:bng/interfaces/upstream")
    await tree.datastores.validate(ONE, "startup")


async def test_passwords_are_hashed(net: Any, make_element: Any, tmp_path: Path) -> None:
    one = Session(1, net.admin)
    await net.edit(
        "<sys:system><sys:authentication><sys:user><sys:name>guest</sys:name><sys:password>$0$new</sys:password>"
        "</sys:user></sys:authentication></sys:system>",
        one,
    )
    await net.tree.datastores.copy(one, "startup", "candidate")
    assert b"$0$" not in (tmp_path / "state/config/startup.json").read_bytes()


async def test_writing_startup_needs_permission_for_what_differs(net: Any, make_element: Any) -> None:
    store, guest = net.tree.datastores, Session(2, net.guest)
    await net.edit("<ab:bng><ab:timers><ab:counters>9</ab:counters></ab:timers></ab:bng>")
    for source in ("candidate", make_element("config", "<ab:bng/>")):
        assert (await refused(store.copy(guest, "startup", source))).tag == "access-denied"
    await store.copy(
        guest, "startup", "running"
    )  # RFC 8341 section 3.2.6: the right to copy-config is enough


async def test_what_is_hidden_is_not_copied(net: Any) -> None:
    """A user that may change everything but sees no secret: to copy would be to delete the secret."""
    store, one = net.tree.datastores, Session(1, net.admin)
    await net.edit(
        "<nacm:nacm><nacm:groups><nacm:group><nacm:name>blind</nacm:name><nacm:user-name>guest"
        "</nacm:user-name></nacm:group></nacm:groups><nacm:rule-list><nacm:name>blind</nacm:name>"
        "<nacm:group>blind</nacm:group><nacm:rule><nacm:name>hide</nacm:name><nacm:path>/ab:bng/ab:aaa"
        "/ab:server/ab:secret</nacm:path><nacm:access-operations>*</nacm:access-operations>"
        "<nacm:action>deny</nacm:action></nacm:rule><nacm:rule><nacm:name>rest</nacm:name>"
        "<nacm:module-name>*</nacm:module-name><nacm:action>permit</nacm:action></nacm:rule>"
        "</nacm:rule-list></nacm:nacm>",
        one,
    )
    await net.commit(one)
    error = await refused(store.copy(Session(2, net.guest), "candidate", "running"))
    assert error.tag == "access-denied"
    assert error.path.endswith("/secret")
    assert not store.is_dirty()


# --- what it was written for ---------------------------------------------------------------------


async def test_the_file_notes_its_model_and_is_migrated(start: Open, config: Path) -> None:
    tree = await start()
    await save_explicitly(tree)
    await tree.datastores.edit_paths(ONE, "candidate", [PathOperation("update", TIMER, 9)])
    await tree.datastores.copy(ONE, "startup", "candidate")
    file = config / "startup.json"
    document = json.loads(file.read_text())
    assert "aether-deviations@2026-11-25" in document["@"]["aether-configuration:modules"].split()
    document["@"]["aether-configuration:modules"] = "aether-bng@2026-11-21"
    document["ietf-system:system"] = {"contact": "noc", "clock": {"timezone-utc-offset": 60}}
    file.write_text(json.dumps(document))
    tree = await start("boot-2")
    assert counters(tree) == 9
    assert tree.running_json(defaults=False)["ietf-system:system"] == {"contact": "noc"}
    assert not (config / "startup.json.damaged").exists()


async def test_one_of_a_newer_software_is_not_put_aside(start: Open, config: Path) -> None:
    tree = await start()
    await save_explicitly(tree)
    await commit(tree, "timers/counters", 7)
    file = config / "startup.json"
    file.write_text(json.dumps({"@": {"aether-configuration:modules": "aether-bng@2099-01-01"}}))
    error = await refused(start("boot-2"))
    assert "startup.json was written for aether-bng@2099-01-01, which is newer" in error.message
    assert file.exists()
