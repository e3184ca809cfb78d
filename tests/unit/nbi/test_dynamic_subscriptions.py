"""Dynamic subscriptions (RFC 8639 and 8640): established, changed, ended, bounded, shown."""

import asyncio
import time

import pytest

from nbi.subscriptions import event_time
from nbi.subscriptions.registry import FIRST_ID
from tests.unit.nbi.subscribing import (
    NC,
    NOTIFICATION,
    SN,
    START,
    SUBSCRIBER,
    delete,
    end_session,
    establish,
    established,
    modify,
    name,
    next_event,
    problem,
    stream,
)


async def test_events_come_to_each_subscription(serve):
    served = await serve()
    client = await served.client()
    ids = [await established(client, stream()) for _ in range(2)]
    assert ids == [FIRST_ID, FIRST_ID + 1]
    end_session(served, 1)
    assert [name(await next_event(client)) for _ in range(2)] == ["session-stop"] * 2


async def test_filters(serve):
    served = await serve()
    client = await served.client()
    subtree = f"<session-stop xmlns='{SUBSCRIBER}'><session-id>{4:016x}</session-id></session-stop>"
    await established(client, stream(f"<stream-subtree-filter>{subtree}</stream-subtree-filter>"))
    # the prefix is the module's name, or one that is declared
    for prefix, declared in (("aether-subscriber", ""), ("s", f"xmlns:s='{SUBSCRIBER}'")):
        xpath = f"/{prefix}:session-stop[{prefix}:session-id='{5:016x}']"
        await established(client, stream(f"<stream-xpath-filter {declared}>{xpath}</stream-xpath-filter>"))
    for number in range(3, 7):
        end_session(served, number)
    seqs = sorted([(await next_event(client)).findtext("{*}seq") for _ in range(3)])
    assert seqs == ["202", "203", "203"]


async def test_replay(serve):
    client = await (await serve()).client()
    start = f"<replay-start-time>{event_time(START + 197 * 1_000_000_000)}</replay-start-time>"
    identifier = await established(client, stream(start))
    events = [await next_event(client) for _ in range(4)]
    assert [name(event) for event in events] == ["session-start"] * 3 + ["replay-completed"]
    assert events[-1].findtext(f"{{{SN}}}id") == str(identifier)


async def test_a_replay_of_more_than_there_is_says_from_when(serve):
    client = await (await serve()).client()
    reply = await client.rpc(stream("<replay-start-time>2001-01-01T00:00:00Z</replay-start-time>"))
    assert reply.findtext(f"{{{SN}}}replay-start-time-revision") == event_time(START)


async def test_it_ends_at_the_stop_time_with_what_happened_before(serve):
    served = await serve()
    client = await served.client()
    await established(client, stream(f"<stop-time>{event_time(time.time_ns() + 100_000_000)}</stop-time>"))
    end_session(served, 1)
    assert name(await next_event(client)) == "session-stop"
    while served.server.subscriptions.subscriptions:
        await client.ok("<discard-changes/>")
    end_session(served, 2)
    await client.ok("<discard-changes/>")
    assert not client.notifications


async def test_delete(serve):
    served = await serve()
    client = await served.client()
    identifier = await established(client, stream())
    await client.ok(delete(identifier))
    end_session(served, 1)
    await client.ok("<discard-changes/>")
    assert not client.notifications
    assert problem(await client.error(delete(identifier))) == (
        "invalid-value",
        "ietf-subscribed-notifications:no-such-subscription",
        "delete-subscription-error-info",
        "ietf-subscribed-notifications:no-such-subscription",
    )


async def test_only_ones_own_can_be_deleted_or_modified(serve):
    served = await serve()
    identifier = await established(await served.client(), stream())
    other = await served.client()
    assert problem(await other.error(delete(identifier)))[1].endswith(":no-such-subscription")
    assert problem(await other.error(modify(identifier, "")))[2] == "modify-subscription-stream-error-info"


async def test_kill_ends_anybodys_and_tells_him(serve):
    served = await serve()
    client, other = await served.client(), await served.client()
    identifier = await established(client, stream())
    await other.ok(f"<kill-subscription xmlns='{SN}'><id>{identifier}</id></kill-subscription>")
    event = await next_event(client)
    assert name(event) == "subscription-terminated"
    assert event.findtext("{*}id") == str(identifier)
    assert event.findtext("{*}reason").endswith(":no-such-subscription")
    assert not served.server.subscriptions.subscriptions


