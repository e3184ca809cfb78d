"""Paths of people: to XPath, to edits, and their completion."""

from datetime import UTC, datetime

import pytest
from lxml import etree

from nbi.cli.complete import names
from nbi.cli.model import Model, nodes_of
from nbi.cli.paths import edit, parse, split_assignment, xpath
from nbi.cli.target import TargetError
from nbi.cli.text import compare, flat, leaves, tree
from nbi.cli.watch import since

FARM = """
module farm {
  yang-version 1.1; namespace "urn:farm"; prefix f;
  container farm {
    list field {
      key "name"; leaf name { type string; } leaf size { type uint32; } leaf-list crop { type string; }
    }
    container gate { presence "it has one"; }
    leaf visitors { config false; type uint32; }
  }
  rpc plough { input { leaf field { type string; } } }
}"""
BARN = """
module barn {
  yang-version 1.1; namespace "urn:barn"; prefix b;
  import farm { prefix f; }
  augment "/f:farm" { container barn { leaf doors { type uint8; } } }
  container tools { leaf rake { type string; } }
}"""


@pytest.fixture(scope="module")
def model():
    nodes = {node.path: node for node in nodes_of({"barn": BARN, "farm": FARM})}
    return Model({"farm": "urn:farm", "barn": "urn:barn"}, nodes)


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("/farm:farm/field[name='a b']/size", "/farm:farm/farm:field[farm:name='a b']/farm:size"),
        ("farm/field[name=x]", "/farm:farm/farm:field[farm:name='x']"),
        ("farm/barn/doors", "/farm:farm/barn:barn/barn:doors"),
        ("/farm:farm/barn:barn", "/farm:farm/barn:barn"),
        ('farm/field[name="it\'s"]', '/farm:farm/farm:field[farm:name="it\'s"]'),
        ("farm/field/crop[.='oats']/", "/farm:farm/farm:field/farm:crop[.='oats']"),
    ],
)
def test_a_path_becomes_an_xpath(model, text, expression):
    found, namespaces = xpath(parse(text, model), model)
    assert found == expression
    assert namespaces == {module: f"urn:{module}" for module in namespaces}
    assert set(namespaces) == {part.strip("/[.'\" ") for part in ("farm", "barn") if f"{part}:" in found}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("/farm:farm/pond", 'has no "pond"; there is: barn:barn, field, gate, visitors'),
        ("nowhere", 'the element has no "nowhere"'),
        ("farm/field[name='x", "a key is written"),
        ("farm//field", "a name is expected"),
        ("farm/field]", "a name is expected"),
    ],
)
def test_what_is_no_path_is_said(model, text, message):
    with pytest.raises(TargetError, match=message.replace("[", r"\[")):
        parse(text, model)


def test_an_edit_holds_keys_value_and_operation(model):
    config = edit(parse("farm/field[name='north']/size", model), model, "7", None)
    field = config.find("{urn:farm}farm/{urn:farm}field")
    assert [(etree.QName(leaf).localname, leaf.text) for leaf in field] == [("name", "north"), ("size", "7")]
    gone = edit(parse("farm/field[name='north']", model), model, None, "delete")
    operation = "{urn:ietf:params:xml:ns:netconf:base:1.0}operation"
    assert [entry.get(operation) for entry in gone.iter("{urn:farm}field")] == ["delete"]
    crop = edit(parse("farm/field[name='north']/crop[.='oats']", model), model, None, "delete")
    assert crop.findtext(".//{urn:farm}crop") == "oats"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("farm/visitors", "7", "no configuration"),
        ("farm/field/size", "7", "needs its key"),
        ("farm/gate", "open", "no leaf"),
        ("farm:plough", None, "no configuration"),
    ],
)
def test_what_cannot_be_set_is_said(model, path, value, message):
    with pytest.raises(TargetError, match=message):
        edit(parse(path, model), model, value, None)


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("a/b[k='x=]y']/c=1=2", "a/b[k='x=]y']/c", "1=2"),
        ("a/b[k=x]", "a/b[k=x]", None),
        ("a=", "a", ""),
    ],
)
def test_a_path_ends_where_its_value_begins(text, path, value):
    assert split_assignment(text) == (path, value)


def test_names_are_completed_with_and_without_their_module(model):
    assert list(names("", model)) == ["barn:tools", "farm:farm"]
    assert list(names("fa", model)) == ["farm:farm"]
    assert list(names("too", model)) == ["tools"]
    assert list(names("/farm:farm/", model)) == [
        f"/farm:farm/{name}" for name in ("field", "gate", "visitors", "barn:barn")
    ]
    assert list(names("farm/field", model)) == ["farm/field", "farm/field[name="]
    assert list(names("farm/field[name='x']/s", model)) == ["farm/field[name='x']/size"]
    assert list(names("farm/pond/x", model)) == []
    assert list(names("farm/field[", model)) == ["farm/field[name="]
    assert list(names("farm/field[na", model)) == ["farm/field[name="]
    assert list(names("farm/field[name='x'][", model)) == []
    assert list(names("farm/pond[", model)) == []


DATA = """<data><farm xmlns="urn:farm"><field><name>north</name><size>7</size></field>
<field><name>bare</name></field><gate/><barn xmlns="urn:barn"><doors>2</doors></barn></farm></data>"""


def test_data_as_lines_and_as_a_tree(model):
    data = etree.fromstring(DATA)
    assert list(flat(data, model)) == [
        "/farm:farm/field[name='north']/size 7",
        "/farm:farm/field[name='bare']",
        "/farm:farm/gate",
        "/farm:farm/barn:barn/doors 2",
    ]
    assert list(tree(data, model))[:4] == [
        "farm:farm",
        "  field[name='north']",
        "    name north",
        "    size 7",
    ]


def test_what_a_terminal_would_obey_is_shown_instead(model):
    data = etree.fromstring(DATA.replace("north", "no\x85rth"))
    assert "/farm:farm/field[name='no\\u0085rth']/size 7" in list(flat(data, model))


def test_differences_are_lines(model):
    before = etree.fromstring(DATA)
    after = etree.fromstring(DATA.replace("<size>7", "<size>8").replace("<gate/>", ""))
    assert list(compare(before, after, model)) == [
        "- /farm:farm/field[name='north']/size 7",
        "+ /farm:farm/field[name='north']/size 8",
        "- /farm:farm/gate",
    ]
    assert list(compare(before, before, model)) == []


def test_leaves_of_a_notification_have_short_names():
    content = etree.fromstring("<n xmlns='urn:x'><a>1</a><b><c>2</c></b></n>")
    assert leaves(content) == {"a": "1", "b/c": "2"}


def test_times_of_people():
    now = datetime(2026, 11, 25, 12, tzinfo=UTC)
    assert since("90m", now) == "2026-11-25T10:30:00+00:00"
    assert since("2026-11-25T10:00:00Z", now) == "2026-11-25T10:00:00+00:00"
    for text in ("yesterday", "99999999999d", ""):
        with pytest.raises(TargetError):
            since(text, now)
