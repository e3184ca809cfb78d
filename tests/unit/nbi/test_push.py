"""YANG-Push (RFC 8641): periodic and on-change, from a fake element, judged by libyang."""

import asyncio
import time
from collections.abc import Callable

import pytest
from _libyang import ffi, lib
from lxml import etree

from nbi.server import MODULES_DIR
from nbi.subscriptions import event_time, push
from tests.unit.nbi.subscribing import (
    ALL,
    DS,
    NC,
    NO_SYNC,
    PROFILES,
    SESSIONS,
    SHAPING,
    SN,
    SUBSCRIBER,
    YP,
    by_xpath,
    establish,
    established,
    modify,
    name,
    on,
    on_change,
    periodic,
    problem,
    session,
)
from yang.access import User
from yang.datastore.context import load_context
from yang.datastore.model import PathOperation
from yang.path import DataPath
from yang.xpath import engine


@pytest.fixture(scope="session")
def judge() -> Callable[[etree._Element], None]:
    """Whether libyang takes a notification message."""
    context = load_context([MODULES_DIR])

    def check(message: etree._Element) -> None:
        data = etree.tostring(message) + b"\0"
        source, tree, op = (
            ffi.new("struct ly_in **"),
            ffi.new("struct lyd_node **"),
            ffi.new("struct lyd_node **"),
        )
        text = ffi.new("char[]", data)
        assert lib.ly_in_new_memory(text, source) == lib.LY_SUCCESS
        status = lib.lyd_parse_op(
            context.cdata, ffi.NULL, source[0], lib.LYD_XML, lib.LYD_TYPE_NOTIF_NETCONF, tree, op
        )
        lib.ly_in_free(source[0], 0)
        assert status == lib.LY_SUCCESS, (data.decode(), str(context.error("refused")))
        lib.lyd_free_all(tree[0])
        lib.lyd_free_all(op[0])

    return check


class Subscriber:
    """A client that checks every notification."""

    def __init__(self, served, client, judge) -> None:
        self.served = served
        self.client = client
        self._judge = judge
        self.patches: list[int] = []

    async def event(self) -> etree._Element:
        message = await self.client.notification()
        self._judge(message)
        return message[1]

    async def edits(self) -> list[tuple[str, str, etree._Element | None]]:
        """Operation, target and value of each edit of the next patch."""
        event = await self.event()
        assert name(event) == "push-change-update", etree.tostring(event).decode()
        self.patches.append(int(event.findtext(".//{*}patch-id")))
        found = []
        for number, edit in enumerate(event.iter(f"{{{YP}}}edit"), 1):
            assert edit.findtext("{*}edit-id") == str(number)
            value = edit.find("{*}value")
            assert value is None or len(value) == 1
            found.append(
                (
                    edit.findtext("{*}operation"),
                    edit.findtext("{*}target"),
                    None if value is None else value[0],
                )
            )
        return found

    async def quiet(self) -> None:
        """Nothing is on its way."""
        for _ in range(3):
            await self.client.ok("<discard-changes/>")
        assert not self.client.notifications, etree.tostring(self.client.notifications[0]).decode()

    async def commit(self, config: str) -> None:
        config = f"<config xmlns:nc='{NC}'>{config}</config>"
        await self.client.ok(f"<edit-config><target><candidate/></target>{config}</edit-config>")
        await self.client.ok("<commit/>")


@pytest.fixture
def subscriber(serve, judge):
    async def start(**options) -> Subscriber:
        served = await serve(**{"min_period": 1, **options})
        return Subscriber(served, await served.client(), judge)

    return start


# --- periodic ------------------------------------------------------------------------------------


async def test_periodic(subscriber):
    one = await subscriber(sessions=3)
    identifier = await established(one.client, on("operational", SESSIONS, periodic(2)))
    for _ in range(2):
        event = await one.event()
        assert name(event) == "push-update"
        assert event.findtext("{*}id") == str(identifier)
        contents = event.find(f"{{{YP}}}datastore-contents")
        assert [e.text for e in contents.iterfind("{*}sessions/{*}session/{*}id")] == [
            session(n) for n in range(3)
        ]
        assert contents.find(".//{*}in-octets") is not None


async def test_periodic_of_running_holds_configuration_only(subscriber):
    one = await subscriber()
    await established(one.client, on("running", "", periodic(100)))
    contents = (await one.event()).find(f"{{{YP}}}datastore-contents")
    assert contents.find(f"{{{SHAPING}}}shaping-profiles") is not None
    assert contents.find(f"{{{SUBSCRIBER}}}sessions") is None


