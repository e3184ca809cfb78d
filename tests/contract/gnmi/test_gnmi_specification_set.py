"""What the text of the gNMI specification says, rule by rule: Set (section 3.4).

docs/gnmi-specification.md names these tests; numbers in comments are those of its sections.
"""

from __future__ import annotations

import pytest

from telemetry.protocol import gnmi_pb2 as pb
from tests.contract.gnmi.client import path
from tests.contract.gnmi.specification import (
    GOLD,
    PROFILES,
    Code,
    ietf,
    refused,
    update,
)


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
