"""YANG-Push (RFC 8641) on change, from a fake element, judged by libyang."""

import time

from tests.unit.nbi.subscribing import (
    ALL,
    NO_SYNC,
    PROFILES,
    SESSIONS,
    SHAPING,
    SN,
    SUBSCRIBER,
    YP,
    by_xpath,
    established,
    name,
    on,
    on_change,
    periodic,
    problem,
    session,
)
from yang.access import User
from yang.datastore.model import PathOperation
from yang.path import DataPath


async def test_sessions_come_change_and_go(subscriber):
    one = await subscriber(sessions=3)
    await established(one.client, on("operational", SESSIONS, on_change()))
    first = await one.event()
    assert name(first) == "push-update"
    assert len(first.findall(".//{*}session")) == 3
    assert first.find(".//{*}in-octets") is None, "counters are left out"
    sessions = one.served.element.sessions
    reads = sessions.reads

    new = type(sessions.by_id[session(0)])
    old = sessions.by_id[session(1)]
    changed = new(**{field: getattr(old, field) for field in new.__slots__})
    changed.status, changed.profile = "idle", None
    sessions.by_id[session(1)] = changed
    one.served.element.touch(session(1))
    path = f"/aether-subscriber:sessions/session={session(1)}"
    [status, profile] = await one.edits()
    assert status[:2] == ("replace", f"{path}/status")
    assert (status[2].tag, status[2].text) == (f"{{{SUBSCRIBER}}}status", "idle")
    assert profile == ("delete", f"{path}/profile", None)

    del sessions.by_id[session(0)]
    one.served.element.touch(session(0))
    assert await one.edits() == [("delete", f"/aether-subscriber:sessions/session={session(0)}", None)]

    created = new(**{field: getattr(old, field) for field in new.__slots__})
    created.id, created.username = session(7), "a<b&c"
    sessions.by_id[session(7)] = created
    one.served.element.touch(session(7))
    [(operation, target, value)] = await one.edits()
    assert (operation, target) == ("create", f"/aether-subscriber:sessions/session={session(7)}")
    assert value.tag == f"{{{SUBSCRIBER}}}session"
    assert value.findtext("{*}username") == "a<b&c"
    assert value.findtext("{*}access-line/{*}remote-id") == "an-0000"
    assert one.patches == [1, 2, 3]
    assert sessions.reads == reads, "only what changed has been read"
    await one.quiet()


async def test_one_session_among_ten_thousand_costs_one_read(subscriber):
    one = await subscriber(sessions=10_000)
    await established(one.client, on("operational", SESSIONS, on_change(NO_SYNC)))
    sessions = one.served.element.sessions
    reads = sessions.reads
    for number in range(20):
        del sessions.by_id[session(number)]
        one.served.element.touch(session(number))
        [(operation, _, _)] = await one.edits()
        assert operation == "delete"
    assert sessions.reads == reads


async def test_a_filter_on_values_lets_entries_come_and_go(subscriber):
    one = await subscriber(sessions=10)
    xpath = f"{ALL}[aether-subscriber:status='idle']/aether-subscriber:username"
    await established(
        one.client,
        on(
            "operational",
            "",
            by_xpath(xpath) + on_change(NO_SYNC),
        ),
    )
    sessions = one.served.element.sessions
    for number, status in ((0, "active"), (3, "idle"), (4, "active")):
        sessions.by_id[session(number)].status = status
        one.served.element.touch(session(number))
    edits = []
    while len(edits) < 2:
        edits += [(edit[0], edit[1][-1]) for edit in await one.edits()]
    assert sorted(edits) == [("create", "3"), ("delete", "0")]


async def test_configuration(subscriber):
    one = await subscriber()
    await established(one.client, on("running", PROFILES, on_change(NO_SYNC)))
    rate = "<rate>1000000</rate>"
    silver = f"<name>silver</name><download>{rate}</download><upload>{rate}</upload>"
    gold = "<name>gold</name><upload><rate>30000000</rate></upload>"
    profiles = f"<shaping-profiles xmlns='{SHAPING}'>%s</shaping-profiles>"
    await one.commit(profiles % f"<profile>{silver}</profile><profile>{gold}</profile>")
    path = "/aether-shaping:shaping-profiles/profile="
    edits = {edit[:2]: edit[2] for edit in await one.edits()}
    assert edits.keys() == {("replace", f"{path}gold/upload/rate"), ("create", f"{path}silver")}
    created = edits["create", f"{path}silver"]
    assert created.findtext("{*}name") == "silver"
    assert created.findtext("{*}download/{*}rate") == "1000000"
    await one.commit(profiles % "<profile nc:operation='delete'><name>silver</name></profile>")
    assert await one.edits() == [("delete", f"{path}silver", None)]
    filter = "<stream-filter><name>x</name><stream-xpath-filter>/x</stream-xpath-filter></stream-filter>"
    await one.commit(f"<filters xmlns='{SN}'>{filter}</filters>")
    await one.quiet()


