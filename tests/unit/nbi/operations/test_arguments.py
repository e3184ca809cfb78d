"""Parameters of operations: each mistake gets its own error."""

import pytest
from lxml import etree

from nbi.operations.arguments import Arguments
from nbi.protocol.errors import RpcError
from nbi.protocol.names import BASE_NS


def operation(inner: str, attributes: str = "") -> etree._Element:
    return etree.fromstring(f"<op xmlns='{BASE_NS}' {attributes}>{inner}</op>")


def read(inner: str, attributes: str = "") -> Arguments:
    return Arguments(operation(inner, attributes), "source", "target", "number", "flag", "word")


@pytest.mark.parametrize(
    ("inner", "attributes", "tag", "info"),
    [
        ("<x/>", "", "unknown-element", {"bad-element": "x"}),
        ("<number xmlns='urn:y'>1</number>", "", "unknown-element", {"bad-element": "number"}),
        ("<flag/><flag/>", "", "bad-element", {"bad-element": "flag"}),
        ("", "a='1'", "unknown-attribute", {"bad-attribute": "a", "bad-element": "op"}),
        ("text", "", "bad-element", {"bad-element": "op"}),
        ("<flag/>text", "", "bad-element", {"bad-element": "op"}),
    ],
)
def test_what_does_not_belong(inner, attributes, tag, info):
    with pytest.raises(RpcError) as refused:
        read(inner, attributes)
    assert refused.value.tag == tag
    assert refused.value.info == info


def test_values():
    arguments = read("<number> 12 </number><flag/><word>a b</word>")
    assert arguments.number("number", 1, 12) == 12
    assert arguments.flag("flag")
    assert arguments.text("word") == "a b"
    assert arguments.text("target") is None
    assert not arguments.flag("target")
    assert arguments.number("source", 1, 2) is None


@pytest.mark.parametrize("text", ["", "0", "13", "-1", "+3", "1.5", "x", "٣", "9" * 11])
def test_numbers_have_bounds(text):
    with pytest.raises(RpcError) as refused:
        read(f"<number>{text}</number>").number("number", 1, 12)
    assert refused.value.tag == "invalid-value"


@pytest.mark.parametrize("inner", ["<flag>x</flag>", "<flag><x/></flag>"])
def test_flags_are_empty(inner):
    with pytest.raises(RpcError) as refused:
        read(inner).flag("flag")
    assert refused.value.tag == "bad-element"


def test_choice():
    assert read("<word>set</word>").choice("word", ("set", "test")) == "set"
    with pytest.raises(RpcError) as refused:
        read("<word>other</word>").choice("word", ("set", "test"))
    assert refused.value.tag == "invalid-value"


def test_leaves_have_neither_children_nor_attributes():
    with pytest.raises(RpcError) as refused:
        read("<word><x/></word>").text("word")
    assert refused.value.tag == "unknown-element"
    with pytest.raises(RpcError) as refused:
        read("<word a='1'/>").text("word")
    assert refused.value.tag == "unknown-attribute"


@pytest.mark.parametrize("name", ["running", "candidate", "startup"])
def test_datastores(name):
    assert read(f"<target><{name}/></target>").datastore("target") == name


@pytest.mark.parametrize(
    ("inner", "tag"),
    [
        ("", "missing-element"),
        ("<target/>", "bad-element"),
        ("<target><running/><candidate/></target>", "bad-element"),
        ("<target><other/></target>", "unknown-element"),
        ("<target><running xmlns='urn:y'/></target>", "unknown-element"),
        ("<target><running>x</running></target>", "bad-element"),
        ("<target><url>file:///x</url></target>", "operation-not-supported"),
        ("<target><config/></target>", "unknown-element"),
    ],
)
def test_what_is_no_datastore(inner, tag):
    with pytest.raises(RpcError) as refused:
        read(inner).datastore("target")
    assert refused.value.tag == tag


def test_a_source_may_be_given_inline():
    given = read("<source><config><a/></config></source>").source("source").given
    assert isinstance(given, etree._Element)
    assert len(given) == 1
