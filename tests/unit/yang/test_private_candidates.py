"""Private candidates: branches of running, their conflicts, and what becomes of them."""

from __future__ import annotations

import random
from typing import Any

import pytest

from yang.access import ALLOW_ALL, User
from yang.datastore import candidates
from yang.datastore.merge import ConflictError, Merge
from yang.datastore.model import PathOperation, Session
from yang.path import DataPath
from yang.provider import OperationError
from yang.schema import Schema

PROFILE = "/aether-shaping:shaping-profiles/profile[name='{}']"


@pytest.fixture
def one(net: Any) -> Session:
    net.tree.datastores.make_private(1)
    return Session(1, net.admin, "netconf one")


@pytest.fixture
def two(net: Any) -> Session:
    net.tree.datastores.make_private(2)
    return Session(2, net.admin, "netconf two")


@pytest.fixture
def sharing(net: Any) -> Session:
    return Session(3, net.admin, "netconf three")


async def set_rate(net: Any, session: Session, name: str, rate: int | None) -> None:
    """The download rate of a profile in Mbit/s; None deletes the profile."""
    path = DataPath.parse(PROFILE.format(name) + ("/download/rate" if rate else ""))
    operation = PathOperation("update" if rate else "delete", path, None if rate is None else f"{rate}000000")
    await net.tree.datastores.edit_paths(session, "candidate", [operation])


def rate(net: Any, name: str, session: Session | None = None) -> int | None:
    source = "running" if session is None else "candidate"
    tree = net.tree.datastores.tree(source, session=session.id if session else 0)
    profile = tree["aether-shaping:shaping-profiles"]["profile"].get((name,))
    return None if profile is None else profile["download"]["rate"] // 1_000_000


async def conflict(work: Any) -> ConflictError:
    with pytest.raises(ConflictError) as caught:
        await work
    return caught.value


async def refused(work: Any) -> OperationError:
    with pytest.raises(OperationError) as caught:
        await work
    return caught.value


# --- two at once ---------------------------------------------------------------------------------


async def test_changes_of_different_nodes_are_both_committed(net: Any, one: Session, two: Session) -> None:
    store = net.tree.datastores
    await set_rate(net, one, "gold", 7)
    await set_rate(net, two, "silver", 8)
    assert (rate(net, "gold", two), rate(net, "silver", one)) == (100, 50)
    await store.commit(one)
    result = await store.commit(two)
    assert list(result.changed) == [PROFILE.format("silver") + "/download/rate"]
    assert (rate(net, "gold"), rate(net, "silver")) == (7, 8)


async def test_changes_of_one_leaf_are_a_conflict(net: Any, one: Session, two: Session) -> None:
    store = net.tree.datastores
    await set_rate(net, one, "gold", 7)
    await set_rate(net, one, "bronze", 6)
    await set_rate(net, two, "gold", 8)
    await store.commit(one)
    error = await conflict(store.commit(two))
    assert (error.tag, error.path) == ("operation-failed", PROFILE.format("gold") + "/download/rate")
    assert 'running: "7000000", candidate: "8000000"' in error.message
    [found] = error.conflicts
    assert (found.kind, found.running, found.candidate) == ("value-change", "7000000", "8000000")
    assert (rate(net, "gold"), rate(net, "gold", two)) == (7, 8)
    assert rate(net, "bronze", two) == 1, "nothing was taken over"


async def test_ways_out_of_a_conflict(net: Any, one: Session, two: Session) -> None:
    store = net.tree.datastores
    for mode, wanted in (("prefer-candidate", 8), ("prefer-running", 7)):
        await set_rate(net, one, "gold", 7)
        await set_rate(net, one, "bronze", 6)
        await set_rate(net, two, "gold", 8)
        await set_rate(net, two, "silver", 9)
        await store.commit(one)
        await conflict(store.update(two))
        await store.update(two, mode)
        assert (rate(net, "gold", two), rate(net, "bronze", two)) == (wanted, 6)
        await store.commit(two)
        assert (rate(net, "gold"), rate(net, "silver")) == (wanted, 9)
        for name in ("gold", "bronze", "silver"):
            await set_rate(net, one, name, 1)
        await store.commit(one)


