"""What the text of the gNMI specification and its extensions says, rule by rule: paths, Get, Set.

docs/gnmi-specification.md names these tests; numbers in comments are those of its sections.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time

import grpc
import pytest

from telemetry.protocol import gnmi_ext_pb2 as ext
from telemetry.protocol import gnmi_pb2 as pb
from telemetry.protocol.paths import build, from_text, steps_of, to_text
from telemetry.protocol.values import proto
from tests.contract.gnmi.client import Client, path

SESSIONS = "/aether-subscriber:sessions"
SESSION = f"{SESSIONS}/session[id=0000000000000001]"
PROFILES = "/aether-shaping:shaping-profiles"
GOLD = f"{PROFILES}/profile[name=gold]"
RULES = "/ietf-netconf-acm:nacm/rule-list"
Code = grpc.StatusCode
STREAM, ONCE = pb.SubscriptionList.STREAM, pb.SubscriptionList.ONCE


async def refused(awaitable) -> tuple[Code, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await awaitable
    assert caught.value.details()
    return caught.value.code(), caught.value.details()


def update(text: str, value) -> pb.Update:
    return pb.Update(path=path(text), val=value if isinstance(value, pb.TypedValue) else proto(value))


def ietf(value) -> pb.TypedValue:
    return pb.TypedValue(json_ietf_val=json.dumps(value).encode())


async def get(client: Client, asked: pb.GetRequest) -> pb.GetResponse:
    return await client._unary("Get", asked, pb.GetResponse)


# --- 2.2.2 paths


NAMES = ["a/b", "a]b", "[", "[\\]", "back\\slash", "a=b", "*x", "ü ☃", "..", "\n", "\\n"]


async def test_any_character_may_be_in_a_key(client):
    for name in NAMES:
        await one_name(client, name)


async def one_name(client, name):
    where = pb.Path(elem=[pb.PathElem(name="ietf-netconf-acm:nacm")])
    where.elem.add(name="rule-list").key["name"] = name
    await client.set(update=[pb.Update(path=where, val=ietf({"group": ["admin"]}))])
    found = await get(client, pb.GetRequest(path=[where], encoding=pb.PROTO, type=pb.GetRequest.CONFIG))
    assert {update.path.elem[1].key["name"] for update in found.notification[0].update} == {name}
    text = to_text(steps_of(where))
    assert build(from_text(text)) == where, text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/foo[name=\\]]", "]"),
        ("/foo[name=[]", "["),
        ("/foo[name=[\\\\\\]]", "[\\]"),
        ("/foo[name=a\\nb\\rc]", "a\nb\rc"),
        ("/foo[name=\\u00e4]", "ä"),
        ("/foo[name=\\U0001F600]", "\U0001f600"),
    ],
)
def test_paths_as_strings(text, expected):
    (step,) = from_text(text)
    assert step.keys == {"name": expected}
    assert from_text(to_text([step])) == (step,)


def test_keys_in_strings_are_sorted():
    assert to_text(from_text("/a[z=1][b=2]")) == "/a[b=2][z=1]"


WILDCARDS = [
    f"{SESSIONS}/session/status",
    f"{SESSIONS}/session[id=*]/status",
    f"{SESSIONS}/*/status",
    f"{SESSIONS}/*[id=*]/status",
    "/*/session/status",
    f"{SESSIONS}/.../status",
    "/.../session/.../status",
]


async def test_wildcards_select_and_are_not_returned(client):
    for text, encoding in itertools.product(WILDCARDS, (pb.PROTO, pb.JSON)):
        (found,) = await client.get(text, encoding=encoding)
        assert set(found.values.values()) == {"active"}
        assert not any("*" in known or "..." in known for known in found.values)
        assert len([known for known in found.values if known.startswith(f"{SESSIONS}/session")]) == 3


async def test_dots_at_the_end_select_everything_below(client):
    (all_of_it,) = await client.get(f"{SESSION}/counters")
    (dotted,) = await client.get(f"{SESSION}/counters/...")
    assert dotted.values == all_of_it.values


async def test_the_root_by_an_empty_path_and_by_none(client):
    by_none = await get(client, pb.GetRequest(encoding=pb.JSON_IETF, type=pb.GetRequest.CONFIG))
    by_empty = await get(
        client, pb.GetRequest(path=[pb.Path()], encoding=pb.JSON_IETF, type=pb.GetRequest.CONFIG)
    )
    assert by_none.notification[0].update == by_empty.notification[0].update
    assert len(by_none.notification[0].update) >= 4


PATHS = [
    # 2.2.2.1: a target is only ever in the prefix
    (None, pb.Path(target="bng-01"), Code.INVALID_ARGUMENT),
    (pb.Path(), pb.Path(target="bng-01"), Code.INVALID_ARGUMENT),
    # 2.7: an origin is in the prefix or in the path
    (pb.Path(origin="rfc7951"), pb.Path(origin="rfc7951"), Code.INVALID_ARGUMENT),
    (path(SESSIONS), path("session", origin="rfc7951"), Code.INVALID_ARGUMENT),
    # 2.7.1: schemas that this target does not have
    (None, path("/interfaces", origin="openconfig"), Code.UNIMPLEMENTED),
    (None, pb.Path(origin="xros_cli"), Code.UNIMPLEMENTED),
    # 0.4.0: the old form of a path
    (None, pb.Path(element=["sessions"]), Code.INVALID_ARGUMENT),
    # a single empty element is not the root
    (None, pb.Path(elem=[pb.PathElem()]), Code.INVALID_ARGUMENT),
    (None, pb.Path(elem=[pb.PathElem(name="x")] * 100), Code.INVALID_ARGUMENT),
    (None, pb.Path(elem=[pb.PathElem(name="x" * 5000)]), Code.INVALID_ARGUMENT),
    # names of another module than the origin's
    (None, path("/aether-bng:bng", origin="aether-subscriber"), None),
]


async def test_paths_of_requests(client):
    for prefix, asked, code in PATHS:
        await one_path(client, prefix, asked, code)


async def one_path(client, prefix, asked, code):
    request = pb.GetRequest(prefix=prefix, path=[asked])
    asked_of = pb.SubscriptionList(prefix=prefix, subscription=[pb.Subscription(path=asked)], mode=ONCE)
    subscription = await client.open()
    await subscription.send(pb.SubscribeRequest(subscribe=asked_of))
    if code is None:
        await get(client, request)
        await subscription.until_sync()
        return
    assert (await refused(get(client, request)))[0] is code
    assert (await subscription.status())[0] is code
    written = Code.NOT_FOUND if code is Code.UNIMPLEMENTED else code
    assert (await refused(client.set(prefix=prefix, delete=[asked])))[0] is written


async def test_the_target_is_repeated_only_when_it_was_given(client):
    for target in ("", "bng-01"):
        prefix = pb.Path(target=target)
        found = await get(client, pb.GetRequest(prefix=prefix, path=[path(SESSION)]))
        assert {notification.prefix.target for notification in found.notification} == {target}
        picture = await client.once(f"{SESSIONS}/session", prefix=prefix)
        assert {notification.prefix.target for notification in picture.notifications} == {target}
        assert (await client.set(prefix=prefix)).prefix.target == target


async def test_origins_of_paths_are_repeated(client):
    asked = [path("/sessions/session/status", origin="aether-subscriber"), path(f"{GOLD}/priority")]
    found = await get(client, pb.GetRequest(path=asked))
    assert [n.prefix.origin for n in found.notification] == ["aether-subscriber", ""]


# --- 2.2.3, 2.3 values


async def test_values_in_every_encoding(client):
    asked = f"{SESSION}/counters/in-octets"
    fields = {
        pb.JSON: ("json_val", b"1000"),
        pb.JSON_IETF: ("json_ietf_val", b'"1000"'),
        pb.PROTO: ("uint_val", 1000),
        pb.ASCII: ("ascii_val", "1000"),
    }
    for encoding, (name, value) in fields.items():
        found = (await get(client, pb.GetRequest(path=[path(asked)], encoding=encoding))).notification[0]
        assert found.update[0].val == pb.TypedValue(**{name: value})
    # without an encoding it is JSON
    unsaid = await get(client, pb.GetRequest(path=[path(asked)]))
    assert unsaid.notification[0].update[0].val.WhichOneof("value") == "json_val"


async def test_leaf_lists_are_arrays(client):
    asked = "/ietf-netconf-acm:nacm/groups/group[name=admin]/user-name"
    by_proto = await get(client, pb.GetRequest(path=[path(asked)], encoding=pb.PROTO))
    value = by_proto.notification[0].update[0].val
    assert [element.string_val for element in value.leaflist_val.element] == ["admin"]
    by_json = await get(client, pb.GetRequest(path=[path(asked)], encoding=pb.JSON))
    assert json.loads(by_json.notification[0].update[0].val.json_val) == ["admin"]


# --- 2.6 models


async def test_models_restrict_what_is_read(client):
    only = [pb.ModelData(name="aether-shaping")]
    for encoding in (pb.PROTO, pb.JSON_IETF, pb.ASCII):
        (found,) = await client.get("/", encoding=encoding, use_models=only)
        assert found.values
        assert all(known.startswith(PROFILES) for known in found.values)
    picture = await client.once("/", use_models=only)
    assert f"{GOLD}/priority" in picture.values
    assert all(known.startswith(PROFILES) for known in picture.values)
    assert (await refused(client.get(SESSION, use_models=only)))[0] is Code.UNIMPLEMENTED
    subscription = await client.subscribe(SESSION, use_models=only)
    assert (await subscription.status())[0] is Code.UNIMPLEMENTED


async def test_identities_of_other_models_are_not_used(client):
    interface, library = "/ietf-interfaces:interfaces/interface[name=eth9]", "/ietf-yang-library:yang-library"
    await client.set(update=[update(f"{interface}/type", ietf("iana-if-type:ethernetCsmacd"))])
    alone = [pb.ModelData(name="ietf-interfaces")]
    with_types = [*alone, pb.ModelData(name="iana-if-type")]
    for encoding in (pb.PROTO, pb.JSON_IETF):
        for models, typed in ((alone, False), (with_types, True)):
            asked = {"encoding": encoding, "use_models": models}
            (found,) = await client.get(interface, type=pb.GetRequest.CONFIG, **asked)
            assert found.values
            assert ("iana-if-type" in str(found.values)) is typed
            once = await client.once(interface, **asked)
            assert f"{interface}/name" in once.values
            assert (f"{interface}/type" in once.values) is typed
    # a key that is such an identity
    for encoding in (pb.PROTO, pb.JSON_IETF):
        for names in (["ietf-yang-library"], ["ietf-yang-library", "ietf-datastores"]):
            models = [pb.ModelData(name=name) for name in names]
            (found,) = await client.get(library, encoding=encoding, use_models=models)
            assert ("ietf-datastores:running" in str(found.values)) is (len(names) == 2)


# --- 3.3 Get


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


# --- 3.4 Set


async def profiles(client) -> set[str]:
    (found,) = await client.get(f"{PROFILES}/profile/name", type=pb.GetRequest.CONFIG)
    return set(found.values.values())


def profile(name: str, **more) -> dict:
    rate = {"rate": "1000000"}
    return {"name": name, "download": rate, "upload": rate, **more}


async def test_operations_are_applied_in_order_and_answered_in_order(client):
    answer = await client.set(
        update=[update(f"{GOLD}/priority", 1), update(f"{GOLD}/priority", 2), update(f"{GOLD}/priority", 3)],
        replace=[update(f"{GOLD}/description", "one"), update(f"{GOLD}/description", "two")],
        delete=[path(f"{PROFILES}/profile[name=silver]"), path(f"{GOLD}/description")],
    )
    kinds = pb.UpdateResult
    assert [r.op for r in answer.response] == [kinds.DELETE] * 2 + [kinds.REPLACE] * 2 + [kinds.UPDATE] * 3
    (found,) = await client.get(GOLD)
    assert (found.values[f"{GOLD}/priority"], found.values[f"{GOLD}/description"]) == (3, "two")


async def test_replacing_a_list_removes_what_is_not_given(client):
    await client.set(replace=[update(f"{PROFILES}/profile", ietf([profile("new"), profile("newer")]))])
    assert await profiles(client) == {"new", "newer"}
    await client.set(update=[update(f"{PROFILES}/profile", ietf([profile("newest")]))])
    assert await profiles(client) == {"new", "newer", "newest"}


VALUES = [
    # 3.4.4: replace is no way to delete
    ("replace", update(GOLD, ietf({}))),
    ("replace", update(GOLD, ietf(None))),
    ("replace", update(f"{GOLD}/priority", ietf(None))),
    # 3.4.5: all keys, and none that contradict
    ("update", update(f"{PROFILES}/profile", ietf(profile("x")))),
    ("update", update(f"{GOLD}/name", "platinum")),
    ("update", update(GOLD, ietf(profile("platinum")))),
    ("replace", update(GOLD, ietf(profile("platinum")))),
    # 3.4.7: values of another type
    ("update", update(f"{GOLD}/priority", "high")),
    ("update", update(f"{GOLD}/priority", -1)),
    ("update", update(f"{GOLD}/priority", pb.TypedValue(bytes_val=b"1"))),
]


async def test_values_that_set_refuses(client):
    (before,) = await client.get(PROFILES, type=pb.GetRequest.CONFIG)
    for field, what in VALUES:
        assert (await refused(client.set(**{field: [what]})))[0] is Code.INVALID_ARGUMENT, what
    assert (await refused(client.set(delete=[path(f"{GOLD}/name")])))[0] is Code.INVALID_ARGUMENT
    await client.set(update=[update(f"{GOLD}/name", "gold")])  # the key itself is no contradiction
    (after,) = await client.get(PROFILES, type=pb.GetRequest.CONFIG)
    assert after.values == before.values


async def test_paths_and_encodings_that_set_does_not_know(client):
    for field in ("update", "replace"):
        for text in (f"{GOLD}/nonsense", "/no-such-module:x", f"{PROFILES}/profile[colour=red]"):
            assert (await refused(client.set(**{field: [update(text, 1)]})))[0] is Code.NOT_FOUND
    for value in (pb.TypedValue(proto_bytes=b"x"), pb.TypedValue(any_val={})):
        assert (await refused(client.set(update=[update(GOLD, value)])))[0] is Code.UNIMPLEMENTED


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"{PROFILES}/profile", set()),
        (f"{PROFILES}/profile[name=*]", set()),
        (f"{PROFILES}/*", set()),
        (f"{PROFILES}/...", set()),
        ("/..." * 60 + "/profile[name=gold]", {"silver"}),
        ("/.../*" * 30, {"gold", "silver"}),
        (f"{PROFILES}/profile[name=none]", {"gold", "silver"}),
        (f"{PROFILES}/profile[name=none]/description", {"gold", "silver"}),
        ("/.../profile[name=silver]", {"gold"}),
        ("/*/profile[name=silver]", {"gold"}),
        ("/*/*[name=silver]", {"gold"}),
        ("/.../*[nonsense=silver]", {"gold", "silver"}),
        ("/*/no-such-thing", None),
    ],
)
async def test_deletions_with_wildcards(client, text, left):
    if left is None:
        assert (await refused(client.set(delete=[path(text)])))[0] is Code.NOT_FOUND
        return
    await client.set(delete=[path(text)])
    assert await profiles(client) == left


async def test_leaves_of_all_entries_are_deleted(client):
    await client.set(
        update=[update(f"{PROFILES}/profile[name={name}]/priority", 1) for name in ("gold", "silver")]
    )
    await client.set(delete=[path(f"{PROFILES}/profile/priority")])
    (found,) = await client.get(f"{PROFILES}/profile/priority")
    assert set(found.values.values()) == {4}


async def test_entries_of_leaf_lists_are_deleted(client):
    groups = "/ietf-netconf-acm:nacm/groups"
    await client.set(update=[update(f"{groups}/group[name=viewer]/user-name", ietf(["viewer", "blind"]))])
    await client.set(delete=[path(f"{groups}/group[name=*]/user-name[.=blind]")])
    (found,) = await client.get(f"{groups}/group/user-name")
    names = {known.split("name=")[1].split("]")[0]: value for known, value in found.values.items()}
    assert names == {"admin": ["admin"], "viewer": ["viewer"]}


async def test_wildcards_delete_nothing_that_is_forbidden(target):
    await target.client().set(
        update=[update("/ietf-netconf-acm:nacm/rule-list[name=viewer]", ietf({
            "group": ["viewer"],
            "rule": [
                {"name": "one", "path": f"{PROFILES}/profile[name='gold']", "action": "permit",
                 "access-operations": "delete"},
            ],
        }))]
    )  # fmt: skip
    viewer = target.client("viewer")
    assert (await refused(viewer.set(delete=[path(f"{PROFILES}/profile[name=*]")])))[
        0
    ] is Code.PERMISSION_DENIED
    assert await profiles(viewer) == {"gold", "silver"}
    await viewer.set(delete=[path(GOLD)])
    assert await profiles(viewer) == {"silver"}


async def test_set_is_one_change_to_a_subscriber(target, client):
    subscription = await client.subscribe(f"{PROFILES}/profile/priority", mode=pb.ON_CHANGE)
    await subscription.until_sync()
    bad = [
        update(f"{GOLD}/priority", 1),
        update(f"{PROFILES}/profile[name=refused]", ietf(profile("refused"))),
    ]
    await refused(client.set(update=bad))
    await client.set(update=[update(f"{GOLD}/priority", 2)])
    assert (await subscription.update()).values == {f"{GOLD}/priority": 2}


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
    async with asyncio.timeout(60):
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
