"""What the text of the gNMI specification says, rule by rule: messages: paths, values, models (chapter 2).

docs/gnmi-specification.md names these tests; numbers in comments are those of its sections.
"""

from __future__ import annotations

import itertools
import json

import pytest

from telemetry.protocol import gnmi_pb2 as pb
from telemetry.protocol.paths import build, from_text, steps_of, to_text
from tests.contract.gnmi.client import path
from tests.contract.gnmi.specification import (
    GOLD,
    ONCE,
    PROFILES,
    SESSION,
    SESSIONS,
    Code,
    get,
    ietf,
    refused,
    update,
)

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