async def test_an_anchor_says_when(subscriber):
    one = await subscriber()
    at = time.time_ns() + 150_000_000
    anchor = f"<yp:anchor-time>{event_time(at + 3_000_000_000)}</yp:anchor-time>"
    await established(one.client, on("operational", PROFILES, periodic(100, anchor)))
    assert (await one.event()).find(f"{{{YP}}}datastore-contents")[0] is not None
    assert at <= time.time_ns() < at + 900_000_000


async def test_xpath_and_stop_time(subscriber):
    one = await subscriber()
    xpath = f"{ALL}[aether-subscriber:id='{session(4)}']/aether-subscriber:username"
    stop = f"<stop-time>{event_time(time.time_ns() + 30_000_000)}</stop-time>"
    operation = on(
        "operational",
        "",
        f"<yp:datastore-xpath-filter>{xpath}</yp:datastore-xpath-filter>{periodic(100)}{stop}",
    )
    await established(one.client, operation)
    contents = (await one.event()).find(f"{{{YP}}}datastore-contents")
    assert [e.text for e in contents.iter(f"{{{SUBSCRIBER}}}username")] == ["bng-01/an-0000/1/0/4"]
    async with asyncio.timeout(5):
        while one.served.server.subscriptions.subscriptions:
            await asyncio.sleep(0.01)


async def test_any_xpath(subscriber):
    one = await subscriber()
    await established(
        one.client,
        on("operational", "", by_xpath(f"{ALL}[position() = 3]/aether-subscriber:id") + periodic(100)),
    )
    contents = (await one.event()).find(f"{{{YP}}}datastore-contents")
    assert [e.text for e in contents.iter(f"{{{SUBSCRIBER}}}id")] == [session(2)]


async def test_an_xpath_that_looks_at_too_much_suspends(subscriber, monkeypatch):
    one = await subscriber()
    await established(one.client, on("operational", "", by_xpath("//*[position() = 1]") + periodic(1)))
    assert name(await one.event()) == "push-update"
    with monkeypatch.context() as small:
        small.setattr(engine, "MAX_STEPS", 10)
        while name(event := await one.event()) == "push-update":
            pass
        assert (name(event), event.findtext("{*}reason").split(":")[1]) == (
            "subscription-suspended",
            "update-too-big",
        )
        reply = await one.client.rpc(f"<get><filter><subscriptions xmlns='{SN}'/></filter></get>")
        assert reply.findtext(".//{*}receiver/{*}state") == "suspended"
    assert name(await one.event()) == "subscription-resumed"
    assert name(await one.event()) == "push-update"


async def test_an_xpath_that_stays_too_much_ends_it(subscriber, monkeypatch):
    monkeypatch.setattr(push, "PATIENCE", 0.02)
    one = await subscriber()
    await established(one.client, on("operational", "", by_xpath("//*[position() = 1]") + periodic(1)))
    monkeypatch.setattr(engine, "MAX_STEPS", 10)
    while name(event := await one.event()) != "subscription-terminated":
        pass
    assert event.findtext("{*}reason").split(":")[1] == "suspension-timeout"


async def test_nacm_filters_updates(subscriber):
    one = await subscriber()
    await established(one.client, on("running", "<bng xmlns='urn:aether:yang:aether-bng'/>", periodic(100)))
    contents = (await one.event()).find(f"{{{YP}}}datastore-contents")
    assert contents.find(".//{*}server/{*}name").text == "radius-1"
    assert contents.find(".//{*}secret") is None


async def test_updates_that_a_client_does_not_read_are_left_out(subscriber):
    one = await subscriber(sessions=2000)
    identifier = await established(one.client, on("operational", SESSIONS, periodic(1)))
    served = one.served.server.subscriptions.subscriptions[identifier].served
    await asyncio.sleep(0.2)
    assert served.sent == 1, "the client has not read the first one"
    for _ in range(2):
        await one.event()
    assert served.skipped > 10


# --- on-change -----------------------------------------------------------------------------------


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
        began = time.perf_counter()
        one.served.element.touch(session(number))
        [(operation, _, _)] = await one.edits()
        assert operation == "delete"
        assert time.perf_counter() - began < 0.25
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
    dampened = on_change(f"<yp:dampening-period>15</yp:dampening-period>{NO_SYNC}")
    await established(one.client, on("operational", SESSIONS, dampened))
    sessions = one.served.element.sessions
    del sessions.by_id[session(0)]
    one.served.element.touch(session(0))
    assert len(await one.edits()) == 1
    began = time.monotonic()
    for number in range(1, 6):
        del sessions.by_id[session(number)]
        one.served.element.touch(session(number))
        await asyncio.sleep(0.01)
    assert len(await one.edits()) == 5
    assert time.monotonic() - began > 0.1


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


