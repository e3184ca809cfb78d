"""YANG-Push (RFC 8641): periodic, and what all its subscriptions have in common; judged by libyang."""

import asyncio
import time

import pytest
from lxml import etree

from nbi.subscriptions import event_time, push
from tests.support.waiting import until
from tests.unit.nbi.subscribing import (
    ALL,
    DS,
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
from yang.xpath import engine

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
    at = time.time_ns() + 300_000_000
    anchor = f"<yp:anchor-time>{event_time(at + 3_000_000_000)}</yp:anchor-time>"
    await established(one.client, on("operational", PROFILES, periodic(100, anchor)))
    assert (await one.event()).find(f"{{{YP}}}datastore-contents")[0] is not None
    assert at <= time.time_ns() < at + 2_900_000_000, "not at the anchor only"


async def test_xpath_and_stop_time(subscriber):
    one = await subscriber()
    xpath = f"{ALL}[aether-subscriber:id='{session(4)}']/aether-subscriber:username"
    stop = f"<stop-time>{event_time(time.time_ns() + 1_000_000_000)}</stop-time>"
    operation = on(
        "operational",
        "",
        f"<yp:datastore-xpath-filter>{xpath}</yp:datastore-xpath-filter>{periodic(100)}{stop}",
    )
    await established(one.client, operation)
    contents = (await one.event()).find(f"{{{YP}}}datastore-contents")
    assert [e.text for e in contents.iter(f"{{{SUBSCRIBER}}}username")] == ["bng-01/an-0000/1/0/4"]
    await until(lambda: not one.served.server.subscriptions.subscriptions)


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
    await until(lambda: served.sent)
    await asyncio.sleep(0.2)
    assert served.sent == 1, "the client has not read the first one"
    for _ in range(2):
        await one.event()
    assert served.skipped > 10


# --- subscriptions ------------------------------------------------------------------------------


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
