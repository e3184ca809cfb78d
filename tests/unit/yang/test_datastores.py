"""Locks, commits, confirmed commits, history, restart."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from lxml import etree

from tests.support.waiting import until
from yang.access import User
from yang.datastore.history import Store
from yang.datastore.model import PathOperation, Session
from yang.path import DataPath
from yang.provider import OperationError, Registration
from yang.tree import Tree

TIMER = DataPath.parse("/aether-bng:bng/timers/counters")


def timers(seconds: int) -> str:
    return f"<ab:bng><ab:timers><ab:counters>{seconds}</ab:counters></ab:timers></ab:bng>"


def counters(net: Any, source: str = "running") -> int:
    text = net.get("<ab:bng><ab:timers/></ab:bng>", source=source, with_defaults="report-all")
    return int(str(etree.fromstring(f"<data>{text}</data>").findtext(".//{*}counters")))


async def refused(work: Any) -> OperationError:
    with pytest.raises(OperationError) as caught:
        await work
    return caught.value


@pytest.fixture
def one(net: Any) -> Session:
    return Session(1, net.admin, "netconf one")


@pytest.fixture
def two(net: Any) -> Session:
    return Session(2, net.admin, "netconf two")


# --- locks ---------------------------------------------------------------------------------------


async def test_a_lock_is_held_by_one(net: Any, one: Session, two: Session) -> None:
    store = net.tree.datastores
    await store.lock(one, "candidate")
    error = await refused(store.lock(two, "candidate"))
    assert (error.tag, error.info) == ("lock-denied", {"session-id": "1"})
    assert (await refused(store.unlock(two, "candidate"))).tag == "operation-failed"
    assert (await refused(net.edit(timers(9), two))).tag == "in-use"
    assert (await refused(store.commit(two))).tag == "in-use"
    assert (await refused(store.discard(two))).tag == "in-use"
    await net.edit(timers(9), one)
    await store.unlock(one, "candidate")
    assert not store.is_dirty()


async def test_a_dirty_candidate_is_not_locked(net: Any, one: Session, two: Session) -> None:
    await net.edit(timers(9), one)
    assert (await refused(net.tree.datastores.lock(two, "candidate"))).tag == "lock-denied"
    await net.tree.datastores.discard(one)
    await net.tree.datastores.lock(two, "candidate")


async def test_locks_end_with_their_session(net: Any, one: Session, two: Session) -> None:
    store = net.tree.datastores
    for name in ("candidate", "running"):
        await store.lock(one, name)
    await net.edit(timers(9), one)
    await store.close_session(1)
    assert not store.is_dirty()
    for name in ("candidate", "running"):
        await store.lock(two, name)


async def test_running_locked_by_another_is_not_committed_to(net: Any, one: Session, two: Session) -> None:
    await net.tree.datastores.lock(two, "running")
    await net.edit(timers(9), one)
    assert (await refused(net.commit(one))).tag == "in-use"
    error = await refused(net.tree.transaction(net.admin, "gnmi", [PathOperation("update", TIMER, 9)]))
    assert error.tag == "in-use"


async def test_partial_locks(net: Any, one: Session, two: Session) -> None:
    store = net.tree.datastores
    number, nodes = await store.partial_lock(one, ["/aether-bng:bng/timers"])
    assert nodes == ["/aether-bng:bng/timers"]
    assert (await refused(store.partial_lock(two, ["/aether-bng:bng"]))).tag == "lock-denied"
    assert (await refused(store.lock(two, "running"))).tag == "lock-denied"
    await net.edit(timers(9), two)
    assert (await refused(net.commit(two))).tag == "in-use"
    await store.partial_unlock(one, number)
    await net.commit(two)
    assert counters(net) == 9


async def test_no_partial_lock_during_somebody_elses_confirmed_commit(
    net: Any, one: Session, two: Session
) -> None:
    """What is locked would be changed by a revert (RFC 5717 section 2.4.1.2)."""
    store = net.tree.datastores
    await net.edit(timers(9), one)
    await store.commit(one, confirmed=True)
    error = await refused(store.partial_lock(two, ["/aether-bng:bng/timers"]))
    assert (error.tag, error.app_tag) == ("lock-denied", "outstanding-confirmed-commit")
    assert error.info == {"session-id": "1"}
    await store.partial_lock(one, ["/aether-bng:bng/timers"])


# --- commits -------------------------------------------------------------------------------------


async def test_a_commit_reaches_handlers_disk_and_history(net: Any, one: Session) -> None:
    await net.edit(timers(9), one)
    result = await net.commit(one, comment="slower")
    assert result.number == 1
    assert list(result.changed) == ["/aether-bng:bng/timers/counters"]
    [(first, diff), (second, token)] = net.handler.calls
    assert (first, second, token) == ("prepare", "commit", 1)
    assert diff.new["aether-bng:bng"]["timers"]["counters"] == 9
    assert diff.old["aether-bng:bng"]["timers"]["counters"] == 5
    assert diff.new["aether-bng:bng"]["timers"]["health"] == 5
    stored = json.loads((net.folder / "state/config/running.json").read_text())
    assert stored["aether-bng:bng"]["timers"] == {"counters": 9}
    newest = net.tree.datastores.history()[0]
    assert (newest["number"], newest["user"], newest["comment"]) == (1, "admin", "slower")


async def test_a_commit_without_changes_does_nothing(net: Any, one: Session) -> None:
    assert (await net.commit(one)).number == 0
    assert net.handler.calls == []


async def test_an_invalid_candidate_is_not_committed(net: Any, one: Session) -> None:
    await net.edit("<ab:bng><ab:interfaces><ab:upstream>eth9</ab:upstream></ab:interfaces></ab:bng>", one)
    error = await refused(net.commit(one))
    assert (error.tag, error.app_tag) == ("data-missing", "instance-required")
    assert error.path == "/aether-bng:bng/interfaces/upstream"
    assert '"eth9" does not exist' in error.message
    assert net.handler.calls == []
    assert net.tree.datastores.is_dirty()


async def test_unique_is_enforced(net: Any, one: Session) -> None:
    await net.edit(
        "<aar:access-routers><aar:access-router><aar:name>x</aar:name><aar:remote-id>an-1</aar:remote-id>"
        "</aar:access-router></aar:access-routers>",
        one,
    )
    error = await refused(net.tree.datastores.validate(one, "candidate"))
    assert (error.tag, error.app_tag) == ("operation-failed", "data-not-unique")


async def test_a_refusing_handler_leaves_everything_as_it_was(net: Any, one: Session) -> None:
    net.handler.refuse = OperationError("resource-denied", "no room")
    await net.edit(timers(9), one)
    assert (await refused(net.commit(one))).tag == "resource-denied"
    assert counters(net) == 5
    assert counters(net, "candidate") == 9
    net.handler.refuse = None
    await net.commit(one)
    assert counters(net) == 9


async def test_a_cancelled_commit_is_carried_out_all_the_same(net: Any, one: Session) -> None:
    await net.edit(timers(9), one)
    task = asyncio.create_task(net.commit(one))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: counters(net) == 9)


async def test_copy_and_delete(net: Any, one: Session, make_element: Any) -> None:
    store = net.tree.datastores
    await net.edit(timers(9), one)
    await store.copy(one, "candidate", "running")
    assert not store.is_dirty()
    await store.copy(one, "candidate", make_element("config", timers(7)))
    assert net.get("<ash:shaping-profiles/>", source="candidate") == ""
    await store.delete(one, "candidate")
    assert net.xml(net.tree.select_all(), source="candidate") == ""
    assert (await refused(store.delete(one, "running"))).tag == "operation-not-supported"
    assert (await refused(store.copy(one, "candidate", "candidate"))).tag == "invalid-value"
    assert (await refused(store.copy(one, "factory", "running"))).tag == "invalid-value"
    assert (await refused(store.copy(one, "candidate", "factory"))).tag == "invalid-value"


async def test_validate_an_inline_configuration(net: Any, one: Session, make_element: Any) -> None:
    await net.tree.datastores.validate(one, "running")
    error = await refused(net.tree.datastores.validate(one, make_element("config", "<ab:bng/>")))
    assert (error.tag, error.path) == ("data-missing", "/aether-bng:bng/identity/bng-id")


async def test_cleartext_passwords_are_hashed_when_committed(net: Any, one: Session) -> None:
    await net.edit(
        "<sys:system><sys:authentication><sys:user><sys:name>new</sys:name><sys:password>$0$pw</sys:password>"
        "</sys:user></sys:authentication></sys:system>",
        one,
    )
    await net.commit(one)
    assert "$0$" not in (net.folder / "state/config/running.json").read_text()
    assert net.tree.authenticate("new", password="pw") == User("new")
    assert net.tree.authenticate("new", password="$0$pw") is None


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\0", b'{"aether-bng:bng": 3}'])
async def test_a_damaged_running_configuration_is_taken_from_the_history(
    net: Any, one: Session, content: bytes
) -> None:
    await net.edit(timers(9), one)
    await net.commit(one)
    (net.folder / "state/config/running.json").write_bytes(content)
    again = await Tree.open(Registration(), net.folder / "state")
    try:
        assert again.running_json()["aether-bng:bng"]["timers"]["counters"] == 9
    finally:
        await again.close()


async def test_a_damaged_history_is_passed_over(net: Any, one: Session) -> None:
    await net.edit(timers(9), one)
    await net.commit(one)
    for path in (net.folder / "state/config/history").iterdir():
        content = bytearray(path.read_bytes())
        content[10:] = bytes(byte ^ 0x55 for byte in content[10:])  # behind the header
        path.write_bytes(content)
    again = await Tree.open(Registration(), net.folder / "state")
    try:
        assert again.running_json()["aether-bng:bng"]["timers"]["counters"] == 9
        assert again.datastores.history() == []
    finally:
        await again.close()


# --- confirmed commits ---------------------------------------------------------------------------


async def test_an_unconfirmed_commit_is_reverted_in_time(net: Any, one: Session) -> None:
    await net.edit(timers(9), one)
    await net.commit(one, confirmed=True, confirm_timeout=60)
    assert counters(net) == 9
    backup = net.folder / "state/config/unconfirmed.json"
    assert backup.exists()
    await net.commit(one, confirmed=True, confirm_timeout=0.01)
    await until(lambda: not backup.exists())
    assert counters(net) == 5
    assert net.tree.datastores.history()[0]["comment"] == "it was not confirmed in time"


async def test_a_second_commit_confirms(net: Any, one: Session, two: Session) -> None:
    await net.edit(timers(9), one)
    await net.commit(one, confirmed=True, confirm_timeout=60)
    assert (await refused(net.commit(two))).tag == "in-use"
    assert (await refused(net.commit(one, persist_id="wrong"))).tag == "invalid-value"
    await net.commit(one)
    await net.tree.datastores.close_session(1)
    assert counters(net) == 9


async def test_a_follow_up_keeps_the_first_backup(net: Any, one: Session) -> None:
    await net.edit(timers(9), one)
    await net.commit(one, confirmed=True, confirm_timeout=60)
    await net.edit(timers(11), one)
    await net.commit(one, confirmed=True, confirm_timeout=60)
    await net.tree.datastores.cancel_commit(one)
    assert counters(net) == 5


async def test_it_ends_with_its_session_unless_it_persists(net: Any, one: Session, two: Session) -> None:
    store = net.tree.datastores
    await net.edit(timers(9), one)
    await net.commit(one, confirmed=True)
    await store.close_session(1)
    assert counters(net) == 5
    await net.edit(timers(9), one)
    await net.commit(one, confirmed=True, persist="token")
    await store.close_session(1)
    assert counters(net) == 9
    assert (await refused(net.commit(two))).tag == "invalid-value"
    assert (await refused(store.cancel_commit(two, "no"))).tag == "invalid-value"
    await net.commit(two, persist_id="token")
    assert counters(net) == 9
    assert (await refused(net.commit(two, persist_id="token"))).tag == "invalid-value"


async def test_running_is_not_locked_during_anothers_confirmed_commit(
    net: Any, one: Session, two: Session
) -> None:
    await net.edit(timers(9), one)
    await net.commit(one, confirmed=True)
    assert (await refused(net.tree.datastores.lock(two, "running"))).tag == "lock-denied"
    error = await refused(net.tree.transaction(net.admin, "gnmi", [PathOperation("update", TIMER, 9)]))
    assert error.tag == "in-use"


async def test_the_backup_is_on_disk_before_running_is_written(
    net: Any, one: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill between the two must not make the commit permanent."""
    backup = net.folder / "state/config/unconfirmed.json"
    seen: list[bool] = []
    publish = Store.publish

    def look(*args: Any) -> None:
        seen.append(backup.is_file())
        if len(seen) == 1:
            raise OSError(28, "No space left on device")
        publish(*args)

    monkeypatch.setattr(Store, "publish", look)
    await net.edit(timers(9), one)
    assert (await refused(net.commit(one, confirmed=True))).tag == "operation-failed"
    assert not backup.exists()
    await net.commit(one, confirmed=True)
    assert backup.exists()
    assert seen == [True, True]


