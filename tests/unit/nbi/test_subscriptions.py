"""Notifications: live, replayed, filtered, complete."""

import asyncio
import time

from lxml import etree

from nbi.subscriptions import event_time
from nbi.subscriptions import events as subscriptions

NOTIFICATION = "urn:ietf:params:xml:ns:netconf:notification:1.0"
SUBSCRIBER = "urn:aether:yang:aether-subscriber"
START = 1_790_000_000_000_000_000
HISTORY = 200


def subscribe(inner: str = "") -> str:
    return f"<create-subscription xmlns='{NOTIFICATION}'>{inner}</create-subscription>"


def start_time(event: int) -> str:
    return f"<startTime>{event_time(START + (event - 1) * 1_000_000_000)}</startTime>"


def describe(notification: etree._Element) -> str:
    """Name and number of the event."""
    content = notification[1]
    return f"{etree.QName(content).localname} {content.findtext('{*}seq') or ''}".strip()


def end_session(served, number: int) -> None:
    element = served.element
    element.end(element.sessions.by_id[f"{number:016x}"], None)


async def test_live(serve):
    served = await serve()
    client = await served.client()
    await client.ok(subscribe())
    end_session(served, 1)
    notification = await client.notification()
    assert notification[0].tag == f"{{{NOTIFICATION}}}eventTime"
    assert notification[0].text == event_time(served.element.journal.times[-1])
    assert notification[1].tag == f"{{{SUBSCRIBER}}}session-stop"
    assert notification[1].findtext(f"{{{SUBSCRIBER}}}seq") == str(HISTORY + 1)


async def test_interleave(serve):
    served = await serve()
    client = await served.client()
    await client.ok(subscribe())
    end_session(served, 1)
    await client.ok("<discard-changes/>")
    end_session(served, 2)
    await client.ok("<discard-changes/>")
    assert [describe(await client.notification()) for _ in range(2)] == [
        "session-stop 201",
        "session-stop 202",
    ]


async def test_replay_from_a_time_then_live(serve):
    served = await serve()
    client = await served.client()
    await client.ok(subscribe(start_time(190)))
    received = [describe(await client.notification()) for _ in range(12)]
    assert received == [f"session-start {n}" for n in range(190, 201)] + ["replayComplete"]
    end_session(served, 1)
    assert describe(await client.notification()) == "session-stop 201"


async def test_replay_to_a_time_is_complete(serve):
    client = await (await serve()).client()
    stop = start_time(12).replace("startTime", "stopTime")
    await client.ok(subscribe(start_time(10) + stop))
    received = [describe(await client.notification()) for _ in range(5)]
    assert received == [
        "session-start 10",
        "session-start 11",
        "session-start 12",
        "replayComplete",
        "notificationComplete",
    ]
    await client.ok(subscribe())


async def test_a_stop_time_in_the_future_ends_the_subscription(serve):
    served = await serve()
    client = await served.client()
    stop = f"<stopTime>{event_time(time.time_ns() + 200_000_000)}</stopTime>"
    await client.ok(subscribe(start_time(201) + stop))
    assert describe(await client.notification()) == "replayComplete"
    end_session(served, 1)
    assert describe(await client.notification()) == "session-stop 201"
    assert describe(await client.notification()) == "notificationComplete"


async def test_replay_of_more_than_is_kept_begins_with_the_oldest(serve):
    client = await (await serve()).client()
    await client.ok(subscribe("<startTime>1999-12-31T23:59:59+01:00</startTime>"))
    assert describe(await client.notification()) == "session-start 1"


async def test_events_during_a_replay_come_once(serve, monkeypatch):
    monkeypatch.setattr(subscriptions, "REPLAY_BATCH", 7)
    served = await serve(100)
    client = await served.client()
    await client.ok(subscribe(start_time(1)))
    for number in range(50):
        end_session(served, number)
        await asyncio.sleep(0)
    received = [describe(await client.notification()) for _ in range(251)]
    received.remove("replayComplete")
    assert [int(text.split()[1]) for text in received] == list(range(1, 251))