async def test_kill_is_for_whom_a_rule_permits_it(serve):
    client = await (await serve(user="viewer")).client()
    identifier = await established(client, stream())
    kill = f"<kill-subscription xmlns='{SN}'><id>{identifier}</id></kill-subscription>"
    assert await client.error_tag(kill) == "access-denied"


async def test_modify_changes_the_filter_and_says_so_first(serve):
    served = await serve()
    client = await served.client()
    identifier = await established(client, stream())
    xpath = f"/aether-subscriber:session-stop[aether-subscriber:session-id='{5:016x}']"
    await client.ok(modify(identifier, f"<stream-xpath-filter>{xpath}</stream-xpath-filter>"))
    event = await next_event(client)
    assert name(event) == "subscription-modified"
    assert event.findtext("{*}stream") == "NETCONF"
    assert event.findtext("{*}stream-xpath-filter") == xpath
    end_session(served, 4)
    end_session(served, 5)
    assert (await next_event(client)).findtext("{*}seq") == "202"


async def test_modify_does_not_make_another_kind_of_it(serve):
    client = await (await serve()).client()
    identifier = await established(client, stream())
    periodic = "<yp:periodic><yp:period>100</yp:period></yp:periodic>"
    assert await client.error_tag(modify(identifier, periodic)) == "invalid-value"


DS = "urn:ietf:params:xml:ns:yang:ietf-datastores"
CONFIGURED = f"""<edit-config><target><candidate/></target><config>
  <filters xmlns='{SN}'><stream-filter><name>stops</name>
    <stream-xpath-filter xmlns:s='{SUBSCRIBER}'>/s:session-stop[s:session-id='%s']</stream-xpath-filter>
  </stream-filter></filters></config></edit-config>"""
REMOVED = f"""<edit-config><target><candidate/></target><config>
  <filters xmlns='{SN}' xmlns:nc='{NC}'>
    <stream-filter nc:operation='delete'><name>stops</name></stream-filter>
  </filters></config></edit-config>"""


async def test_a_configured_filter(serve):
    served = await serve()
    client = await served.client()
    await client.ok(CONFIGURED % f"{4:016x}")
    await client.ok("<commit/>")
    identifier = await established(client, stream("<stream-filter-name>stops</stream-filter-name>"))
    for number in (3, 4):
        end_session(served, number)
    assert (await next_event(client)).findtext("{*}seq") == "202"
    await client.ok(CONFIGURED % f"{6:016x}")
    await client.ok("<commit/>")
    event = await next_event(client)
    assert (name(event), event.findtext("{*}stream-filter-name")) == ("subscription-modified", "stops")
    for number in (5, 6):
        end_session(served, number)
    assert (await next_event(client)).findtext("{*}seq") == "204"
    await client.ok(REMOVED)
    await client.ok("<commit/>")
    event = await next_event(client)
    assert (name(event), event.findtext("{*}id")) == ("subscription-terminated", str(identifier))
    assert event.findtext("{*}reason").endswith(":filter-unavailable")


async def test_what_cannot_be_established(serve):
    client = await (await serve()).client()
    prefix = "ietf-subscribed-notifications"
    for inner, tag, identity in (
        ("<encoding>encode-json</encoding>", "invalid-value", "encoding-unsupported"),
        ("<stream-xpath-filter>/x[</stream-xpath-filter>", "invalid-value", "filter-unsupported"),
        ("<stream-xpath-filter>/nobody:x</stream-xpath-filter>", "invalid-value", "filter-unsupported"),
        ("<stream-filter-name>nobody</stream-filter-name>", "invalid-value", "filter-unsupported"),
    ):
        assert problem(await client.error(stream(inner))) == (
            tag,
            f"{prefix}:{identity}",
            "establish-subscription-stream-error-info",
            f"{prefix}:{identity}",
        ), inner
    two = "<stream-filter-name>a</stream-filter-name><stream-xpath-filter>/a</stream-xpath-filter>"
    for operation, tag in (
        (establish(""), "missing-element"),
        (establish("<stream>OTHER</stream>"), "invalid-value"),
        (stream("<stop-time>2001-01-01T00:00:00Z</stop-time>"), "invalid-value"),
        (stream("<stop-time>tomorrow</stop-time>"), "invalid-value"),
        (stream("<replay-start-time>2999-01-01T00:00:00Z</replay-start-time>"), "invalid-value"),
        (stream("<what/>"), "unknown-element"),
        (stream(two), "bad-element"),
        (stream(f"<yp:datastore xmlns:ds='{DS}'>ds:running</yp:datastore>"), "bad-element"),
        (delete(1).replace("<id>1</id>", ""), "missing-element"),
        (delete(1).replace(">1<", ">-1<"), "invalid-value"),
    ):
        assert await client.error_tag(operation) == tag, operation