async def test_nothing_to_cancel(net: Any, one: Session) -> None:
    assert (await refused(net.tree.datastores.cancel_commit(one))).tag == "operation-failed"


async def test_a_restart_reverts_what_was_not_confirmed(net: Any, one: Session) -> None:
    await net.edit(timers(9), one)
    await net.commit(one, confirmed=True)
    again = await Tree.open(Registration(), net.folder / "state")
    try:
        assert again.running_json()["aether-bng:bng"]["timers"]["counters"] == 5
    finally:
        await again.close()


# --- history and restart -------------------------------------------------------------------------


async def test_running_is_there_after_a_restart(net: Any, one: Session) -> None:
    await net.edit(timers(9), one)
    await net.commit(one)
    before = net.tree.running_json(defaults=False)
    again = await Tree.open(Registration(), net.folder / "state", net.folder / "startup.json")
    try:
        assert again.running_json(defaults=False) == before
        assert [entry["number"] for entry in again.datastores.history()] == [1, 0]
    finally:
        await again.close()


async def test_history_is_bounded(tmp_path: Any) -> None:
    tree = await Tree.open(Registration(), tmp_path, history_limit=3)
    admin = User("root", recovery=True)
    path = DataPath.parse("/ietf-system:system/hostname")
    for number in range(6):
        await tree.transaction(admin, "test", [PathOperation("update", path, f"host-{number}")])
    assert [entry["number"] for entry in tree.datastores.history()] == [6, 5, 4]
    assert len(list((tmp_path / "config/history").iterdir())) == 3
    await tree.close()


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{", "startup.json"),
        ('{"aether-bng:bng": {}}', "bng-id"),
        ('{"aether-bng:nothing": {}}', "nothing"),
        ('{"aether-bng:bng": {"identity": {"bng-id": "b", "version": "1"}}}', "version"),
    ],
)
async def test_a_startup_file_that_does_not_fit_is_explained(tmp_path: Any, text: str, what: str) -> None:
    startup = tmp_path / "startup.json"
    startup.write_text(text)
    with pytest.raises(OperationError, match=what):
        await Tree.open(Registration(), tmp_path / "state", startup)