async def test_a_subscriber_that_was_too_slow_catches_up_from_the_journal(serve, monkeypatch):
    monkeypatch.setattr(subscriptions, "LIVE_LIMIT", 5)
    served = await serve(100)
    client = await served.client()
    await client.ok(subscribe())
    # Published without a pause: the subscriber has no chance to read in between.
    for number in range(80):
        end_session(served, number)
    received = [describe(await client.notification()) for _ in range(80)]
    assert received == [f"session-stop {n}" for n in range(201, 281)]


async def test_filters(serve):
    served = await serve()
    subtree, xpath = await served.client(), await served.client()
    wanted = f"<session-id>{4:016x}</session-id>"
    await subtree.ok(
        subscribe(f"<filter><session-stop xmlns='{SUBSCRIBER}'>{wanted}</session-stop></filter>")
    )
    expression = f"/s:session-stop[s:session-id='{5:016x}']"
    await xpath.ok(subscribe(f"<filter type='xpath' xmlns:s='{SUBSCRIBER}' select=\"{expression}\"/>"))
    for number in range(3, 7):
        end_session(served, number)
    assert describe(await subtree.notification()) == "session-stop 202"
    assert describe(await xpath.notification()) == "session-stop 203"


async def test_one_subscription_at_a_time(serve):
    client = await (await serve()).client()
    await client.ok(subscribe())
    assert await client.error_tag(subscribe()) == "in-use"


async def test_mistakes(serve):
    client = await (await serve()).client()
    for inner, tag in (
        ("<stream>OTHER</stream>", "invalid-value"),
        ("<startTime>2999-01-01T00:00:00Z</startTime>", "bad-element"),
        ("<startTime>yesterday</startTime>", "bad-element"),
        ("<startTime>2026-13-01T00:00:00Z</startTime>", "bad-element"),
        ("<stopTime>2026-01-01T00:00:00Z</stopTime>", "missing-element"),
        (start_time(2) + start_time(1).replace("startTime", "stopTime"), "bad-element"),
        ("<filter type='xpath' select='/x['/>", "invalid-value"),
        ("<filter type='xpath' select='/x:y'/>", "invalid-value"),
        ("<what/>", "unknown-element"),
    ):
        assert await client.error_tag(subscribe(inner)) == tag, inner


async def test_sessions_are_announced(serve):
    served = await serve()
    client = await served.client()
    await client.ok(subscribe())
    other = await served.client()
    start = (await client.notification())[1]
    assert etree.QName(start).localname == "netconf-session-start"
    assert start.findtext("{*}session-id") == str(other.session_id)
    await client.ok(f"<kill-session><session-id>{other.session_id}</session-id></kill-session>")
    end = (await client.notification())[1]
    assert etree.QName(end).localname == "netconf-session-end"
    assert end.findtext("{*}killed-by") == str(client.session_id)
    assert end.findtext("{*}termination-reason") == "killed"


async def test_the_stream_is_listed(serve):
    client = await (await serve()).client()
    reply = await client.rpc(
        "<get><filter><netconf xmlns='urn:ietf:params:xml:ns:netmod:notification'><streams/></netconf>"
        "</filter></get>"
    )
    assert reply.findtext(".//{*}stream/{*}name") == "NETCONF"
    assert reply.findtext(".//{*}replaySupport") == "true"
    assert reply.findtext(".//{*}replayLogCreationTime") == event_time(START)


async def test_a_lost_client_leaves_the_bus(serve):
    served = await serve()
    client = await served.client()
    await client.ok(subscribe())
    assert len(served.element.tree.bus._subscriptions) == 1
    client.close()
    await served.ended(client.session_id)
    assert not served.element.tree.bus._subscriptions
