"""What the text of the gNMI specification says, rule by rule: extensions (commit-confirmed, depth …).

docs/gnmi-specification.md names these tests; numbers in comments are those of its sections.
"""

from __future__ import annotations

import asyncio

from telemetry.protocol import gnmi_ext_pb2 as ext
from telemetry.protocol import gnmi_pb2 as pb
from tests.contract.gnmi.specification import (
    GOLD,
    PROFILES,
    SESSION,
    SESSIONS,
    Code,
    refused,
    update,
)

# --- commit-confirmed, master arbitration


def commit(identifier: str, **action) -> list[ext.Extension]:
    return [ext.Extension(commit=ext.Commit(id=identifier, **action))]


def lasting(seconds: float) -> ext.CommitRequest:
    request = ext.CommitRequest()
    request.rollback_duration.FromMilliseconds(round(seconds * 1000))
    return request


def resetting(seconds: float) -> ext.CommitSetRollbackDuration:
    request = ext.CommitSetRollbackDuration()
    request.rollback_duration.FromMilliseconds(round(seconds * 1000))
    return request


async def test_statuses_of_confirmed_commits(client):
    for action in ({"confirm": ext.CommitConfirm()}, {"cancel": ext.CommitCancel()},
                   {"set_rollback_duration": resetting(5)}):  # fmt: skip
        code, _ = await refused(client.set(extension=commit("c1", **action)))
        assert code is Code.FAILED_PRECONDITION
    await client.set(update=[update(f"{GOLD}/priority", 1)], extension=commit("c1", commit=lasting(60)))
    for action in ({"confirm": ext.CommitConfirm()}, {"cancel": ext.CommitCancel()},
                   {"set_rollback_duration": resetting(5)}):  # fmt: skip
        assert (await refused(client.set(extension=commit("c2", **action))))[0] is Code.INVALID_ARGUMENT
    for fields in ({}, {"extension": commit("c1", commit=lasting(60))}):
        code, _ = await refused(client.set(update=[update(f"{GOLD}/priority", 2)], **fields))
        assert code is Code.FAILED_PRECONDITION
    zero = commit("c1", set_rollback_duration=ext.CommitSetRollbackDuration())
    assert (await refused(client.set(extension=zero)))[0] is Code.INVALID_ARGUMENT
    endless = commit("c1", set_rollback_duration=resetting(1e12))
    assert (await refused(client.set(extension=endless)))[0] is Code.INVALID_ARGUMENT
    await client.set(extension=commit("c1", confirm=ext.CommitConfirm()))
    assert (await client.get(f"{GOLD}/priority"))[0].values == {f"{GOLD}/priority": 1}


async def test_the_rollback_duration_is_set_anew(client):
    await client.set(update=[update(f"{GOLD}/priority", 1)], extension=commit("c1", commit=lasting(600)))
    await client.set(extension=commit("c1", set_rollback_duration=resetting(0.2)))
    async with asyncio.timeout(10):
        while (await client.get(f"{GOLD}/priority"))[0].values != {f"{GOLD}/priority": 4}:
            await asyncio.sleep(0.05)
    assert (await refused(client.set(extension=commit("c1", confirm=ext.CommitConfirm()))))[0] is (
        Code.FAILED_PRECONDITION
    )


async def test_arbitration_needs_an_election_id_and_tells_the_highest(target, client):
    empty = ext.Extension(master_arbitration=ext.MasterArbitration())
    assert (await refused(client.set(extension=[empty])))[0] is Code.INVALID_ARGUMENT

    def election(low: int) -> ext.Extension:
        number = ext.Uint128(high=7, low=low)
        return ext.Extension(master_arbitration=ext.MasterArbitration(election_id=number))

    await client.set(extension=[election(5)])
    code, message = await refused(client.set(extension=[election(4)]))
    assert (code, "high 7, low 5" in message) == (Code.PERMISSION_DENIED, True)
    await client.set()  # without the extension a Set is accepted


# --- depth


async def depths(client, text: str, level: int, **fields) -> set[str]:
    """Names below the path, of Get in PROTO and of a single look."""
    extension = [ext.Extension(depth=ext.Depth(level=level))]
    (found,) = await client.get(text, extension=extension, **fields)
    seen = await client.once(text, extension=extension)
    assert seen.values.keys() == found.values.keys()
    return {known.removeprefix(SESSIONS).partition("]")[2] for known in found.values}


async def test_depth_counts_from_the_path(client):
    own = await depths(client, SESSION, 1)
    assert "/status" in own
    assert not any(name.count("/") > 1 for name in own)
    assert "/counters/in-octets" in await depths(client, SESSION, 2)
    assert await depths(client, SESSIONS, 1) == set()
    assert own == await depths(client, SESSIONS, 2)
    assert own == await depths(client, f"{SESSIONS}/session", 1)
    assert await depths(client, SESSION, 0) == await depths(client, SESSION, 9)
    assert await depths(client, f"{SESSION}/status", 1) == {"/status"}


async def test_depth_of_objects(client):
    def at(level: int) -> dict:
        return {"extension": [ext.Extension(depth=ext.Depth(level=level))], "encoding": pb.JSON}

    (one,) = await client.get(PROFILES, **at(2))
    (profiles,) = one.values.values()
    assert {"name": "gold", "priority": 4} in profiles["profile"]
    (two,) = await client.get(PROFILES, **at(3))
    assert "rate" in two.values[PROFILES]["profile"][0]["download"]
    (nothing,) = await client.get("/", **at(1))
    assert nothing.values == {}
    (some,) = await client.get("/", **at(3))
    assert "counters" not in some.values[SESSIONS]["session"][0]
    assert some.values[SESSIONS]["session"][0]["status"] == "active"


async def test_depth_of_streams(target, client):
    extension = [ext.Extension(depth=ext.Depth(level=1))]
    for mode in (pb.SAMPLE, pb.ON_CHANGE):
        subscription = await client.subscribe(f"{SESSIONS}/session", mode=mode, extension=extension)
        first = await subscription.until_sync()
        assert f"{SESSION}/status" in first.values
        assert not any("counters" in known for known in first.values)
        subscription.call.cancel()
    events = await client.once("/aether-events:events/event", extension=extension)
    assert "/aether-events:events/event[seq=1]/type" in events.values
    assert not (await client.once("/aether-events:events", extension=extension)).values


async def test_extensions_where_they_do_not_belong(client):
    depth = ext.Extension(depth=ext.Depth(level=1))
    past = ext.Extension(history=ext.History(snapshot_time=1))
    configuration = ext.Extension(config_subscription=ext.ConfigSubscription())
    asked = pb.CapabilityRequest(extension=[depth])
    assert (await refused(client._unary("Capabilities", asked, pb.CapabilityResponse)))[0] is (
        Code.INVALID_ARGUMENT
    )
    for extension in (depth, past, configuration):
        assert (await refused(client.set(extension=[extension])))[0] is Code.INVALID_ARGUMENT
    for extension in (past, configuration):
        assert (await refused(client.get(SESSION, extension=[extension])))[0] is Code.INVALID_ARGUMENT
    # a registered extension that the target does not know changes nothing
    unknown = ext.Extension(registered_ext=ext.RegisteredExtension(id=ext.EID_EXPERIMENTAL, msg=b"x"))
    await client.get(SESSION, extension=[unknown])
    await client.set(extension=[unknown])
    await client.once(SESSION, extension=[unknown])