async def test_files_are_private(net: Any) -> None:
    assert (net.folder / "state/config/running.json").stat().st_mode & 0o077 == 0
    assert (net.folder / "state/config").stat().st_mode & 0o077 == 0


# --- gNMI Set ------------------------------------------------------------------------------------


async def test_a_transaction_is_all_or_nothing(net: Any) -> None:
    good = PathOperation("update", TIMER, 9)
    bad = PathOperation("update", DataPath.parse("/aether-bng:bng/interfaces/upstream"), "eth9")
    assert (await refused(net.tree.transaction(net.admin, "gnmi", [good, bad]))).tag == "data-missing"
    assert counters(net) == 5
    result = await net.tree.transaction(net.admin, "gnmi 192.0.2.1", [good])
    assert result.number == 1
    assert counters(net) == 9
    assert net.tree.datastores.history()[0]["origin"] == "gnmi 192.0.2.1"


async def test_a_transaction_deletes_then_replaces_then_updates(net: Any) -> None:
    gold = DataPath.parse("/aether-shaping:shaping-profiles/profile[name='gold']")
    priority = gold.child("priority")
    rate = {"rate": "9000"}
    await net.tree.transaction(
        net.admin,
        "gnmi",
        [
            PathOperation("update", priority, 2),
            PathOperation("replace", gold, {"download": rate, "upload": rate, "priority": 1}),
            PathOperation("delete", gold),
        ],
    )
    assert "<priority>2</priority>" in net.get("<ash:shaping-profiles/>")