async def test_how_many_there_can_be(serve):
    served = await serve(max_session_subscriptions=2, max_user_subscriptions=3, max_subscriptions=10)
    client, other = await served.client(), await served.client()
    for _ in range(2):
        await established(client, stream())
    await established(other, stream())
    for full in (client, other):
        assert problem(await full.error(stream()))[:2] == (
            "resource-denied",
            "ietf-subscribed-notifications:insufficient-resources",
        )
    client.close()
    await served.ended(client.session_id)
    await established(other, stream())


async def test_not_beside_create_subscription(serve):
    served = await serve()
    create = f"<create-subscription xmlns='{NOTIFICATION}'/>"
    one, two = await served.client(), await served.client()
    await established(one, stream())
    assert await one.error_tag(create) == "operation-not-supported"
    await two.ok(create)
    assert await two.error_tag(stream()) == "operation-not-supported"


async def test_state(serve):
    served = await serve()
    client = await served.client()
    subtree = f"<session-stop xmlns='{SUBSCRIBER}'><session-id>{4:016x}</session-id></session-stop>"
    identifier = await established(
        client, stream(f"<stream-subtree-filter>{subtree}</stream-subtree-filter>")
    )
    end_session(served, 3)
    end_session(served, 4)
    await next_event(client)
    reply = await client.rpc(f"<get><filter><subscriptions xmlns='{SN}'/></filter></get>")
    found = reply.find(f".//{{{SN}}}subscription")
    assert found.findtext("{*}id") == str(identifier)
    assert found.findtext("{*}encoding").endswith("encode-xml")
    assert found.find("{*}stream-subtree-filter/{*}session-stop/{*}session-id").text == f"{4:016x}"
    receiver = found.find("{*}receivers/{*}receiver")
    assert receiver.findtext("{*}name") == f"admin@local, session {client.session_id}"
    assert receiver.findtext("{*}state") == "active"
    assert receiver.findtext("{*}sent-event-records") == "1"
    assert receiver.findtext("{*}excluded-event-records") == "1"
    await client.ok(delete(identifier))
    reply = await client.rpc(f"<get><filter><subscriptions xmlns='{SN}'/></filter></get>")
    assert reply.find(f".//{{{SN}}}subscription") is None


async def test_it_cannot_be_configured(serve):
    client = await (await serve()).client()
    edit = (
        f"<edit-config><target><candidate/></target><config><subscriptions xmlns='{SN}'><subscription>"
        "<id>1</id><stream>NETCONF</stream></subscription></subscriptions></config></edit-config>"
    )
    assert (await client.error_tag(edit)) in ("unknown-element", "invalid-value", "bad-element")


async def test_streams(serve):
    client = await (await serve()).client()
    reply = await client.rpc(f"<get><filter><streams xmlns='{SN}'/></filter></get>")
    found = reply.find(f".//{{{SN}}}stream")
    assert found.findtext("{*}name") == "NETCONF"
    assert found.find("{*}replay-support") is not None
    assert found.findtext("{*}replay-log-creation-time") == event_time(START)
    assert found.find("{*}replay-log-aged-time") is None


async def test_a_session_with_a_subscription_is_not_idle(serve):
    served = await serve()
    client = await served.client()
    identifier = await established(client, stream())
    served.limit(idle_timeout=0.05)
    await client.ok("<discard-changes/>")  # from now on it waits for the next request for so long
    await asyncio.sleep(0.2)
    await client.ok(delete(identifier))
    await served.ended(client.session_id)


async def test_a_log_that_has_lost_its_beginning_says_so(serve, monkeypatch):
    served = await serve()
    monkeypatch.setattr(type(served.element.journal), "oldest", 5)
    client = await served.client()
    reply = await client.rpc(f"<get><filter><streams xmlns='{SN}'/></filter></get>")
    found = reply.find(f".//{{{SN}}}stream")
    for leaf in ("replay-log-creation-time", "replay-log-aged-time"):
        assert found.findtext(f"{{*}}{leaf}") == event_time(START + 4_000_000_000 - 1)


@pytest.mark.parametrize("user", ["admin", "viewer"])
async def test_a_lost_client_leaves_nothing(serve, user):
    served = await serve(user=user)
    client = await served.client()
    for _ in range(3):
        await established(client, stream())
    client.close()
    await served.ended(client.session_id)
    assert not served.server.subscriptions.subscriptions
    assert not served.element.tree.bus._subscriptions
