"""What libyang accepts of a tree that was kept is what it accepts of the whole, and completes alike."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from yang.datastore.context import SchemaBuilder, load_context
from yang.datastore.data import Tree, from_json
from yang.datastore.running import EMPTY_SNAPSHOT, Snapshot, complete
from yang.datastore.sharing import tree_of
from yang.datastore.validator import Validator
from yang.provider import OperationError
from yang.schema import Schema

MODULE = """
module constraints {
  yang-version 1.1; namespace "urn:constraints"; prefix c;
  container all {
    list item {
      key "name kind"; unique "address";
      leaf name { type string; }
      leaf kind { type enumeration { enum x; enum y; } }
      leaf address { type string; }
      leaf size { type uint32; default 5; must ". < 900"; }
      leaf peer { type leafref { path "../../item/name"; } }
      leaf either { type union { type leafref { path "../../item/name"; } type uint8; type string; } }
      container inner {
        leaf mode { type enumeration { enum a; enum b; } default a; }
        leaf extra { when "../mode = 'b'"; type string; default "x"; }
      }
      choice how {
        default one;
        case one { leaf one { type uint8; default 1; } }
        case two { leaf two { type uint8; } }
      }
      container flag { presence "it is there"; leaf colour { type string; default red; } }
      leaf-list tag { type string; }
      list sub { key id; ordered-by user; leaf id { type uint8; } leaf weight { type uint8; default 1; } }
    }
    container summary {
      must "count(../item) < 9";
      leaf big { when "../../item[size > 500]"; type string; default "yes"; }
      leaf chosen { type leafref { path "../../item/name"; } }
      leaf noted { when "../../item[name = 'a']"; type string; }
    }
    choice what {
      case lists { list only { key name; leaf name { type string; } } }
      case other { leaf other { type uint8; } }
    }
  }
  list top {
    key name; min-elements 1;
    leaf name { type string; }
    leaf item { type leafref { path "/all/item/name"; } }
    leaf sized { when "/all/item[size > 700]"; type uint8; default 7; }
  }
}
"""
ALL, TOP = "constraints:all", "constraints:top"
NAMES = "abcde'"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Schema, Callable[[], Validator]]:
    folder = tmp_path_factory.mktemp("modules")
    (folder / "constraints.yang").write_text(MODULE)
    context = load_context((folder,))
    schema = SchemaBuilder(context, (folder,)).build()
    return schema, lambda: Validator(context, schema)


def item(random: Random, name: str, kind: str) -> dict[str, Any]:
    """An entry that may be valid."""
    entry: dict[str, Any] = {"name": name, "kind": kind}
    values: dict[str, Callable[[], Any]] = {
        "address": lambda: random.choice("pqrstu"),
        "size": lambda: random.choice([1, 600, 800, 899, 901]),
        "peer": lambda: random.choice(NAMES),
        "either": lambda: random.choice([3, "a", "b", "z"]),
        "inner": lambda: random.choice([{"mode": "b"}, {"mode": "b", "extra": "y"}, {"extra": "n"}]),
        "one": lambda: 4,
        "two": lambda: 5,
        "flag": lambda: random.choice([{}, {"colour": "blue"}]),
        "tag": lambda: random.sample("mno", 2),
        "sub": lambda: [{"id": n} for n in random.sample(range(5), 3)],
    }
    for leaf in random.sample(sorted(values), random.randrange(4)):
        entry[leaf] = values[leaf]()
    if "two" in entry:
        entry.pop("one", None)
    return entry


def change(members: dict[str, Any], random: Random) -> dict[str, Any]:
    members = copy.deepcopy(members)
    inside = members.setdefault(ALL, {})
    items, summary = inside.setdefault("item", []), inside.setdefault("summary", {})
    for _ in range(random.choice([1, 1, 2])):
        kind = random.randrange(10)
        if kind < 5:
            name, sort = random.choice(NAMES), random.choice("xy")
            items[:] = [one for one in items if (one["name"], one["kind"]) != (name, sort)]
            items.insert(random.randrange(len(items) + 1), item(random, name, sort))
        elif kind == 5 and items:
            del items[random.randrange(len(items))]
        elif kind == 6:
            tops = members.setdefault(TOP, [])
            name = random.choice("tuvw")
            tops[:] = [one for one in tops if one["name"] != name]
            tops.append({"name": name, **random.choice([{}, {"item": random.choice(NAMES)}, {"sized": 9}])})
        elif kind == 7:
            leaf = random.choice(["chosen", "noted"])
            summary.pop(leaf, None)
            if random.random() < 0.7:
                summary[leaf] = random.choice(NAMES)
        elif kind == 8:
            inside.pop("other", None)
            inside["only"] = [{"name": name} for name in random.sample("ghi", random.randrange(1, 3))]
        else:
            random.shuffle(items)
    return members


def outcome(validator: Validator, tree: Tree) -> dict[str, Any] | None:
    try:
        return validator.complete(tree)
    except OperationError:
        return None


def test_the_short_way_is_the_long_way(made: tuple[Schema, Callable[[], Validator]]) -> None:
    schema, make = made
    short, long = make(), make()
    met: Counter[str] = Counter()
    for seed in range(60):
        random = Random(seed)
        members: dict[str, Any] = {
            TOP: [{"name": "s"}, {"name": "r"}, {"name": "q"}],
            ALL: {"item": [{"name": name, "kind": "x"} for name in "abcde"]},
        }
        tree, shared = tree_of(schema.root, members)
        now = complete(schema, short, tree, EMPTY_SNAPSHOT)
        for _ in range(20):
            wanted = change(members, random)
            tree, taken = tree_of(schema.root, wanted, shared, now.tree)
            expected = outcome(long, tree)
            before = copy.deepcopy((now.full, now.members))
            known = short.kept.follow(now.tree, tree, now.full, now.members)
            assert (now.full, now.members) == before, "the configuration before was changed"
            met["short" if known else "long" if expected else "refused"] += 1
            if known:
                assert expected is not None, wanted
                full, shown = known
                assert full == from_json(schema.root, expected)
                assert shown == expected
                assert list(full[ALL]["item"]) == list(tree[ALL]["item"])
                now = Snapshot(tree, shown, full)
            elif expected is not None:
                now = complete(schema, short, tree, now)
            else:
                now = complete(schema, short, now.tree, EMPTY_SNAPSHOT)
                continue
            members, shared = wanted, taken
    # all three happen often enough for this to mean something
    assert min(met[way] for way in ("short", "long", "refused")) > 100, met


def test_one_entry_of_many_is_enough(made: tuple[Schema, Callable[[], Validator]]) -> None:
    schema, make = made
    validator = make()
    members = {TOP: [{"name": f"t{n}"} for n in range(50)]}
    tree, shared = tree_of(schema.root, members)
    now = complete(schema, validator, tree, EMPTY_SNAPSHOT)
    wanted = copy.deepcopy(members)
    wanted[TOP][20]["name"] = "other"
    after, _ = tree_of(schema.root, wanted, shared, tree)
    known = validator.kept.follow(tree, after, now.full, now.members)
    assert known is not None
    assert [entry["name"] for entry in known[1][TOP]] == [entry["name"] for entry in wanted[TOP]]
    assert known[1][TOP][3] is now.members[TOP][3], "what did not change is shared"
    assert validator.kept.follow(tree, after, now.full, now.members) is None, "another one is kept now"