async def test_a_transaction_does_not_get_undone_by_the_next_commit(net: Any, one: Session) -> None:
    await net.edit("<ab:bng><ab:timers><ab:health>9</ab:health></ab:timers></ab:bng>", one)
    await net.tree.transaction(net.admin, "gnmi", [PathOperation("update", TIMER, 9)])
    await net.commit(one)
    text = net.get("<ab:bng><ab:timers/></ab:bng>")
    assert "<counters>9</counters>" in text
    assert "<health>9</health>" in text


async def test_a_transaction_can_be_confirmed(net: Any) -> None:
    store = net.tree.datastores
    operation = [PathOperation("update", TIMER, 9)]
    await net.tree.transaction(net.admin, "gnmi", operation, confirm_timeout=60, persist_id="id")
    assert (await refused(store.confirm_commit("other"))).tag == "invalid-value"
    await store.cancel_confirmed("id", user="admin", origin="gnmi")
    assert counters(net) == 5
    await net.tree.transaction(net.admin, "gnmi", operation, confirm_timeout=60, persist_id="id")
    await store.confirm_commit("id")
    assert counters(net) == 9


# --- who may write -------------------------------------------------------------------------------


async def test_writing_needs_permission(net: Any, one: Session) -> None:
    guest = Session(3, net.guest)
    error = await refused(net.edit(timers(9), guest))
    assert (error.tag, error.path) == ("access-denied", "/aether-bng:bng/timers/counters")
    error = await refused(net.tree.transaction(net.guest, "gnmi", [PathOperation("update", TIMER, 9)]))
    assert error.tag == "access-denied"
    assert net.tree.access.denied_data_writes == 2
    await net.edit(timers(9), one)
    assert (await refused(net.commit(guest))).tag == "access-denied"