async def test_a_deleted_entry_that_the_other_changes(net: Any, one: Session, two: Session) -> None:
    store = net.tree.datastores
    await set_rate(net, one, "gold", None)
    await set_rate(net, two, "gold", 8)
    await store.commit(one)
    error = await conflict(store.commit(two))
    assert (error.path, error.conflicts[0].kind) == (PROFILE.format("gold"), "list-entry")
    assert (error.conflicts[0].running, error.conflicts[0].candidate) == (None, "gold")
    await store.update(two, "prefer-candidate")
    assert rate(net, "gold", two) == 8
    await store.commit(two)
    assert rate(net, "gold") == 8


async def test_discard_goes_back_to_the_last_update(net: Any, one: Session, two: Session) -> None:
    store = net.tree.datastores
    await set_rate(net, two, "silver", 8)
    await set_rate(net, one, "gold", 7)
    await store.commit(one)
    await store.discard(two)
    assert (rate(net, "silver", two), rate(net, "gold", two)) == (50, 100)
    await store.update(two)
    assert rate(net, "gold", two) == 7
    await set_rate(net, two, "silver", 8)
    await store.delete(two, "candidate")
    assert (rate(net, "silver", two), rate(net, "gold", two)) == (50, 7)


async def test_update_needs_a_private_candidate(net: Any, sharing: Session) -> None:
    assert (await refused(net.tree.datastores.update(sharing))).tag == "operation-not-supported"


# --- beside the shared candidate -----------------------------------------------------------------


async def test_the_shared_candidate_is_another(net: Any, one: Session, sharing: Session) -> None:
    store = net.tree.datastores
    await set_rate(net, one, "gold", 7)
    assert not store.is_dirty()
    await store.lock(sharing, "candidate")
    await set_rate(net, sharing, "silver", 8)
    await set_rate(net, sharing, "bronze", 6)
    await set_rate(net, one, "bronze", 5)
    await store.lock(one, "candidate")  # of its own, and nobody's business
    await store.commit(one)
    assert (rate(net, "gold"), rate(net, "bronze")) == (7, 5)
    assert (rate(net, "gold", sharing), rate(net, "silver", sharing), rate(net, "bronze", sharing)) == (
        7,
        8,
        6,
    )
    await store.commit(sharing)
    assert (rate(net, "gold"), rate(net, "silver"), rate(net, "bronze")) == (7, 8, 6)


async def test_a_lock_of_running_keeps_private_candidates_out(net: Any, one: Session, two: Session) -> None:
    store = net.tree.datastores
    await store.lock(one, "running")
    await set_rate(net, two, "gold", 7)
    assert (await refused(store.commit(two))).tag == "in-use"
    await store.unlock(one, "running")
    await store.commit(two)


async def test_locks_of_a_private_candidate(net: Any, one: Session, two: Session) -> None:
    store = net.tree.datastores
    assert (await refused(store.unlock(one, "candidate"))).tag == "operation-failed"
    await store.lock(one, "candidate")
    await store.lock(two, "candidate")
    assert (await refused(store.lock(one, "candidate"))).tag == "lock-denied"
    await set_rate(net, one, "gold", 7)
    await store.unlock(one, "candidate")
    assert rate(net, "gold", one) == 7, "it is not lost with the lock"
    assert store.lock_holder("candidate") is None


async def test_gnmi_and_private_candidates(net: Any, one: Session) -> None:
    await set_rate(net, one, "gold", 7)
    path = DataPath.parse(PROFILE.format("gold") + "/download/rate")
    await net.tree.transaction(net.admin, "gnmi", [PathOperation("update", path, "8000000")])
    assert (await conflict(net.tree.datastores.commit(one))).conflicts[0].running == "8000000"


async def test_a_rollback_needs_a_candidate_without_changes_of_ones_own(
    net: Any, one: Session, two: Session, sharing: Session
) -> None:
    async def back(session: Session) -> Any:
        path = "/aether-configuration:rollback-to"
        return await net.tree.invoke(path, (), {"number": 0}, session.user, session)

    store = net.tree.datastores
    await set_rate(net, one, "gold", 7)
    await store.commit(one)
    await set_rate(net, one, "gold", 8)
    await set_rate(net, sharing, "silver", 9)
    for session in (one, sharing):
        assert "candidate has changes" in (await refused(back(session))).message
        assert rate(net, "gold") == 7
    assert await back(two) == {"number": 2}, "what others have in theirs is nothing to it"
    assert (rate(net, "gold"), rate(net, "gold", two)) == (100, 100)
    assert (rate(net, "gold", sharing), rate(net, "silver", sharing)) == (100, 9)
    await conflict(store.commit(one))


# --- confirmed commits ---------------------------------------------------------------------------