async def test_what_the_user_orders(subscriber):
    one = await subscriber()
    nacm = "urn:ietf:params:xml:ns:yang:ietf-netconf-acm"
    filter = f"<nacm xmlns='{nacm}'><rule-list/></nacm>"
    await established(one.client, on("running", filter, on_change(NO_SYNC)))
    path = "/ietf-netconf-acm:nacm/rule-list"

    def lists(inner: str) -> str:
        return f"<nacm xmlns='{nacm}' xmlns:yang='urn:ietf:params:xml:ns:yang:1'>{inner}</nacm>"

    await one.commit(
        lists("<rule-list yang:insert='first'><name>a/b, c</name><group>administrators</group>"
              "<rule><name>all</name><module-name>*</module-name><action>permit</action></rule></rule-list>")
    )  # fmt: skip
    edits = await one.edits()
    assert [edit[:2] for edit in edits] == [
        ("insert", f"{path}=a%2Fb%2C%20c"),
        ("insert", f"{path}=a%2Fb%2C%20c/rule=all"),
    ]
    await one.commit(lists("<rule-list yang:insert='last'><name>a/b, c</name></rule-list>"))
    assert [edit[:2] for edit in await one.edits()] == [
        ("move", f"{path}=administrators"),
        ("move", f"{path}=viewers"),
    ]


async def test_dampening_joins_changes(subscriber):
    one = await subscriber(sessions=10)
    dampened = on_change(f"<yp:dampening-period>30</yp:dampening-period>{NO_SYNC}")
    await established(one.client, on("operational", SESSIONS, dampened))
    sessions = one.served.element.sessions
    began = time.monotonic()
    del sessions.by_id[session(0)]
    one.served.element.touch(session(0))
    assert len(await one.edits()) == 1
    for number in range(1, 6):
        del sessions.by_id[session(number)]
        one.served.element.touch(session(number))
        await one.client.ok("<discard-changes/>")
    assert len(await one.edits()) == 5
    assert time.monotonic() - began > 0.3


async def test_excluded_changes(subscriber):
    one = await subscriber(sessions=3)
    excluded = "".join(f"<yp:excluded-change>{op}</yp:excluded-change>" for op in ("replace", "create"))
    await established(one.client, on("operational", SESSIONS, on_change(NO_SYNC + excluded)))
    sessions = one.served.element.sessions
    sessions.by_id[session(1)].status = "idle"
    one.served.element.touch(session(1))
    await one.quiet()
    del sessions.by_id[session(1)]
    one.served.element.touch(session(1))
    assert [edit[0] for edit in await one.edits()] == ["delete"]


async def test_resync(subscriber):
    one = await subscriber(sessions=3)
    identifier = await established(one.client, on("operational", SESSIONS, on_change(NO_SYNC)))
    resync = f"<resync-subscription xmlns='{YP}'><id>%s</id></resync-subscription>"
    await one.client.ok(resync % identifier)
    event = await one.event()
    assert (name(event), len(event.findall(".//{*}session"))) == ("push-update", 3)
    assert problem(await one.client.error(resync % 7))[1:] == (
        "ietf-yang-push:no-such-subscription-resync",
        "resync-subscription-error",
        "ietf-yang-push:no-such-subscription-resync",
    )
    other = await established(one.client, on("operational", SESSIONS, periodic(3000)))
    assert problem(await one.client.error(resync % other))[0::3] == (
        "operation-not-supported",
        "ietf-yang-push:on-change-sync-unsupported",
    )


async def test_a_changed_rule_takes_away_what_may_not_be_seen(subscriber):
    one = await subscriber(sessions=3, user="viewer")
    await established(one.client, on("operational", SESSIONS, on_change(NO_SYNC)))
    tree = one.served.element.tree
    running = tree.running_json(defaults=False)
    rules = running["ietf-netconf-acm:nacm"]["rule-list"]
    rule = {
        "name": "no-mac",
        "path": "/aether-subscriber:sessions/session/mac-address",
        "access-operations": "read",
        "action": "deny",
    }
    rules[1]["rule"].append(rule)
    await tree.transaction(
        User("", recovery=True),
        "test",
        [PathOperation("replace", DataPath.parse("/ietf-netconf-acm:nacm/rule-list"), rules)],
    )
    edits = await one.edits()
    assert [edit[0] for edit in edits] == ["delete"] * 3
    assert all(edit[1].endswith("/mac-address") for edit in edits)
