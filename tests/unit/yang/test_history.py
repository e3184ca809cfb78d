"""The history of commits: the list, the diff of two, rollback-to."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from lxml import etree

from yang.access import User
from yang.datastore.model import PathOperation, Session
from yang.path import DataPath
from yang.provider import OperationError, Registration
from yang.tree import Tree

DIFF = "/aether-configuration:get-commit-diff"
ROLLBACK = "/aether-configuration:rollback-to"
PROFILE = DataPath.parse("/aether-shaping:shaping-profiles/profile[name='gold']")
TIMER = DataPath.parse("/aether-bng:bng/timers/counters")
NC = "urn:ietf:params:xml:ns:netconf:base:1.0"


def timers(seconds: int) -> str:
    return f"<ab:bng><ab:timers><ab:counters>{seconds}</ab:counters></ab:timers></ab:bng>"


async def refused(work: Any) -> OperationError:
    with pytest.raises(OperationError) as caught:
        await work
    return caught.value


def commits(net: Any, user: User | None = None) -> dict[int, dict[str, Any]]:
    """The list of commits as a client reads it: number → leaves."""
    namespace = "urn:aether:yang:aether-configuration"
    text = net.xml(
        net.tree.select_subtree(etree.fromstring(f'<filter><commits xmlns="{namespace}"/></filter>')), user
    )
    found = {}
    for commit in etree.fromstring(f"<data>{text}</data>").iterfind(".//{*}commit"):
        leaves: dict[str, Any] = {}
        for leaf in commit:
            leaves.setdefault(etree.QName(leaf).localname, []).append(leaf.text)
        found[int(leaves["number"][0])] = {name: ", ".join(texts) for name, texts in leaves.items()}
    return found


async def diff(net: Any, number: int, user: User | None = None, **given: Any) -> Any:
    user = user or net.admin
    output = await net.tree.invoke(DIFF, (), {"number": number, **given}, user)
    # what a client gets of it
    assert net.tree.encode_output(DIFF, output) is not None
    return output["config"] if "config" in output else output["change"]


@pytest.fixture
def one(net: Any) -> Session:
    return Session(7, net.admin, "netconf 192.0.2.7")


# --- the list ------------------------------------------------------------------------------------


async def test_every_commit_is_told_with_who_when_whence_and_why(net: Any, one: Session) -> None:
    await net.edit(timers(9), one)
    await net.commit(one, comment="slower <now>")
    await net.tree.transaction(net.admin, "gnmi 2001:db8::1", [PathOperation("update", TIMER, 8)])
    told = commits(net, net.guest)
    assert list(told) == [0, 1, 2]
    assert told[0]["kind"] == told[0]["transport"] == "startup"
    assert "user" not in told[0]
    first, second = told[1], told[2]
    assert first.pop("time")[:10] == second.pop("time")[:10]
    assert first == {
        "number": "1",
        "kind": "commit",
        "user": "admin",
        "transport": "netconf",
        "peer": "192.0.2.7",
        "netconf-session-id": "7",
        "comment": "slower <now>",
        "changes": "1",
        "changed": "/aether-bng:bng/timers/counters",
    }
    assert second == {
        "number": "2",
        "kind": "commit",
        "user": "admin",
        "transport": "gnmi",
        "peer": "2001:db8::1",
        "changes": "1",
        "changed": "/aether-bng:bng/timers/counters",
    }


async def test_no_entry_is_named_to_those_who_may_not_read_it(net: Any, one: Session) -> None:
    """The list is for everybody; names of entries are in the diff, which NACM filters."""
    server = "<ab:bng><ab:aaa><ab:server><ab:name>hidden-name</ab:name><ab:address>10.0.0.9</ab:address>"
    await net.edit(f"{server}<ab:secret>hidden</ab:secret></ab:server></ab:aaa></ab:bng>", one)
    await net.commit(one)
    assert "hidden" not in repr(commits(net, net.guest))
    assert commits(net)[1]["changed"] == "/aether-bng:bng/aaa/server"


async def test_nodes_are_named_once_and_without_keys(net: Any, one: Session) -> None:
    names = ("a]b", "c'd", 'e"]f', "/g:h[i='j']")
    interfaces = "".join(
        f"<if:interface><if:name>{name}</if:name><if:type>ianaift:ethernetCsmacd</if:type></if:interface>"
        for name in names
    )
    await net.edit(f"<if:interfaces>{interfaces}</if:interfaces>" + timers(9), one)
    await net.commit(one)
    told = commits(net)[1]
    assert told["changed"] == "/aether-bng:bng/timers/counters, /ietf-interfaces:interfaces/interface"
    assert told["changes"] == "5"


async def test_how_it_stands_with_confirmed_commits(net: Any, one: Session) -> None:
    store = net.tree.datastores
    await net.edit(timers(9), one)
    await net.commit(one, confirmed=True, confirm_timeout=60)
    assert commits(net)[1]["confirmed-commit"] == "pending"
    assert commits(net)[1]["confirm-timeout"] == "60"
    await net.commit(one)
    assert commits(net)[1]["confirmed-commit"] == "confirmed"
    for seconds in (11, 12):
        await net.edit(timers(seconds), one)
        await net.commit(one, confirmed=True, confirm_timeout=60)
    assert commits(net)[3]["confirmed-commit"] == "pending"
    await store.cancel_commit(one)
    told = commits(net)
    assert [told[n].get("confirmed-commit") for n in range(5)] == [
        None,
        "confirmed",
        "reverted",
        "reverted",
        None,
    ]
    assert (told[4]["kind"], told[4]["restores"], told[4]["user"]) == ("revert", "1", "admin")


async def test_a_restart_leaves_the_history_as_it_was(net: Any, one: Session) -> None:
    await net.edit(timers(9), one)
    await net.commit(one, comment="kept")
    await net.edit(timers(11), one)
    await net.commit(one, confirmed=True)
    again = await Tree.open(Registration(), net.folder / "state")
    try:
        net.tree, before = again, net.tree
        told = commits(net)
        assert told[1]["comment"] == "kept"
        assert told[2]["confirmed-commit"] == "reverted"
        assert (told[3]["kind"], told[3]["restores"]) == ("revert", "1")
        assert again.running_json()["aether-bng:bng"]["timers"]["counters"] == 9
    finally:
        net.tree = before
        await again.close()


async def test_rfc_6470_tells_of_confirmed_commits(net: Any, one: Session) -> None:
    subscription = net.tree.bus.subscribe_notifications()
    await net.edit(timers(9), one)
    await net.commit(one, confirmed=True, confirm_timeout=60)
    await net.commit(one, confirmed=True, confirm_timeout=0.01)
    told = []
    while not told or told[-1].get("confirm-event") != "timeout":
        async with asyncio.timeout(30):
            notification = await anext(subscription)
        if notification.path.endswith("netconf-confirmed-commit"):
            told.append(next(iter(net.tree.notification_json(notification).values())))
    assert told[0] == {"username": "admin", "session-id": 7, "confirm-event": "start", "timeout": 60}
    assert [each["confirm-event"] for each in told] == ["start", "extend", "timeout"]


# --- the diff ------------------------------------------------------------------------------------


async def test_the_diff_of_a_commit(net: Any, one: Session) -> None:
    await net.edit(
        timers(9) + "<ash:shaping-profiles><ash:profile nc:operation='delete'><ash:name>silver</ash:name>"
        "</ash:profile><ash:profile><ash:name>new</ash:name><ash:download><ash:rate>9000</ash:rate>"
        "</ash:download><ash:upload><ash:rate>8000</ash:rate></ash:upload></ash:profile>"
        "<ash:profile><ash:name>gold</ash:name><ash:upload><ash:rate>8500</ash:rate></ash:upload>"
        "</ash:profile></ash:shaping-profiles>",
        one,
    )
    await net.commit(one)
    changes = {change["path"]: change for change in await diff(net, 1)}
    assert {path: change["operation"] for path, change in changes.items()} == {
        "/aether-bng:bng/timers/counters": "create",
        "/aether-shaping:shaping-profiles/profile[name='silver']": "delete",
        "/aether-shaping:shaping-profiles/profile[name='new']": "create",
        f"{PROFILE}/upload/rate": "replace",
    }
    rate = changes[f"{PROFILE}/upload/rate"]
    assert (rate["old"], rate["new"]) == ("10000000", "8500")
    assert "9000" in changes["/aether-shaping:shaping-profiles/profile[name='new']"]["new"]
    assert "5000000" in changes["/aether-shaping:shaping-profiles/profile[name='silver']"]["old"]
    whole = await diff(net, 0)
    assert {change["operation"] for change in whole} == {"create"}


async def test_the_diff_against_another_commit_and_running(net: Any, one: Session) -> None:
    for seconds in (7, 8, 9):
        await net.edit(timers(seconds), one)
        await net.commit(one)
    [change] = await diff(net, 3, against=1)
    assert (change["old"], change["new"]) == ("7", "9")
    [change] = await diff(net, 1, against="running")
    assert (change["old"], change["new"]) == ("9", "7")
    assert await diff(net, 3, against="running") == []
    assert (await refused(diff(net, 99))).tag == "data-missing"
    error = await refused(diff(net, 3, against=99))
    assert "commits 0 to 3 are" in error.message


async def test_the_diff_shows_what_its_reader_may_read(net: Any, one: Session) -> None:
    server = "<ab:bng><ab:aaa><ab:server><ab:name>r2</ab:name><ab:address>10.0.0.9</ab:address>"
    await net.edit(
        f"{server}<ab:secret>unspeakable</ab:secret></ab:server></ab:aaa></ab:bng>"
        "<sys:system><sys:authentication><sys:user><sys:name>new</sys:name>"
        "<sys:password>$0$unspeakable</sys:password></sys:user></sys:authentication></sys:system>",
        one,
    )
    await net.commit(one)
    await net.edit(f"{server}<ab:secret>unspeakable-too</ab:secret></ab:server></ab:aaa></ab:bng>", one)
    await net.commit(one)
    for form in ("changes", "xml"):
        mine, guests = repr(await diff(net, 1, format=form)), repr(await diff(net, 1, net.guest, format=form))
        assert "unspeakable" in mine
        assert "10.0.0.9" in guests
        assert "unspeakable" not in guests
        assert "$6$" not in guests
    assert await diff(net, 2, net.guest) == []
    assert "unspeakable-too" in repr(await diff(net, 2))


async def test_nothing_below_what_may_not_be_read_is_shown(net: Any, one: Session) -> None:
    rule = (
        "<nacm:nacm><nacm:groups><nacm:group><nacm:name>guests</nacm:name><nacm:user-name>guest"
        "</nacm:user-name></nacm:group></nacm:groups><nacm:rule-list><nacm:name>guests</nacm:name>"
        "<nacm:group>guests</nacm:group><nacm:rule><nacm:name>no</nacm:name>"
        "<nacm:path xmlns:s='urn:aether:yang:aether-shaping'>/s:shaping-profiles/s:profile[s:name='gold']"
        "</nacm:path><nacm:access-operations>read</nacm:access-operations><nacm:action>deny</nacm:action>"
        "</nacm:rule></nacm:rule-list></nacm:nacm>"
    )
    await net.edit(rule, one)
    await net.commit(one)
    rates = "".join(
        f"<ash:profile><ash:name>{name}</ash:name><ash:upload><ash:rate>8500</ash:rate></ash:upload>"
        "</ash:profile>"
        for name in ("gold", "silver")
    )
    await net.edit(f"<ash:shaping-profiles>{rates}</ash:shaping-profiles>", one)
    await net.commit(one)
    assert len(await diff(net, 2)) == 2
    [change] = await diff(net, 2, net.guest)
    assert change["path"] == "/aether-shaping:shaping-profiles/profile[name='silver']/upload/rate"
    assert "gold" not in await diff(net, 2, net.guest, format="xml")


async def test_the_diff_as_an_edit_makes_the_change(net: Any, one: Session) -> None:
    """Sent to the configuration before, it gives the one after; and back."""
    rules = "".join(
        f"<nacm:rule><nacm:name>{name}</nacm:name><nacm:path xmlns:b='urn:aether:yang:aether-bng'>/b:bng"
        f"</nacm:path><nacm:action>permit</nacm:action></nacm:rule>"
        for name in ("c", "a'b", "b")
    )
    await net.edit(
        timers(9)
        + "<ash:shaping-profiles><ash:profile nc:operation='delete'><ash:name>silver</ash:name></ash:profile>"
        "</ash:shaping-profiles><if:interfaces><if:interface><if:name>eth9</if:name>"
        "<if:type>ianaift:ethernetCsmacd</if:type></if:interface></if:interfaces>"
        "<aar:access-routers><aar:access-router><aar:name>an-1</aar:name><aar:subnet>10.8.0.0/24</aar:subnet>"
        "</aar:access-router></aar:access-routers>"
        f"<nacm:nacm><nacm:rule-list><nacm:name>admins</nacm:name>{rules}</nacm:rule-list></nacm:nacm>",
        one,
    )
    await net.commit(one)
    move = (
        "<nacm:nacm><nacm:rule-list><nacm:name>admins</nacm:name><nacm:rule yang:insert='first'>"
        "<nacm:name>b</nacm:name></nacm:rule></nacm:rule-list></nacm:nacm>"
    )
    await net.edit(move, one)
    await net.commit(one)
    documents = []
    for number in (0, 1, 2):
        await net.tree.invoke(ROLLBACK, (), {"number": number}, net.admin, one)
        documents.append(net.tree.running_json(defaults=False))
    for number, against in ((0, 2), (2, 0), (1, 0), (2, 1), (0, 1)):
        await net.tree.invoke(ROLLBACK, (), {"number": against}, net.admin, one)
        text = await diff(net, number, against=against, format="xml")
        await net.tree.datastores.edit(one, "candidate", etree.fromstring(text))
        await net.commit(one)
        assert net.tree.running_json(defaults=False) == documents[number]
    rule_names = [rule["name"] for rule in documents[2]["ietf-netconf-acm:nacm"]["rule-list"][0]["rule"]]
    assert rule_names == ["b", "all", "c", "a'b"]


async def test_a_damaged_document_has_no_diff(net: Any, one: Session) -> None:
    for seconds in (8, 9):
        await net.edit(timers(seconds), one)
        await net.commit(one)
    (net.folder / "state/config/history/0000000001.json.gz").write_bytes(b"damaged")
    assert (await refused(diff(net, 2))).tag == "data-missing"
    assert len(await diff(net, 2, against=0)) == 1


# --- rollback ------------------------------------------------------------------------------------


async def rollback(net: Any, session: Session, number: int, **given: Any) -> Any:
    return await net.tree.invoke(ROLLBACK, (), {"number": number, **given}, session.user, session)


async def test_rollback_is_a_commit_like_any_other(net: Any, one: Session) -> None:
    for seconds in (7, 9):
        await net.edit(timers(seconds), one)
        await net.commit(one)
    net.handler.calls.clear()
    assert await rollback(net, one, 1, comment="as on Monday") == {"number": 3}
    assert net.tree.running_json()["aether-bng:bng"]["timers"]["counters"] == 7
    assert [name for name, _ in net.handler.calls] == ["prepare", "commit"]
    newest = commits(net)[3]
    assert (newest["kind"], newest["restores"], newest["comment"]) == ("rollback", "1", "as on Monday")
    assert not net.tree.datastores.is_dirty()
    assert await rollback(net, one, 1) is None, "running has it already"
    assert (await refused(rollback(net, one, 99))).tag == "data-missing"


async def test_what_keeps_a_rollback_from_happening(net: Any, one: Session) -> None:
    await net.edit(timers(9), one)
    await net.commit(one)
    two = Session(8, net.admin)
    store = net.tree.datastores
    await store.lock(two, "running")
    assert (await refused(rollback(net, one, 0))).tag == "in-use"
    await store.unlock(two, "running")
    await net.edit(timers(10), two)
    error = await refused(rollback(net, one, 0))
    assert "discard" in error.message
    await store.discard(two)
    net.handler.refuse = OperationError("resource-denied", "no", path="/aether-bng:bng/timers/counters")
    error = await refused(rollback(net, one, 0))
    assert (error.tag, error.path) == ("resource-denied", "/aether-bng:bng/timers/counters")
    net.handler.refuse = None
    error = await refused(rollback(net, Session(9, net.guest), 0))
    assert (error.tag, error.path) == ("access-denied", "/aether-bng:bng/timers/counters")
    await net.edit(timers(10), two)
    await net.commit(two, confirmed=True)
    assert (await refused(rollback(net, one, 0))).tag == "in-use"
    assert net.tree.running_json()["aether-bng:bng"]["timers"]["counters"] == 10


async def test_a_rollback_can_be_confirmed(net: Any, one: Session) -> None:
    await net.edit(timers(9), one)
    await net.commit(one)
    error = await refused(rollback(net, one, 0, persist="token"))
    assert (error.tag, error.info) == ("invalid-value", {"bad-element": "persist"})
    await rollback(net, one, 0, confirmed=[None], **{"confirm-timeout": 60, "persist": "token"})
    assert net.tree.running_json()["aether-bng:bng"]["timers"]["counters"] == 5
    assert commits(net)[2]["confirmed-commit"] == "pending"
    await net.tree.datastores.cancel_commit(one, "token")
    assert net.tree.running_json()["aether-bng:bng"]["timers"]["counters"] == 9
    assert commits(net)[3]["kind"] == "revert"