async def test_changes_that_are_reverted_are_in_the_candidate_again(net: Any, one: Session) -> None:
    store = net.tree.datastores
    await set_rate(net, one, "gold", 7)
    await store.commit(one, confirmed=True)
    await store.cancel_commit(one)
    assert (rate(net, "gold"), rate(net, "gold", one)) == (100, 7)
    await store.commit(one)
    assert rate(net, "gold") == 7


async def test_changes_since_a_commit_that_is_reverted_stay(net: Any, one: Session) -> None:
    store = net.tree.datastores
    await set_rate(net, one, "gold", 7)
    await store.commit(one, confirmed=True)
    await set_rate(net, one, "silver", 8)
    await store.cancel_commit(one)
    assert (rate(net, "gold", one), rate(net, "silver", one)) == (7, 8)
    await store.commit(one)
    assert (rate(net, "gold"), rate(net, "silver")) == (7, 8)


async def test_a_session_that_ends_takes_everything_with_it(net: Any, one: Session, two: Session) -> None:
    store = net.tree.datastores
    for name in ("running", "startup", "candidate"):
        await store.lock(one, name)
    await set_rate(net, one, "gold", 7)
    await store.commit(one, confirmed=True)
    await set_rate(net, one, "silver", 8)
    await store.close_session(1)
    assert rate(net, "gold") == 100
    for name in ("running", "startup"):
        await store.lock(two, name)
    assert rate(net, "silver", Session(1, net.admin)) == 50, "a new session 1 shares the candidate"


# --- memory --------------------------------------------------------------------------------------


async def test_edits_are_bounded(
    net: Any, one: Session, two: Session, make_element: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "MAX_EDITED", 10)
    monkeypatch.setattr(candidates, "MAX_EDITED_BY_ALL", 15)
    store = net.tree.datastores
    for number in range(10):
        await set_rate(net, one, "gold", number + 7)
    assert (await refused(set_rate(net, one, "gold", 6))).tag == "resource-denied"
    big = make_element("config", "<ab:bng/>" * 5)
    assert (await refused(store.edit(two, "candidate", big))).tag == "resource-denied"
    await store.commit(one)
    await set_rate(net, one, "gold", 6)
    for number in range(10):
        await set_rate(net, two, "silver", number + 7)


