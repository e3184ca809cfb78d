"""Subtree filters: the examples of RFC 6241 section 6.4, and random ones against the text of section 6.2."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from tests.unit.yang.one_module import open_with_module
from yang.access import User
from yang.provider import Registration
from yang.tree import Tree

NS = "http://example.com/schema/1.2/config"
MODULE = """
module example-config {
  yang-version 1.1;
  namespace "http://example.com/schema/1.2/config";
  prefix ex;
  organization "e"; contact "e"; description "The data of RFC 6241 section 6.4, as YANG.";
  revision 2026-11-25 { description "e"; }
  container top {
    container users {
      list user {
        key name;
        leaf name { type string; }
        leaf type { type string; }
        leaf full-name { type string; }
        leaf-list phone { type string; }
        container company-info { leaf dept { type uint8; } leaf id { type uint8; } }
      }
    }
    container log {
      config false;
      list line { leaf level { type uint8; } leaf text { type string; } }
    }
  }
}
"""
USERS = [
    ("root", "superuser", "Charlie Root", 1, 1, ["11", "12"]),
    ("fred", "admin", "Fred Flintstone", 2, 2, ["12"]),
    ("barney", "admin", "Barney Rubble", 2, 3, []),
]
RECOVERY = User("admin", recovery=True)


class Line:
    def __init__(self, level: int, text: str) -> None:
        self.level = level
        self.text = text


class Log:
    path = "/example-config:top/log"

    def get(self, keys: Any) -> Any:
        return None if keys else self

    def iter(self) -> Any:
        return [self]

    line = (Line(1, "first"), Line(2, "second"), Line(1, "third"))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tree]:
    users = [
        {
            "name": name,
            "type": kind,
            "full-name": full,
            "phone": phones,
            "company-info": {"dept": dept, "id": number},
        }
        for name, kind, full, dept, number, phones in USERS
    ]
    startup = {"example-config:top": {"users": {"user": users}}}
    opening = open_with_module(
        tmp_path_factory.mktemp("subtree"), MODULE, startup, Registration(state=[Log()])
    )
    with asyncio.Runner() as runner:
        opened = runner.run(opening)
        yield opened
        runner.run(opened.close())


def read(tree: Tree, inner: str) -> etree._Element:
    """The reply to a filter whose children are `inner`, without namespaces."""
    element = etree.fromstring(f'<filter xmlns="urn:ietf:params:xml:ns:netconf:base:1.0">{inner}</filter>')
    text = b"".join(tree.read_xml(tree.select_subtree(element), RECOVERY))
    return plain(etree.fromstring(b"<data>" + text + b"</data>"))


def plain(root: etree._Element) -> etree._Element:
    for node in root.iter():
        node.tag = etree.QName(node).localname
        node.text = (node.text or "").strip() or None
        node.tail = None
    etree.cleanup_namespaces(root)
    return root


def canonical(root: etree._Element) -> bytes:
    return etree.tostring(root, method="c14n")


def expected(inner: str) -> bytes:
    return canonical(plain(etree.fromstring(f"<data>{inner}</data>")))


def top(inner: str) -> str:
    return f'<top xmlns="{NS}">{inner}</top>'


def test_empty_filter(tree: Tree) -> None:
    """Section 6.4.2"""
    assert canonical(read(tree, "")) == expected("")


@pytest.mark.parametrize("inner", ["<users/>", "<users><user/></users>"])
def test_select_the_entire_users_subtree(tree: Tree, inner: str) -> None:
    """Section 6.4.3: both filters select the same."""
    found = read(tree, top(inner))
    assert [user.findtext("full-name") for user in found.iter("user")] == [user[2] for user in USERS]
    assert all(len(user.find("company-info")) == 2 for user in found.iter("user"))
    assert found.find("top/log") is None


def test_select_all_name_elements(tree: Tree) -> None:
    """Section 6.4.4"""
    names = "".join(f"<user><name>{user[0]}</name></user>" for user in USERS)
    assert canonical(read(tree, top("<users><user><name/></user></users>"))) == expected(
        f"<top><users>{names}</users></top>"
    )


@pytest.mark.parametrize("space", ["", " ", "\n      "])
def test_one_specific_user_entry(tree: Tree, space: str) -> None:
    """Section 6.4.5; white space around a value does not count (section 6.2.5)."""
    found = read(tree, top(f"<users><user><name>{space}fred{space}</name></user></users>"))
    assert canonical(found) == expected(
        "<top><users><user><name>fred</name><type>admin</type><full-name>Fred Flintstone</full-name>"
        "<phone>12</phone><company-info><dept>2</dept><id>2</id></company-info></user></users></top>"
    )


def test_specific_elements_of_a_specific_user(tree: Tree) -> None:
    """Section 6.4.6"""
    found = read(tree, top("<users><user><name>fred</name><type/><full-name/></user></users>"))
    assert canonical(found) == expected(
        "<top><users><user><name>fred</name><type>admin</type><full-name>Fred Flintstone</full-name>"
        "</user></users></top>"
    )


def test_multiple_subtrees(tree: Tree) -> None:
    """Section 6.4.7: barney is no superuser, and so not part of the reply."""
    found = read(
        tree,
        top(
            "<users><user><name>root</name><company-info/></user>"
            "<user><name>fred</name><company-info><id/></company-info></user>"
            "<user><name>barney</name><type>superuser</type><company-info><dept/></company-info></user></users>"
        ),
    )
    assert canonical(found) == expected(
        "<top><users><user><name>root</name><company-info><dept>1</dept><id>1</id></company-info></user>"
        "<user><name>fred</name><company-info><id>2</id></company-info></user></users></top>"
    )


def test_elements_with_attribute_naming(tree: Tree) -> None:
    """Section 6.4.8: what YANG models has no attributes, and so none that could match (section 6.2.2)."""
    assert canonical(read(tree, top('<users><user n="1"/></users>'))) == expected("")
    assert canonical(read(tree, f'<t:top xmlns:t="{NS}" t:ifName="eth0"/>')) == expected("")


@pytest.mark.parametrize(
    "inner",
    [
        '<top xmlns=""><users><user><name>fred</name><type/></user></users></top>',
        "<top><users><user><name>fred</name><type/></user></users></top>",
        f'<top xmlns="{NS}"><users><user xmlns=""><name>fred</name><type/></user></users></top>',
        f'<e:top xmlns:e="{NS}"><e:users><e:user><e:name>fred</e:name><type/></e:user></e:users></e:top>',
    ],
)
def test_without_a_namespace_any_matches(tree: Tree, inner: str) -> None:
    """Section 6.2.1"""
    assert canonical(read(tree, inner)) == expected(
        "<top><users><user><name>fred</name><type>admin</type></user></users></top>"
    )


def test_content_matches_of_a_leaf_list_and_of_a_list_without_keys(tree: Tree) -> None:
    def names(inner: str) -> list[str | None]:
        return [user.findtext("name") for user in read(tree, top(f"<users>{inner}</users>")).iter("user")]

    assert names("<user><phone>12</phone></user>") == ["root", "fred"]
    assert names("<user><phone>12</phone><phone>11</phone></user>") == ["root"]
    assert names("<user><name>root</name><name>fred</name></user>") == []
    assert names("<user><company-info><dept>2</dept></company-info></user>") != []
    lines = read(tree, top("<log><line><level>1</level><text/></line></log>"))
    assert [line.findtext("text") for line in lines.iter("line")] == ["first", "third"]
    assert len(list(read(tree, top("<log/>")).iter("line"))) == 3


# --- against the text of the RFC ---------------------------------------------------------------------------


def by_the_text(wanted: etree._Element, data: etree._Element) -> list[etree._Element]:
    """What siblings in a filter select of siblings in the data: section 6.2, read literally. Of an entry that
    has something selected the key is shown as well (6.2.5 lets a server do so)."""
    result = []
    for node in data:
        filters = [each for each in wanted if each.tag == node.tag]
        shown = [copy for each in filters if (copy := _one(each, node)) is not None]
        if shown:
            result.append(_union(node, shown))
    return result


def _one(wanted: etree._Element, node: etree._Element) -> etree._Element | None:
    if len(wanted) == 0:
        text = (wanted.text or "").strip()
        return node if not text or text == node.text else None
    matches = [each for each in wanted if len(each) == 0 and (each.text or "").strip()]
    for match in matches:
        if not any(child.tag == match.tag and child.text == match.text.strip() for child in node):
            return None
    if len(matches) == len(wanted):
        return node
    inner = by_the_text(wanted, node)
    if not inner:
        return None
    copy = etree.Element(node.tag)
    if node.tag == "user" and inner[0].tag != "name":
        inner.insert(0, node.find("name"))
    copy.extend([etree.fromstring(etree.tostring(child)) for child in inner])
    return copy


def _union(node: etree._Element, shown: list[etree._Element]) -> etree._Element:
    if any(each is node for each in shown) or len(node) == 0:
        return etree.fromstring(etree.tostring(node))
    copy = etree.Element(node.tag)
    for child in node:
        same = [c for each in shown for c in each if _same(c, child)]
        if same:
            copy.append(_union(child, same))
    return copy


def _same(part: etree._Element, child: etree._Element) -> bool:
    if part.tag != child.tag:
        return False
    if child.tag == "user":
        return part.findtext("name") == child.findtext("name")
    return len(child) > 0 or part.text == child.text


_FILTERS = (
    *("<name/>", "<name>fred</name>", "<name>root</name>", "<type/>", "<type>admin</type>"),
    *("<type>superuser</type>", "<full-name/>", "<phone/>", "<company-info/>", "<none/>"),
)
_LEAVES = st.sampled_from(_FILTERS)
_COMPANY = st.lists(
    st.sampled_from(["<dept/>", "<dept>2</dept>", "<id/>", "<id>3</id>", "<x/>"]), min_size=1, max_size=3
).map(lambda inner: f"<company-info>{''.join(inner)}</company-info>")
_USER = st.lists(st.one_of(_LEAVES, _COMPANY), max_size=4).map(lambda inner: f"<user>{''.join(inner)}</user>")
_USERS = st.lists(_USER, max_size=3).map(lambda inner: f"<users>{''.join(inner)}</users>")


@settings(
    max_examples=200, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
@given(users=st.lists(_USERS, min_size=1, max_size=2))
def test_random_filters(tree: Tree, users: list[str]) -> None:
    inner = "".join(users)
    whole = read(tree, top(""))
    wanted = etree.fromstring(f"<filter><top>{inner}</top></filter>")
    answer = etree.Element("data")
    answer.extend(by_the_text(wanted, whole))
    assert canonical(read(tree, top(inner))) == canonical(answer), inner