async def test_modify(subscriber):
    one = await subscriber(sessions=3)
    identifier = await established(one.client, on("operational", SESSIONS, on_change(NO_SYNC)))
    only = f"<sessions xmlns='{SUBSCRIBER}'><session><id>{session(1)}</id></session></sessions>"
    datastore = f"<yp:datastore xmlns:ds='{DS}'>ds:operational</yp:datastore>"
    filter = f"<yp:datastore-subtree-filter>{only}</yp:datastore-subtree-filter>"
    await one.client.ok(modify(identifier, datastore + filter))
    event = await one.event()
    assert name(event) == "subscription-modified"
    assert event.findtext("{*}on-change/{*}sync-on-start") == "false"
    assert event.find("{*}datastore-subtree-filter/{*}sessions") is not None
    sessions = one.served.element.sessions
    for number in range(3):
        del sessions.by_id[session(number)]
        one.served.element.touch(session(number))
    assert [edit[1][-1] for edit in await one.edits()] == ["1"]
    assert await one.client.error_tag(modify(identifier, periodic(100))) == "invalid-value"
    await one.client.ok(modify(identifier, on_change("<yp:dampening-period>100</yp:dampening-period>")))
    assert (await one.event()).findtext("{*}on-change/{*}dampening-period") == "100"


async def test_modify_the_period(subscriber):
    one = await subscriber(sessions=3)
    identifier = await established(one.client, on("operational", SESSIONS, periodic(360000)))
    assert name(await one.event()) == "push-update"
    await one.client.ok(modify(identifier, periodic(2)))
    assert [name(await one.event()) for _ in range(3)] == [
        "subscription-modified",
        "push-update",
        "push-update",
    ]


async def test_too_much_at_the_start(subscriber):
    one = await subscriber(sessions=100, max_on_change_leaves=200)
    assert problem(await one.client.error(on("operational", SESSIONS, on_change()))) == (
        "too-big",
        "ietf-yang-push:sync-too-big",
        "establish-subscription-datastore-error-info",
        "ietf-yang-push:sync-too-big",
    )
    await established(one.client, on("operational", PROFILES, on_change()))
    error = await one.client.error(on("operational", SESSIONS, on_change()))
    assert problem(error)[:2] == ("resource-denied", "ietf-subscribed-notifications:insufficient-resources")


async def test_too_much_later(subscriber, monkeypatch):
    monkeypatch.setattr(push, "RETRY", 0.05)
    one = await subscriber(sessions=10, max_on_change_leaves=200)
    await established(one.client, on("operational", SESSIONS, on_change(NO_SYNC)))
    sessions = one.served.element.sessions
    example = sessions.by_id[session(0)]
    new = type(example)
    for number in range(100, 120):
        created = new(**{field: getattr(example, field) for field in new.__slots__})
        created.id = session(number)
        sessions.by_id[created.id] = created
        one.served.element.touch(created.id)
    event = await one.event()
    assert name(event) == "push-change-update"
    assert event.find(f"{{{YP}}}incomplete-update") is not None
    event = await one.event()
    assert (name(event), event.findtext("{*}reason").split(":")[1]) == (
        "subscription-suspended",
        "update-too-big",
    )
    reply = await one.client.rpc(f"<get><filter><subscriptions xmlns='{SN}'/></filter></get>")
    assert reply.findtext(".//{*}receiver/{*}state") == "suspended"
    for number in range(100, 120):
        del sessions.by_id[session(number)]
    assert name(await one.event()) == "subscription-resumed"
    assert len((await one.event()).findall(".//{*}session")) == 10
    sessions.by_id[session(1)].status = "idle"
    one.served.element.touch(session(1))
    assert [edit[0] for edit in await one.edits()] == ["replace"]


async def test_everything_that_can_be_observed(subscriber):
    one = await subscriber(sessions=3)
    identifier = await established(one.client, on("operational", "", on_change()))
    event = await one.event()
    assert {etree.QName(top).localname for top in event.find(f"{{{YP}}}datastore-contents")} >= {
        "bng",
        "sessions",
        "shaping-profiles",
        "netconf-state",
    }
    assert event.find(".//{*}event") is None
    assert one.served.server.subscriptions.subscriptions[identifier].leaves > 100


async def test_state_of_a_push_subscription(subscriber):
    one = await subscriber(sessions=3)
    await established(one.client, on("operational", SESSIONS, periodic(3000)))
    await one.event()
    reply = await one.client.rpc(f"<get><filter><subscriptions xmlns='{SN}'/></filter></get>")
    found = reply.find(f".//{{{SN}}}subscription")
    assert found.findtext("{*}datastore").endswith(":operational")
    assert found.findtext("{*}periodic/{*}period") == "3000"
    assert found.find("{*}datastore-subtree-filter/{*}sessions") is not None
    assert found.findtext(".//{*}sent-event-records") == "1"


