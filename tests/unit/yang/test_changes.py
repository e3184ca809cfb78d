"""The diff as an edit-config: applied to the one configuration it gives the other, whatever the two are."""

from __future__ import annotations

import random
from typing import Any

import pytest
from lxml import etree

from yang.access import ALLOW_ALL
from yang.datastore.changes import change_list, edit_config
from yang.datastore.context import SchemaBuilder, load_context
from yang.datastore.data import from_json, to_json
from yang.datastore.edit import Editor, ValueReader
from yang.datastore.edit_xml import XmlEdits
from yang.datastore.validator import Validator

NAMES = ("a", "b'c", 'd"e', "f", "g&<]")
PATHS = ("/aether-bng:bng", "/aether-shaping:shaping-profiles/profile[name='a']", "/ietf-system:system")


def some(rng: random.Random) -> list[str]:
    return rng.sample(NAMES, rng.randrange(1, len(NAMES)))


def rule(rng: random.Random, name: str) -> dict[str, Any]:
    path = {"path": rng.choice(PATHS)} if rng.random() < 0.5 else {}
    return {"name": name, "action": rng.choice(["permit", "deny"]), **path}


def configuration(rng: random.Random) -> dict[str, Any]:
    """Lists and a leaf-list that their users order, others, and leaves with namespaces in their values."""
    lists = [
        {"name": name, "group": some(rng), "rule": [rule(rng, inner) for inner in some(rng)]}
        for name in some(rng)
    ]
    search = [f"h{n}.example" for n in rng.sample(range(6), rng.randrange(1, 6))]
    interfaces = [{"name": name, "type": "iana-if-type:ethernetCsmacd"} for name in some(rng)]
    return {
        "ietf-netconf-acm:nacm": {"rule-list": lists},
        "ietf-system:system": {"dns-resolver": {"search": search}},
        "ietf-interfaces:interfaces": {"interface": interfaces},
    }


def comparable(members: dict[str, Any]) -> dict[str, Any]:
    """Without the order that nobody means."""
    for entry in members["ietf-netconf-acm:nacm"]["rule-list"]:
        entry["group"].sort()
    members["ietf-interfaces:interfaces"]["interface"].sort(key=lambda entry: entry["name"])
    return members


@pytest.fixture(scope="module")
def validator() -> Validator:
    context = load_context()
    return Validator(context, SchemaBuilder(context).build())


@pytest.mark.parametrize("seed", range(40))
def test_it_makes_the_change(validator: Validator, seed: int) -> None:
    rng, schema = random.Random(seed), validator._schema
    old, new = (from_json(schema.root, configuration(rng)) for _ in range(2))
    text = edit_config(schema, old, new, ALLOW_ALL)
    edits = XmlEdits(schema, ValueReader(validator.check_value)).read(etree.fromstring(text))
    result = Editor().apply(old, edits, "merge")
    assert comparable(to_json(schema.root, result)) == comparable(to_json(schema.root, new))
    assert change_list(schema, new, new, ALLOW_ALL) == []
    assert len(etree.fromstring(edit_config(schema, new, new, ALLOW_ALL))) == 0