async def test_edits_of_a_user_are_bounded(
    net: Any, one: Session, two: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever takes all that he may leaves something to others, and what was refused takes nothing."""
    monkeypatch.setattr(candidates, "MAX_EDITED_BY_USER", 3)
    store = net.tree.datastores
    await set_rate(net, one, "gold", 7)
    await set_rate(net, two, "gold", 7)
    await set_rate(net, two, "silver", 7)
    error = await refused(set_rate(net, one, "silver", 8))
    assert (error.tag, "user admin" in error.message) == ("resource-denied", True)
    store.make_private(4)
    viewer = Session(4, User("viewer"), "netconf four")
    for _ in range(10):
        assert (await refused(set_rate(net, viewer, "silver", 8))).tag == "access-denied"
    await store.discard(two)
    await set_rate(net, one, "silver", 8)


# --- the merge itself ----------------------------------------------------------------------------


def tree_of(profiles: dict[str, int], upstream: tuple[str, ...] = (), order: tuple[str, ...] = ()) -> Any:
    """Profiles with rates, a leaf-list in the order of the system, and a list in the order of the user."""
    tree: dict[str, Any] = {}
    if profiles:
        entries = {(name,): {"name": name, "download": {"rate": r}} for name, r in profiles.items()}
        tree["aether-shaping:shaping-profiles"] = {"profile": entries}
    if upstream:
        tree["aether-bng:bng"] = {"interfaces": {"subscriber": upstream}}
    if order:
        lists = {(name,): {"name": name} for name in order}
        tree["ietf-netconf-acm:nacm"] = {"rule-list": lists}
    return tree


def merged(
    schema: Schema, base: Any, running: Any, candidate: Any, keep: Any = "candidate"
) -> tuple[Any, list[Any]]:
    merge = Merge(ALLOW_ALL, keep)
    result = merge.trees(schema.root, base, running, candidate)
    return result, [(found.kind, found.path.rpartition("/")[2]) for found in merge.conflicts]


def test_any_two_sides(schema: Schema) -> None:
    """Against an oracle that looks at each entry alone."""
    chance = random.Random(4)
    names = [f"p{number}" for number in range(6)]
    clashes = 0
    for _ in range(2_000):
        base, running, candidate = (
            {name: chance.randint(1, 2) for name in chance.sample(names, chance.randint(0, 6))}
            for _ in range(3)
        )
        expected, conflicts = {}, set()
        for name in names:
            was, theirs, ours = base.get(name), running.get(name), candidate.get(name)
            if was != theirs and was != ours:
                conflicts.add(name)
            value = theirs if was == ours else ours
            if value is not None:
                expected[name] = value
        result, found = merged(schema, tree_of(base), tree_of(running), tree_of(candidate))
        profiles = result.get("aether-shaping:shaping-profiles", {}).get("profile", {})
        assert {key[0]: entry["download"]["rate"] for key, entry in profiles.items()} == expected
        assert len(found) == len(conflicts)
        clashes += bool(conflicts)
    assert 500 < clashes < 2_000


def test_leaf_lists_merge_by_item(schema: Schema) -> None:
    trees = [tree_of({}, items) for items in (("a", "b"), ("b", "c"), ("a", "b", "d"))]
    result, found = merged(schema, *trees)
    assert set(result["aether-bng:bng"]["interfaces"]["subscriber"]) == {"b", "c", "d"}
    assert found == []
    trees = [tree_of({}, items) for items in (("a",), ("a", "b"), ("a", "b"))]
    assert merged(schema, *trees)[1] == [("leaf-list-item", "subscriber[.='b']")]


@pytest.mark.parametrize(
    ("running", "candidate", "keep", "expected", "clash"),
    [
        ("abcx", "yabc", "candidate", "yabcx", False),
        ("acb", "abcy", "candidate", "acyb", False),
        ("abc", "cab", "candidate", "cab", False),
        ("acb", "bac", "candidate", "bac", True),
        ("acb", "bac", "running", "acb", True),
        ("ac", "cab", "candidate", "ca", False),
        ("axbyc", "abc", "running", "axbyc", False),
    ],
)
def test_lists_in_the_order_of_the_user(
    schema: Schema, running: str, candidate: str, keep: Any, expected: str, clash: bool
) -> None:
    trees = [tree_of({}, (), tuple(names)) for names in ("abc", running, candidate)]
    result, found = merged(schema, *trees, keep)
    assert "".join(key[0] for key in result["ietf-netconf-acm:nacm"]["rule-list"]) == expected
    assert found == ([("list-order", "rule-list")] if clash else [])


def test_a_secret_is_not_told(net: Any, schema: Schema) -> None:
    rules = net.tree.access.rules_for(net.guest)
    server = {("r",): {"name": "r", "address": "192.0.2.1", "secret": "x"}}

    def secret(value: str) -> Any:
        return {"aether-bng:bng": {"aaa": {"server": {("r",): {**server[("r",)], "secret": value}}}}}

    merge = Merge(rules, "candidate")
    merge.trees(schema.root, secret("old"), secret("theirs"), secret("mine"))
    [found] = merge.conflicts
    assert (found.running, found.candidate) == (None, None)
    with pytest.raises(ConflictError, match="secret"):
        merge.check()


def test_a_thousand_conflicts_are_counted_but_not_listed(schema: Schema) -> None:
    trees = [tree_of({f"p{n}": value for n in range(1_000)}) for value in (1, 2, 3)]
    merge = Merge(ALLOW_ALL, "candidate")
    merge.trees(schema.root, *trees)
    with pytest.raises(ConflictError) as caught:
        merge.check()
    assert len(caught.value.conflicts) == 100
    assert "and 999 more" in caught.value.message


async def test_edits_of_the_shared_candidate_are_bounded(
    net: Any, make_element: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until they are committed or discarded, by all sessions together; what was refused does not count."""
    monkeypatch.setattr(candidates, "MAX_EDITED_SHARED", 10)
    store, sessions = net.tree.datastores, [Session(number, net.admin) for number in (7, 8)]
    big = make_element("config", "<ab:bng/>" * 10)
    assert (await refused(store.edit(sessions[0], "candidate", big))).tag == "resource-denied"
    for end in (store.commit, store.discard):
        for number in range(10):
            await set_rate(net, sessions[number % 2], "gold", 100 + number)
        error = await refused(set_rate(net, sessions[0], "gold", 6))
        assert (error.tag, "10 elements" in error.message) == ("resource-denied", True)
        await end(sessions[0])
    await set_rate(net, sessions[0], "gold", 6)
    await store.delete(sessions[0], "candidate")
    await set_rate(net, sessions[0], "gold", 6)
