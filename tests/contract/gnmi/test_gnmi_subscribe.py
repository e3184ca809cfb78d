"""Subscribe against the real tree: ONCE, POLL, and streams of samples and changes."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from telemetry.protocol import gnmi_pb2 as pb
from telemetry.subscribe import SECOND
from tests.contract.gnmi.client import Picture, Subscription, history, path
from tests.contract.gnmi.element import make_session

SESSIONS = "/aether-subscriber:sessions/session"
COUNTERS = f"{SESSIONS}/counters"
SUMMARY = "/aether-subscriber:summary"
PROFILES = "/aether-shaping:shaping-profiles/profile"
STREAM, ONCE, POLL = pb.SubscriptionList.STREAM, pb.SubscriptionList.ONCE, pb.SubscriptionList.POLL
Code = grpc.StatusCode


def entry(number: int) -> str:
    return f"{SESSIONS}[id={number:016x}]"


def in_octets(picture: Picture) -> list[int]:
    return [value for known, value in sorted(picture.values.items()) if known.endswith("/in-octets")]


async def gather(subscription: Subscription, done) -> Picture:
    """Messages until `done(picture)`."""
    picture = Picture()
    while not done(picture):
        message = await subscription.message()
        picture.take(message.update)
    return picture


# --- once and poll


async def test_once(client):
    picture = await client.once(SESSIONS, f"{PROFILES}/download")
    assert picture.values[f"{entry(2)}/status"] == "active"
    assert in_octets(picture) == [0, 1000, 2000]
    assert picture.values[f"{PROFILES}[name=gold]/download/rate"] == 100_000_000


@pytest.mark.parametrize("encoding", [pb.JSON, pb.JSON_IETF, pb.ASCII, pb.PROTO])
async def test_leaves_one_by_one_in_every_encoding(client, encoding):
    picture = await client.once(f"{entry(1)}/counters", encoding=encoding)
    expected = {pb.JSON: 1000, pb.JSON_IETF: "1000", pb.ASCII: "1000", pb.PROTO: 1000}
    assert picture.values[f"{entry(1)}/counters/in-octets"] == expected[encoding]


async def test_aggregation_makes_objects(client):
    picture = await client.once(SESSIONS, encoding=pb.JSON, allow_aggregation=True)
    assert set(picture.values) == {entry(number) for number in range(3)}
    assert picture.values[entry(1)]["counters"]["in-octets"] == 1000


async def test_any_depth_twice(target, client):
    asked = f"/.../session[id={1:016x}]/.../in-octets"
    assert in_octets(await client.once(asked)) == [1000]
    picture = await client.once("/.../counters/.../in-octets")
    assert in_octets(picture) == [0, 1000, 2000]
    subscription = await client.subscribe("/.../session/.../status", mode=pb.ON_CHANGE)
    assert list((await subscription.until_sync()).values.values()) == ["active"] * 3
    session = make_session(1)
    session.status = "idle"
    target.element.sessions.put(session)
    assert list((await subscription.update()).values.values()) == ["idle"]


async def test_once_of_updates_only_is_a_sync_response(client):
    assert (await client.once(SESSIONS, updates_only=True)).values == {}


async def test_target_and_origin_are_echoed(client):
    prefix = path("/sessions", origin="aether-subscriber", target="bng-01")
    for paths in (["session/counters"], ["session/status"]):
        picture = await client.once(*paths, prefix=prefix)
        found = {(n.prefix.origin, n.prefix.target) for n in picture.notifications}
        assert found == {("aether-subscriber", "bng-01")}


async def test_poll(target, client):
    subscription = await client.subscribe(COUNTERS, SUMMARY, list_mode=POLL)
    assert in_octets(await subscription.until_sync()) == [0, 1000, 2000]
    target.element.sessions.sweep()
    picture = await subscription.poll()
    assert in_octets(picture) == [7, 1007, 2007]
    assert picture.values[f"{SUMMARY}/total"] == 3
    await subscription.call.done_writing()
    assert (await subscription.status())[0] is Code.OK
    subscription = await client.subscribe(COUNTERS, list_mode=POLL, updates_only=True)
    assert (await subscription.message()).sync_response
    assert in_octets(await subscription.poll()) == [7, 1007, 2007]


# --- samples


async def test_samples_repeat(target, client):
    subscription = await client.subscribe(COUNTERS, mode=pb.SAMPLE)
    assert in_octets(await subscription.until_sync()) == [0, 1000, 2000]
    assert in_octets(await subscription.update()) == [0, 1000, 2000]
    target.element.sessions.sweep()
    picture = await gather(subscription, lambda picture: in_octets(picture) == [7, 1007, 2007])
    ticks = {value for known, value in picture.values.items() if known.endswith("/tick")}
    assert ticks == {2}


async def test_a_sample_is_whole_before_another_subscription_is_served(target, client):
    """A collector may go by it: what follows a tick of counters says that it was the whole tick."""
    for number in range(3, 1500):  # more than a message holds
        target.element.sessions.put(make_session(number))
    subscription = await client.subscribe(COUNTERS, SUMMARY, mode=pb.SAMPLE)
    await subscription.until_sync()
    seen, messages, rounds = set(), 0, 0
    while rounds < 3:
        update = (await subscription.message()).update
        names = [elem.name for elem in [*update.prefix.elem, *update.update[0].path.elem]]
        if "aether-subscriber:summary" in names:
            assert len(seen) in (0, 1500)
            rounds += messages > 1
            seen, messages = set(), 0
            continue
        seen |= {elem.key["id"] for one in update.update for elem in one.path.elem if "id" in elem.key}
        messages += 1


async def test_samples_of_entries_join_matrix_and_records(client):
    subscription = await client.subscribe(SESSIONS, mode=pb.SAMPLE)
    first = await subscription.until_sync()
    again = await gather(subscription, lambda picture: picture.values == first.values)
    assert again.values[f"{entry(0)}/counters/out-octets"] == 1
    assert again.values[f"{entry(0)}/mac-address"] == "02:00:00:00:00:00"


async def test_samples_of_one_entry_and_of_other_state(client):
    subscription = await client.subscribe(f"{entry(1)}/counters", SUMMARY, mode=pb.SAMPLE)
    first = await subscription.until_sync()
    assert in_octets(first) == [1000]
    assert first.values[f"{SUMMARY}/total"] == 3
    await gather(subscription, lambda picture: picture.values == first.values)


async def test_membership_changes_between_samples(target, client):
    subscription = await client.subscribe(COUNTERS, mode=pb.SAMPLE)
    await subscription.until_sync()
    target.element.sessions.remove(f"{1:016x}")
    target.element.sessions.put(make_session(9))
    picture = await gather(subscription, lambda picture: f"{entry(9)}/counters/in-octets" in picture.values)
    assert picture.deleted == [entry(1)]
    assert in_octets(picture) == [0, 2000, 0]


async def test_suppressed_samples_of_a_matrix(target, client):
    terms = {"suppress_redundant": True}
    subscription = await client.subscribe(COUNTERS, mode=pb.SAMPLE, terms=terms)
    await subscription.until_sync()
    await asyncio.sleep(0.2)
    target.element.sessions.counters[f"{1:016x}"][0] = 5
    picture = await subscription.update()
    assert picture.values == {f"{entry(1)}/counters/in-octets": 5}


async def test_suppressed_samples_of_records(target, client):
    terms = {"suppress_redundant": True}
    subscription = await client.subscribe(f"{SESSIONS}/status", SUMMARY, mode=pb.SAMPLE, terms=terms)
    await subscription.until_sync()
    await asyncio.sleep(0.2)
    session = make_session(2)
    session.status = "idle"
    target.element.sessions.put(session)
    assert (await subscription.update()).values == {f"{entry(2)}/status": "idle"}


async def test_a_heartbeat_repeats_what_is_suppressed(client):
    terms = {"suppress_redundant": True, "heartbeat_interval": SECOND // 5}
    subscription = await client.subscribe(COUNTERS, SUMMARY, mode=pb.SAMPLE, terms=terms)
    first = await subscription.until_sync()
    again = await gather(subscription, lambda picture: picture.values == first.values)
    assert len(again.notifications) <= 4


async def test_equal_subscribers_get_the_same_ticks(target):
    first, second = target.client("admin"), target.client("viewer")
    subscriptions = [await client.subscribe(COUNTERS, mode=pb.SAMPLE) for client in (first, second)]
    for subscription in subscriptions:
        await subscription.until_sync()
    times = [{(await s.message()).update.timestamp for _ in range(6)} for s in subscriptions]
    assert len(target.server._sampler._wheel.groups) == 1
    assert times[0] & times[1]


async def test_updates_only_begins_with_the_sync_response(target, client):
    for mode in (pb.SAMPLE, pb.ON_CHANGE):
        subscription = await client.subscribe(f"{SESSIONS}/status", COUNTERS, mode=mode, updates_only=True)
        assert (await subscription.message()).sync_response
        subscription.call.cancel()


# --- changes


async def test_changes_of_state(target, client):
    subscription = await client.subscribe(f"{SESSIONS}/status", f"{SESSIONS}/profile", mode=pb.ON_CHANGE)
    assert len((await subscription.until_sync()).values) == 6
    session = make_session(1)
    session.status = "idle"
    target.element.sessions.put(session)
    assert (await subscription.update()).values == {f"{entry(1)}/status": "idle"}


@pytest.mark.parametrize("forgets", [False, True])
async def test_leaves_come_and_go(target, client, forgets):
    target.element.sessions.forget_changes = forgets
    subscription = await client.subscribe(f"{SESSIONS}/profile", mode=pb.ON_CHANGE)
    await subscription.until_sync()
    target.element.sessions.put(make_session(8))
    assert (await subscription.update()).values == {f"{entry(8)}/profile": "gold"}
    session = make_session(8)
    session.profile = None
    target.element.sessions.put(session)
    assert (await subscription.update()).deleted == [f"{entry(8)}/profile"]
    target.element.sessions.put(make_session(8))
    assert (await subscription.update()).values == {f"{entry(8)}/profile": "gold"}


@pytest.mark.parametrize("forgets", [False, True])
async def test_entries_come_and_go(target, client, forgets):
    target.element.sessions.forget_changes = forgets
    subscription = await client.subscribe(SESSIONS, mode=pb.ON_CHANGE)
    await subscription.until_sync()
    target.element.sessions.put(make_session(8))
    await gather(subscription, lambda picture: f"{entry(8)}/profile" in picture.values)
    target.element.sessions.remove(f"{8:016x}")
    picture = await gather(subscription, lambda picture: picture.deleted)
    assert set(picture.deleted) == {entry(8)}


async def test_changes_of_counters(target, client):
    subscription = await client.subscribe(COUNTERS, mode=pb.ON_CHANGE)
    await subscription.until_sync()
    target.element.sessions.sweep(f"{1:016x}")
    picture = await gather(subscription, lambda picture: f"{entry(1)}/counters/in-octets" in picture.values)
    assert in_octets(picture) == [1007]


@pytest.mark.parametrize("encoding", [pb.PROTO, pb.JSON])
@pytest.mark.parametrize("where", [f"{entry(1)}/counters", entry(1), COUNTERS])
async def test_changes_of_counters_that_no_matrix_serves(target, client, where, encoding):
    subscription = await client.subscribe(where, mode=pb.ON_CHANGE, encoding=encoding)
    assert 1000 in in_octets(await subscription.until_sync())
    target.element.sessions.sweep(f"{1:016x}")
    await gather(subscription, lambda picture: in_octets(picture) == [1007])


async def test_counters_in_json_where_the_target_decides(target, client):
    subscription = await client.subscribe(SESSIONS, mode=pb.TARGET_DEFINED, encoding=pb.JSON)
    assert f"{entry(1)}/status" in (await subscription.until_sync()).values
    target.element.sessions.sweep(f"{1:016x}")
    picture = await gather(subscription, lambda picture: 1007 in in_octets(picture))
    assert f"{entry(1)}/status" not in picture.values


async def test_changes_of_state_that_nobody_announces(target, client):
    subscription = await client.subscribe(SUMMARY, mode=pb.ON_CHANGE)
    await subscription.until_sync()
    target.element.sessions.put(make_session(7))
    assert (await subscription.update()).values == {f"{SUMMARY}/total": 4}


async def test_changes_of_configuration(client):
    subscription = await client.subscribe(PROFILES, mode=pb.ON_CHANGE)
    assert f"{PROFILES}[name=silver]/upload/rate" in (await subscription.until_sync()).values
    value = pb.TypedValue(uint_val=3_000_000)
    await client.set(update=[pb.Update(path=path(f"{PROFILES}[name=gold]/download/rate"), val=value)])
    assert (await subscription.update()).values == {f"{PROFILES}[name=gold]/download/rate": 3_000_000}
    await client.set(delete=[path(f"{PROFILES}[name=silver]")])
    assert (await subscription.update()).deleted == [f"{PROFILES}[name=silver]"]


async def test_a_heartbeat_repeats_what_did_not_change(client):
    terms = {"heartbeat_interval": SECOND // 5}
    subscription = await client.subscribe(f"{SESSIONS}/status", mode=pb.ON_CHANGE, terms=terms)
    first = await subscription.until_sync()
    assert (await subscription.update()).values == first.values


async def test_target_defined(target, client):
    subscription = await client.subscribe("/aether-subscriber:sessions", SUMMARY, mode=pb.TARGET_DEFINED)
    first = await subscription.until_sync()
    assert f"{entry(0)}/status" in first.values
    assert in_octets(first) == [0, 1000, 2000]
    target.element.sessions.sweep()
    picture = await gather(subscription, lambda picture: in_octets(picture) == [7, 1007, 2007])
    assert not any(known.endswith("/status") for known in picture.values)
    session = make_session(0)
    session.status = "idle"
    target.element.sessions.put(session)
    picture = await gather(subscription, lambda picture: f"{entry(0)}/status" in picture.values)
    assert picture.values[f"{entry(0)}/status"] == "idle"


async def test_everything_on_change(target, client):
    subscription = await client.subscribe("/", mode=pb.ON_CHANGE)
    first = await subscription.until_sync()
    assert f"{PROFILES}[name=gold]/upload/rate" in first.values
    assert "/aether-events:events/event[seq=3]/type" in first.values
    target.element.journal.append("session-stop", make_session(1))
    await gather(subscription, lambda picture: "/aether-events:events/event[seq=4]/type" in picture.values)


async def test_a_path_that_is_absent_waits(target, client):
    text = f"{SESSIONS}[id={77:016x}]/status"
    subscription = await client.subscribe(text, mode=pb.ON_CHANGE)
    assert (await subscription.until_sync()).values == {}
    target.element.sessions.put(make_session(77))
    assert (await subscription.update()).values == {f"{entry(77)}/status": "active"}


# --- access control


async def test_counters_that_the_user_may_not_read(target):
    blind = target.client("blind")
    for mode in (pb.SAMPLE, pb.ON_CHANGE):
        subscription = await blind.subscribe(SESSIONS, mode=mode)
        picture = await subscription.until_sync()
        assert f"{entry(0)}/status" in picture.values
        assert not any("counters" in known for known in picture.values)
        subscription.call.cancel()


async def test_rules_that_change_apply_to_open_streams(target, client):
    viewer = await target.client("viewer").subscribe(COUNTERS, mode=pb.SAMPLE)
    assert in_octets(await viewer.until_sync()) == [0, 1000, 2000]
    group = pb.TypedValue(json_ietf_val=b'["blind", "viewer"]')
    where = path("/ietf-netconf-acm:nacm/groups/group[name=blind]/user-name")
    await client.set(update=[pb.Update(path=where, val=group)])
    async with asyncio.timeout(20):
        while True:
            reading = asyncio.ensure_future(viewer.call.read())
            done, _ = await asyncio.wait([reading], timeout=0.5)
            if not done:
                reading.cancel()
                break


# --- what is refused


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (pb.SubscriptionList(), Code.INVALID_ARGUMENT),
        (pb.SubscriptionList(mode=9, subscription=[pb.Subscription()]), Code.INVALID_ARGUMENT),
        (pb.SubscriptionList(subscription=[pb.Subscription(mode=9)]), Code.INVALID_ARGUMENT),
        (pb.SubscriptionList(encoding=pb.BYTES, subscription=[pb.Subscription()]), Code.UNIMPLEMENTED),
        (pb.SubscriptionList(subscription=[pb.Subscription()] * 1001), Code.INVALID_ARGUMENT),
        (pb.SubscriptionList(subscription=[pb.Subscription(path=path("/nonsense"))]), Code.UNIMPLEMENTED),
        (
            pb.SubscriptionList(subscription=[pb.Subscription(path=path("/sessions/session[id=1][x=2]"))]),
            Code.UNIMPLEMENTED,
        ),
        (
            pb.SubscriptionList(subscription=[pb.Subscription(mode=pb.SAMPLE, sample_interval=1)]),
            Code.INVALID_ARGUMENT,
        ),
        (
            pb.SubscriptionList(
                subscription=[pb.Subscription(mode=pb.TARGET_DEFINED, sample_interval=SECOND)]
            ),
            Code.INVALID_ARGUMENT,
        ),
        (
            pb.SubscriptionList(
                subscription=[pb.Subscription(mode=pb.SAMPLE, path=path("/aether-events:events/event"))]
            ),
            Code.INVALID_ARGUMENT,
        ),
    ],
)
async def test_lists_that_are_refused(client, asked, code):
    subscription = await client.open()
    await subscription.send(pb.SubscribeRequest(subscribe=asked))
    found, message = await subscription.status()
    assert (found, bool(message)) == (code, True), message


async def test_a_second_list_is_refused(client):
    subscription = await client.subscribe(COUNTERS)
    await subscription.until_sync()
    await subscription.send(
        pb.SubscribeRequest(subscribe=pb.SubscriptionList(subscription=[pb.Subscription()]))
    )
    assert (await subscription.status())[0] is Code.INVALID_ARGUMENT


async def test_a_poll_first_is_refused(client):
    subscription = await client.open()
    await subscription.send(pb.SubscribeRequest(poll=pb.Poll()))
    assert (await subscription.status())[0] is Code.INVALID_ARGUMENT


async def test_nothing_at_all_is_refused(client):
    subscription = await client.open()
    await subscription.call.done_writing()
    assert (await subscription.status())[0] is Code.INVALID_ARGUMENT


async def test_a_list_among_polls_is_refused(client):
    subscription = await client.subscribe(COUNTERS, list_mode=POLL)
    await subscription.until_sync()
    await subscription.send(
        pb.SubscribeRequest(subscribe=pb.SubscriptionList(subscription=[pb.Subscription()]))
    )
    assert (await subscription.status())[0] is Code.INVALID_ARGUMENT


async def test_state_has_no_history(client):
    for mode, code in ((pb.ON_CHANGE, Code.UNIMPLEMENTED), (pb.SAMPLE, Code.INVALID_ARGUMENT)):
        subscription = await client.subscribe(COUNTERS, mode=mode, extension=[history(1)])
        assert (await subscription.status())[0] is code
