"""Plain edits that are merged in one go have the outcome that they have as a list of edits."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from lxml import etree

from yang.datastore.context import SchemaBuilder, load_context
from yang.datastore.data import Tree
from yang.datastore.edit import Editor, ValueReader
from yang.datastore.edit_plain import NotPlain, merge_plain
from yang.datastore.edit_xml import XmlEdits
from yang.datastore.validator import Validator
from yang.provider import OperationError

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


def test_one_go_is_as_good_as_a_list_of_edits(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("modules")
    (folder / "plain.yang").write_text(MODULE)
    context = load_context((folder,))
    schema = SchemaBuilder(context, (folder,)).build()
    values = ValueReader(Validator(context, schema).check_value)
    met: Counter[str] = Counter()
    random = Random(4)
    tree: Tree = {}
    for turn in range(3000):
        config = etree.fromstring(
            f"<config xmlns='{NAMESPACE}' xmlns:p='{NAMESPACE}'>{xml(random, 'all')}</config>"
        )
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
