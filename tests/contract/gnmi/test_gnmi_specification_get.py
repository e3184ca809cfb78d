"""What the text of the gNMI specification says, rule by rule: Get (section 3.3), and defaults that are read.

docs/gnmi-specification.md names these tests; numbers in comments are those of its sections.
"""

from __future__ import annotations

import time

from telemetry.protocol import gnmi_pb2 as pb
from tests.contract.gnmi.client import path
from tests.contract.gnmi.specification import (
    GOLD,
    SESSION,
    get,
    update,
)


async def test_a_notification_for_each_path_with_the_time_of_its_snapshot(client):
    before = time.time_ns()
    asked = [path(SESSION), path(GOLD), path(SESSION)]
    found = await get(client, pb.GetRequest(path=asked))
    assert len(found.notification) == 3
    times = [notification.timestamp for notification in found.notification]
    assert times == sorted(times)
    assert before <= times[0] <= times[-1] <= time.time_ns()


async def test_types_of_data(client):
    config, state, operational, everything = [
        (await client.get("/", type=kind))[0].values
        for kind in (
            pb.GetRequest.CONFIG,
            pb.GetRequest.STATE,
            pb.GetRequest.OPERATIONAL,
            pb.GetRequest.ALL,
        )
    ]
    assert f"{GOLD}/download/rate" in config
    assert f"{SESSION}/status" in state
    assert config.keys().isdisjoint(state.keys())
    assert state.keys() == operational.keys()
    assert config.keys() | state.keys() == everything.keys()


async def test_defaults_that_are_in_use_are_values(client):
    for encoding, value in ((pb.PROTO, 4), (pb.JSON, 4), (pb.JSON_IETF, 4), (pb.ASCII, "4")):
        (found,) = await client.get(f"{GOLD}/priority", encoding=encoding)
        assert found.values == {f"{GOLD}/priority": value}
    (whole,) = await client.get(GOLD, encoding=pb.JSON_IETF, type=pb.GetRequest.CONFIG)
    assert whole.values[GOLD]["aether-shaping:priority"] == 4
    assert (await client.once(f"{GOLD}/priority")).values == {f"{GOLD}/priority": 4}


async def test_a_leaf_that_goes_back_to_its_default_is_an_update(client):
    await client.set(update=[update(f"{GOLD}/priority", 1)])
    subscription = await client.subscribe(f"{GOLD}/priority", mode=pb.ON_CHANGE)
    assert (await subscription.until_sync()).values == {f"{GOLD}/priority": 1}
    await client.set(delete=[path(f"{GOLD}/priority")])
    found = await subscription.update()
    assert (found.values, found.deleted) == ({f"{GOLD}/priority": 4}, [])
