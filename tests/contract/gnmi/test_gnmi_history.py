"""Configuration of the past by the History extension, and config subscriptions."""

from __future__ import annotations

import time

import grpc

from telemetry.protocol import gnmi_ext_pb2 as ext
from telemetry.protocol import gnmi_pb2 as pb
from tests.contract.gnmi.client import Client, Picture, history, path, snapshot
from tests.contract.gnmi.element import SECRET
from tests.contract.gnmi.test_gnmi_set import GOLD, PROFILES, commit, profile, update
from yang.access import User
from yang.datastore.history import Store
from yang.datastore.model import PathOperation, Session
from yang.path import DataPath

Code = grpc.StatusCode
RATE = f"{GOLD}/download/rate"
ONCE, STREAM = pb.SubscriptionList.ONCE, pb.SubscriptionList.STREAM
CONFIG_ONLY = ext.Extension(config_subscription=ext.ConfigSubscription(start=ext.ConfigSubscriptionStart()))


async def changed(client: Client, *rates: int) -> list[int]:
    """Set a rate several times; times between the commits, the first before all of them."""
    times = [time.time_ns()]
    for rate in rates:
        await client.set(update=[update(RATE, rate)])
        times.append(time.time_ns())
    return times


async def until_done(subscription) -> tuple[Picture, ext.ConfigSubscriptionSyncDone]:
    """What a commit changed, and its end."""
    picture = Picture()
    while not (message := await subscription.message()).extension:
        picture.take(message.update)
    assert message.WhichOneof("response") is None
    done = message.extension[0].config_subscription.sync_done
    assert done.done
    return picture, done


# --- snapshots


async def test_the_configuration_as_it_was(client):
    times = await changed(client, 1_000_000, 2_000_000)
    for at, rate in zip(times, (100_000_000, 1_000_000, 2_000_000), strict=True):
        picture = await client.once(PROFILES, extension=[snapshot(at)])
        assert picture.values[RATE] == rate
        assert {notification.timestamp for notification in picture.notifications} == {at}
        assert picture.values[f"{GOLD}/priority"] == 4  # a default that was in use
    for encoding, value in ((pb.JSON_IETF, "1000000"), (pb.ASCII, "1000000")):
        picture = await client.once(RATE, extension=[snapshot(times[1])], encoding=encoding)
        assert list(picture.values.values()) == [value]
    # before there was any
    assert not (await client.once(PROFILES, extension=[snapshot(times[0] - 3600 * 10**9)])).values


async def test_state_of_the_past_is_left_out(client):
    (at,) = await changed(client)
    picture = await client.once("/", extension=[snapshot(at)])
    assert f"{GOLD}/priority" in picture.values
    assert "/aether-events:events/event[seq=1]/type" in picture.values
    assert not any(known.startswith("/aether-subscriber:") for known in picture.values)
    subscription = await client.subscribe(
        "/aether-subscriber:summary", list_mode=ONCE, extension=[snapshot(at)]
    )
    code, message = await subscription.status()
    assert (code, "no past" in message) == (Code.UNIMPLEMENTED, True)


async def test_the_rules_of_today_apply_to_the_past(target, client):
    (at,) = await changed(client)
    picture = await client.once("/aether-bng:bng/aaa", extension=[snapshot(at)])
    assert picture.values
    assert SECRET not in picture.values.values()


async def test_a_past_that_is_not_remembered(target, client, monkeypatch):
    times = await changed(client, 1_000_000, 2_000_000)
    store = target.element.tree.past._store
    assert isinstance(store, Store)
    monkeypatch.setattr(store, "_limit", 2)
    await changed(client, 3_000_000)
    subscription = await client.subscribe(RATE, list_mode=ONCE, extension=[snapshot(times[1])])
    assert await subscription.status() == (Code.DATA_LOSS, "oldest-commit=2")
    assert (await client.once(RATE, extension=[snapshot(times[2])])).values == {RATE: 2_000_000}
    subscription = await client.subscribe(RATE, mode=pb.ON_CHANGE, extension=[history(times[1])])
    assert await subscription.status() == (Code.DATA_LOSS, "oldest-commit=2")


# --- ranges


async def test_what_commits_changed(client):
    times = await changed(client, 1_000_000, 2_000_000, 3_000_000)
    asked = [history(times[0], times[2])]
    subscription = await client.subscribe(RATE, mode=pb.ON_CHANGE, extension=asked)
    first = await subscription.until_sync()
    assert first.values == {RATE: 100_000_000}
    assert first.notifications[0].timestamp == times[0]
    for number, rate in enumerate((1_000_000, 2_000_000)):
        picture = await subscription.update()
        assert picture.values == {RATE: rate}
        assert times[number] <= picture.notifications[0].timestamp <= times[number + 1]
    assert (await subscription.status())[0] is Code.OK