LOG = "<events xmlns='urn:aether:yang:aether-events'><event/></events>"
COUNTERS = SESSIONS.replace("<session/>", "<session><counters><in-octets/></counters></session>")


@pytest.mark.parametrize(
    ("operation", "tag", "identity"),
    [
        (on("candidate", "", periodic(100)), "invalid-value", "datastore-not-subscribable"),
        (on("operational", "", periodic(0)), "invalid-value", "period-unsupported"),
        (on("operational", "<x xmlns='urn:x'/>", periodic(9)), "operation-failed", "unchanging-selection"),
        (on("operational", LOG, on_change()), "operation-not-supported", "on-change-unsupported"),
        (on("operational", COUNTERS, on_change()), "operation-not-supported", "on-change-unsupported"),
    ],
)
async def test_what_cannot_be_pushed(subscriber, operation, tag, identity):
    one = await subscriber(sessions=1)
    structure = "establish-subscription-datastore-error-info"
    identity = f"ietf-yang-push:{identity}"
    assert problem(await one.client.error(operation)) == (tag, identity, structure, identity)


async def test_any_xpath_when_something_cannot_be_done(subscriber):
    one = await subscriber(sessions=1)
    structure = "establish-subscription-datastore-error-info"
    for inner, tag, identity in (
        ("//*[position() = 1]", "operation-not-supported", "ietf-yang-push:on-change-unsupported"),
        ("count(//*)", "invalid-value", "ietf-subscribed-notifications:filter-unsupported"),
    ):
        trigger = on_change() if tag == "operation-not-supported" else periodic(100)
        error = await one.client.error(on("operational", "", by_xpath(inner) + trigger))
        assert problem(error) == (tag, identity, structure, identity)
    shown = f"<get><filter type='xpath' xmlns:sn='{SN}' select=\"//sn:subscription[position() = 1]\"/></get>"
    filter = f"<s:sessions xmlns:s='{SUBSCRIBER}'><s:session/></s:sessions>"
    await established(one.client, on("operational", filter, periodic(60000)))
    reply = await one.client.rpc(shown)
    content = reply.find(f".//{{{YP}}}datastore-subtree-filter")
    assert content.find(f"{{{SUBSCRIBER}}}sessions/{{{SUBSCRIBER}}}session") is not None


async def test_mistakes(subscriber):
    one = await subscriber(sessions=1)
    both = periodic(100) + on_change()
    replay = "<replay-start-time>2020-01-01T00:00:00Z</replay-start-time>"
    nobody = "<yp:selection-filter-ref>nobody</yp:selection-filter-ref>"
    for operation, tag in (
        (on("operational", "", ""), "missing-element"),
        (on("operational", "", both), "bad-element"),
        (establish(periodic(100)), "missing-element"),
        (on("operational", "", "<yp:periodic/>"), "missing-element"),
        (on("operational", "", periodic(100, "<yp:anchor-time>soon</yp:anchor-time>")), "invalid-value"),
        (on("operational", "", periodic(99999999999)), "invalid-value"),
        (on("operational", "", on_change("<yp:sync-on-start>perhaps</yp:sync-on-start>")), "invalid-value"),
        (on("operational", "", on_change("<yp:excluded-change>merge</yp:excluded-change>")), "invalid-value"),
        (on("operational", "", on_change("<yp:what/>")), "unknown-element"),
        (on("operational", "", periodic(100) + replay), "bad-element"),
        (on("operational", "", by_xpath("/x[") + periodic(100)), "invalid-value"),
        (on("operational", "", nobody + periodic(100)), "invalid-value"),
        (on("operational", "<x>" + "y" * 70000 + "</x>", periodic(100)), "invalid-value"),
    ):
        assert await one.client.error_tag(operation) == tag, operation[:300]


async def test_a_client_that_leaves_in_the_middle(subscriber):
    one = await subscriber(sessions=2000)
    await established(one.client, on("operational", SESSIONS, periodic(1)))
    await established(one.client, on("operational", SESSIONS, on_change()))
    await asyncio.sleep(0.05)
    one.client.close()
    await one.served.ended(one.client.session_id)
    tree = one.served.element.tree
    assert not one.served.server.subscriptions.subscriptions
    assert {path for watch in tree.bus._watches for path in watch._paths} == {
        "/ietf-subscribed-notifications:filters"
    }
