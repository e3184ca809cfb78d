"""Plain edits that are merged in one go have the outcome that they have as a list of edits."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from lxml import etree

from yang.access import AccessControl, User
from yang.datastore.context import SchemaBuilder, load_context
from yang.datastore.data import Tree
from yang.datastore.edit import Editor, ValueReader
from yang.datastore.edit_plain import NotPlain, merge_plain
from yang.datastore.edit_xml import XmlEdits
from yang.datastore.edits import Edits
from yang.datastore.validator import Validator
from yang.provider import OperationError
from yang.schema import Schema

MODULE = """
module plain {
  yang-version 1.1; namespace "urn:plain"; prefix p;
  container all {
    leaf text { type string; }
    leaf number { type uint8 { range "1..200"; } default 3; }
    leaf who { type identityref { base kind; } }
    container inner {
      leaf text { type string; } container there { presence "yes"; leaf text { type string; } }
    }
    choice one {
      case a { leaf a { type empty; } list la { key k; leaf k { type string; } } } leaf b { type int8; }
    }
    list twice { key "x y"; leaf x { type uint8; } leaf y { type boolean; } leaf text { type string; } }
    list once {
      key name; ordered-by user; leaf text { type string; } leaf name { type string { length "1..3"; } }
      container inner { leaf text { type string; } } list twice { key x; leaf x { type uint8; } } }
    leaf-list tag { type string; }
  }
  identity kind; identity own { base kind; }
}
"""
VALUES = {
    "text": ("", "t", "u"), "number": ("1", " 7 ", "+7", "0x1F", "007", "201", "-1", "", "٣"),
    "who": ("own", "p:own", "q:own", "kind"), "a": ("", "x"), "b": ("1", "-1", "999"), "k": ("k", "l"),
    "x": ("1", "2", "02"), "y": ("true", "false"), "name": ("n", "m", "long", ""), "tag": ("s", "t"),
}  # fmt: skip
INSIDE = {
    "all": ("text", "number", "who", "inner", "a", "la", "b", "twice", "once", "once", "once", "tag"),
    "inner": ("text", "there"), "there": ("text",), "la": ("k",), "twice": ("x", "y", "text"),
    "once": ("name", "text", "inner", "twice"),
}  # fmt: skip
NAMESPACE = "urn:plain"


def xml(random: Random, name: str) -> str:
    """An element, often a good one."""
    if random.random() < 0.01:
        return random.choice(
            ("<nothing/>", "<text xmlns='urn:none'/>", "<!-- c -->", "<?pi?>", "text", "<text><x/></text>")
        )
    noise = random.choice(("<!-- c -->", "\n ", " p:x='1'")) if random.random() < 0.03 else ""
    attribute = noise if noise.startswith(" p:") else ""
    if name in VALUES:
        choices = VALUES[name][:2] if random.random() < 0.95 else VALUES[name]
        return f"<{name}{attribute}>{random.choice(choices)}</{name}>"
    own = INSIDE[name]
    keys = {"la": 1, "twice": 2, "once": 1}.get(name, 0)
    chosen = list(own[:keys]) if random.random() < 0.98 else []
    rest = random.sample(own, random.randrange(min(4, len(own)) + 1))
    chosen += [one for one in rest if one not in chosen or one == "once"]
    if random.random() < 0.1:
        random.shuffle(chosen)
    if name == "all" and random.random() < 0.8:
        chosen = [one for one in chosen if one != "tag"]
    text = "" if attribute else noise
    return f"<{name}{attribute}>{text}{''.join(xml(random, one) for one in chosen)}</{name}>"


PLACES = (
    "/plain:all/text", "/plain:all/inner", "/plain:all/inner/there", "/plain:all/twice", "/plain:all/b",
    "/plain:all/twice[x='1']", "/plain:all/twice[x='1'][y='true']/text", "/plain:all/once/name",
    "/plain:all/once[name='n']", "/plain:all/once[name='m']/inner", "/plain:all/once/twice[x='2']",
    "/plain:all",
)  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Schema, Validator]:
    folder = tmp_path_factory.mktemp("modules")
    (folder / "plain.yang").write_text(MODULE)
    context = load_context((folder,))
    schema = SchemaBuilder(context, (folder,)).build()
    return schema, Validator(context, schema)


def request(random: Random) -> etree._Element:
    return etree.fromstring(
        f"<config xmlns='{NAMESPACE}' xmlns:p='{NAMESPACE}'>{xml(random, 'all')}</config>"
    )


def test_one_go_is_as_good_as_a_list_of_edits(model: tuple[Schema, Validator]) -> None:
    schema, validator = model
    values = ValueReader(validator.check_value)
    met: Counter[str] = Counter()
    random = Random(4)
    tree: Tree = {}
    for turn in range(3000):
        config = request(random)
        try:
            wanted = Editor().apply(tree, XmlEdits(schema, values).read(config), "merge")
        except OperationError:
            wanted = None
        try:
            found = merge_plain(XmlEdits(schema, values), tree, config)
        except (NotPlain, OperationError):
            met["not plain" if wanted is not None else "refused"] += 1
        else:
            met["plain"] += 1
            assert repr(found) == repr(wanted), etree.tostring(config)  # in the same order, too
        tree = wanted if wanted is not None and turn % 10 else {}
    assert min(met[what] for what in ("plain", "not plain", "refused")) > 30, met


def test_what_may_not_be_guessed_is_not_merged_in_one_go(model: tuple[Schema, Validator]) -> None:
    """In one go is only what, as a list of edits, names nothing that the user may neither read nor write."""
    schema, validator = model
    values = ValueReader(validator.check_value)
    random = Random(7)
    met: Counter[str] = Counter()
    tree: Tree = {}
    for turn in range(1500):
        access = AccessControl(schema)
        access.configure({"ietf-netconf-acm:nacm": nacm(random)})
        rules = access.rules_for(User("somebody", frozenset({"group"})))
        config = request(random)
        try:
            edits = XmlEdits(schema, values).read(config)
            wanted = Editor().apply(tree, edits, "merge")
        except OperationError:
            continue
        try:
            Edits(schema, validator, access)._check_guesses(edits, rules, rules.start)
            guesses = False
        except OperationError:
            guesses = True
        try:
            found = merge_plain(XmlEdits(schema, values), tree, config, rules)
        except NotPlain:
            met["guesses" if guesses else "not plain"] += 1
        else:
            met["plain"] += 1
            assert not guesses, etree.tostring(config)
            assert repr(found) == repr(wanted), etree.tostring(config)
        tree = wanted if turn % 10 else {}
    assert min(met[what] for what in ("plain", "guesses")) > 50, met
    assert met["plain"] > 2 * met["not plain"], met


def nacm(random: Random) -> dict[str, Any]:
    """Rules that hide some places, and permit to write some."""
    rules = {
        (f"r{number}",): {
            "name": f"r{number}",
            "path": place,
            "access-operations": random.choice(("read", "read", "*", "create update")),
            "action": "permit" if random.random() < 0.3 else "deny",
        }
        for number, place in enumerate(random.sample(PLACES, 3))
    }
    return {
        "write-default": random.choice(("permit", "deny", "deny")),
        "rule-list": {("l",): {"name": "l", "group": ("group",), "rule": rules}},
    }