async def test_a_range_goes_on(client):
    (start, *_) = await changed(client, 1_000_000)
    subscription = await client.subscribe(
        PROFILES, mode=pb.TARGET_DEFINED, updates_only=True, extension=[history(start)]
    )
    assert (await subscription.message()).sync_response
    assert (await subscription.update()).values == {RATE: 1_000_000}
    await client.set(update=[update("/aether-bng:bng/identity/bng-id", "bng-02")])  # shows nothing
    await client.set(delete=[path(GOLD)])
    assert (await subscription.update()).deleted == [GOLD]


async def test_a_range_from_the_beginning(client):
    await changed(client, 1_000_000)
    subscription = await client.subscribe(RATE, mode=pb.ON_CHANGE, extension=[history(0), CONFIG_ONLY])
    assert not (await subscription.until_sync()).values
    for number, rate in enumerate((100_000_000, 1_000_000)):
        picture, done = await until_done(subscription)
        assert picture.values == {RATE: rate}
        assert done.server_commit_id == str(number)


# --- config subscriptions


async def test_configuration_alone_and_the_end_of_each_commit(client):
    subscription = await client.subscribe(PROFILES, mode=pb.ON_CHANGE, extension=[CONFIG_ONLY])
    first = await subscription.until_sync()
    assert f"{GOLD}/priority" in first.values
    assert not any(known.endswith("/sessions-using") for known in first.values)
    for number in (1, 2):
        await client.set(update=[update(RATE, number * 1_000_000), profile(f"p{number}", 1_000_000)])
        picture, done = await until_done(subscription)
        assert picture.values[RATE] == number * 1_000_000
        assert f"{PROFILES}/profile[name=p{number}]/download/rate" in picture.values
        assert (done.commit_confirm_id, done.server_commit_id) == ("", str(number))
    await client.set(update=[update("/aether-bng:bng/identity/bng-id", "bng-02")])  # not of it
    await client.set(delete=[path(GOLD)])
    picture, done = await until_done(subscription)
    assert (picture.deleted, done.server_commit_id) == ([GOLD], "4")


async def test_confirmed_commits_of_gnmi_and_netconf_bear_their_ids(target, client):
    asked = {"mode": pb.TARGET_DEFINED, "updates_only": True, "extension": [CONFIG_ONLY]}
    subscription = await client.subscribe(RATE, **asked)
    await subscription.until_sync()
    other = await target.client("viewer").subscribe(RATE, **asked)
    await other.until_sync()
    request = ext.CommitRequest()
    request.rollback_duration.seconds = 60
    await client.set(update=[update(RATE, 1_000_000)], extension=[commit("c1", commit=request)])
    picture, done = await until_done(subscription)
    assert (picture.values, done.commit_confirm_id) == ({RATE: 1_000_000}, "c1")
    picture, done = await until_done(other)  # who may not commit is not told what it takes to confirm
    assert (picture.values, done.commit_confirm_id) == ({RATE: 1_000_000}, "")
    await client.set(extension=[commit("c1", cancel=ext.CommitCancel())])
    picture, done = await until_done(subscription)
    assert (picture.values, done.commit_confirm_id) == ({RATE: 100_000_000}, "c1")
    await client.set(update=[update(RATE, 2_000_000)], extension=[commit("c2", commit=request)])
    await until_done(subscription)
    await client.set(extension=[commit("c2", confirm=ext.CommitConfirm())])  # changes nothing
    session, tree = Session(7, User("admin"), "netconf"), target.element.tree
    await tree.datastores.edit_paths(
        session,
        "candidate",
        [PathOperation("update", DataPath.parse(RATE.replace("=gold", "='gold'")), "3000000")],
    )
    await tree.datastores.commit(session, confirmed=True, persist="token")
    picture, done = await until_done(subscription)
    assert (picture.values, done.commit_confirm_id) == ({RATE: 3_000_000}, "token")


async def test_other_modes_of_config_subscriptions(client):
    picture = await client.once("/", extension=[CONFIG_ONLY])
    assert RATE in picture.values
    assert not any(known.startswith("/aether-subscriber:") for known in picture.values)
    assert not (await client.once("/aether-subscriber:summary", extension=[CONFIG_ONLY])).values
    poll = await client.subscribe(RATE, list_mode=pb.SubscriptionList.POLL, extension=[CONFIG_ONLY])
    await poll.until_sync()
    for rate in (1_000_000, 2_000_000):
        await changed(client, rate)
        assert (await poll.poll()).values == {RATE: rate}
    samples = await client.subscribe(RATE, mode=pb.SAMPLE, extension=[CONFIG_ONLY])
    await samples.until_sync()
    assert [(await samples.update()).values for _ in range(2)] == [{RATE: 2_000_000}] * 2


async def test_only_a_start_begins_one(client):
    for action in ({}, {"sync_done": ext.ConfigSubscriptionSyncDone()}):
        asked = ext.Extension(config_subscription=ext.ConfigSubscription(**action))
        subscription = await client.subscribe(PROFILES, extension=[asked])
        assert (await subscription.status())[0] is Code.INVALID_ARGUMENT
