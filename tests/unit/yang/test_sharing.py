"""What is taken over from an earlier configuration is what a conversion from nothing would give."""

from __future__ import annotations

import copy
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from yang.access import ALLOW_ALL, AccessControl, Rules
from yang.datastore.data import differences, from_json, to_json
from yang.datastore.edits import Edits
from yang.datastore.sharing import members_of, tree_of
from yang.provider import OperationError
from yang.schema import Schema

PROFILES = "aether-shaping:shaping-profiles"
BNG = "aether-bng:bng"


def configuration(count: int) -> dict[str, Any]:
    return {
        PROFILES: {
            "profile": [
                {
                    "name": f"p{n}",
                    "download": {"rate": str(1000 + n)},
                    "upload": {"rate": "1000"},
                    "priority": 4,
                }
                for n in range(count)
            ]
        },
        BNG: {"identity": {"bng-id": "b"}, "interfaces": {"subscriber": ["eth1", "eth2"]}},
    }


def change(members: dict[str, Any], random: Random) -> dict[str, Any]:
    """Another configuration that differs in some way."""
    members = copy.deepcopy(members)
    profiles = members.get(PROFILES, {}).get("profile", [])
    kind = random.randrange(7)
    if kind == 0 and profiles:
        random.choice(profiles)["download"]["rate"] = str(random.randrange(1000, 9999))
    elif kind == 1 and profiles:
        del profiles[random.randrange(len(profiles))]
    elif kind == 2:
        new = {"name": f"n{random.randrange(10**6)}", "download": {"rate": "1"}, "upload": {"rate": "2"}}
        members.setdefault(PROFILES, {}).setdefault("profile", []).insert(0, new)
    elif kind == 3:
        random.shuffle(profiles)
    elif kind == 4 and profiles:
        random.choice(profiles).pop("priority", None)
    elif kind == 5:
        members.setdefault(BNG, {})["interfaces"] = {"subscriber": [f"eth{random.randrange(9)}"]}
    else:
        members.pop(random.choice([PROFILES, BNG]), None)
    if not members.get(PROFILES, {"profile": 1}).get("profile"):
        members.pop(PROFILES, None)
    return members


@pytest.mark.parametrize("seed", range(20))
def test_taking_over_changes_nothing_of_the_result(schema: Schema, seed: int) -> None:
    random = Random(seed)
    members: dict[str, Any] = {}
    tree: dict[str, Any] = {}
    explicit: dict[str, Any] = {}
    now = configuration(6)
    for _ in range(12):
        before = copy.deepcopy((members, tree, explicit))
        after, shared = tree_of(schema.root, now, members, tree)
        assert after == from_json(schema.root, now)
        assert shared == now
        stated = change(now, random) if random.random() < 0.3 else without_defaults(now)
        given = stated, from_json(schema.root, stated)
        assert tree_of(schema.root, now, members, tree, given) == (after, shared)
        assert list(map(list, _entries(after))) == list(map(list, _entries(from_json(schema.root, now))))
        written = members_of(schema.root, after, tree, explicit)
        assert written == to_json(schema.root, after)
        assert (members, tree, explicit) == before, "an earlier configuration was changed"
        members, tree, explicit = shared, after, written
        now = change(now, random)


def without_defaults(members: dict[str, Any]) -> dict[str, Any]:
    """What of a configuration has been set."""
    stated = copy.deepcopy(members)
    for profile in stated.get(PROFILES, {}).get("profile", []):
        profile.pop("priority", None)
    return stated


def _entries(tree: dict[str, Any]) -> list[Any]:
    return [tree.get(PROFILES, {}).get("profile", {})]


def test_what_is_the_same_is_the_same_object(schema: Schema) -> None:
    old = configuration(5)
    new = copy.deepcopy(old)
    new[PROFILES]["profile"][2]["download"]["rate"] = "77"
    tree, members = tree_of(schema.root, old)
    after, shared = tree_of(schema.root, new, members, tree)
    same = [after[PROFILES]["profile"][key] is entry for key, entry in tree[PROFILES]["profile"].items()]
    assert same == [True, True, False, True, True]
    assert after[BNG] is tree[BNG]
    assert [
        a is b for a, b in zip(shared[PROFILES]["profile"], members[PROFILES]["profile"], strict=True)
    ] == same
    paths = [found.path for found in differences(schema.root, tree, after, ALLOW_ALL)]
    assert paths == ["/aether-shaping:shaping-profiles/profile[name='p2']/download/rate"]
    explicit = members_of(schema.root, tree)
    written = members_of(schema.root, after, tree, explicit)
    assert written[BNG] is explicit[BNG]
    assert written[PROFILES]["profile"][1] is explicit[PROFILES]["profile"][1]
    assert written[PROFILES]["profile"][2]["download"] == {"rate": "77"}


def test_what_was_permitted_is_asked_again_when_the_rules_are_others(schema: Schema) -> None:
    """The differences of the last edit are kept for the commit, but not the answer to another question."""
    access = AccessControl(schema)
    edits = Edits(schema, SimpleNamespace(check_value=lambda *_: None), access)  # type: ignore[arg-type]
    before, after = from_json(schema.root, configuration(1)), from_json(schema.root, configuration(2))
    permit = Rules(defaults={"read": True, "write": True})
    found = edits.check_access(before, after, permit)
    assert [difference.op for difference in found] == ["create"]
    assert edits.check_access(before, after, permit) is found
    with pytest.raises(OperationError) as refused:
        edits.check_access(before, after, Rules(defaults={"read": True, "write": False}))
    assert (refused.value.tag, access.denied_data_writes) == ("access-denied", 1)
    other = from_json(schema.root, configuration(3))
    assert len(edits.check_access(before, other, permit)) == 2
