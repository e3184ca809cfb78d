"""The errors of RFC 7950 section 15, each of a constraint that does not hold: tag, app-tag, path, info."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from tests.unit.yang.one_module import open_with_module
from yang.access import User
from yang.datastore.model import Session
from yang.provider import OperationError, Registration
from yang.tree import Tree

NAMESPACE = "urn:test:constraints"
MODULE = """
module constraints { yang-version 1.1; namespace "urn:test:constraints"; prefix c;
  container top { presence "there";
    list one { key "name"; unique "port"; max-elements 2;
      leaf name { type string; }
      leaf port { type uint16; }
    }
    leaf-list some { type string; min-elements 2; }
    choice way { mandatory true; leaf left { type empty; } leaf right { type empty; } }
    leaf limit { type uint8; must "not(. > 9)" { error-message "9 at most"; error-app-tag "too-high"; } }
    leaf even { type uint8; must "not(. > 9)"; }
    leaf pick { type leafref { path "../one/name"; } }
  }
}
"""
GOOD = "<some>a</some><some>b</some><left/>"


def one(name: str, port: int = 0) -> str:
    return f"<one><name>{name}</name>{f'<port>{port}</port>' if port else ''}</one>"


@pytest.fixture
async def tree(tmp_path: Path) -> AsyncIterator[Tree]:
    opened = await open_with_module(tmp_path, MODULE, {}, Registration())
    yield opened
    await opened.close()


TOP = "/constraints:top"
CASES = {
    "data-not-unique": (
        GOOD + one("a", 7) + one("b", 7),
        ("operation-failed", "data-not-unique", f"{TOP}/one[name='b']"),
        {"non-unique": f"{TOP}/one[name='a']/port\n{TOP}/one[name='b']/port"},
    ),
    "too-many-elements": (
        GOOD + one("a") + one("b") + one("c"),
        ("operation-failed", "too-many-elements", f"{TOP}/one"),
        {},
    ),
    "too-few-elements": (
        "<some>a</some><left/>",
        ("operation-failed", "too-few-elements", f"{TOP}/some"),
        {},
    ),
    "must-violation": (
        GOOD + "<even>10</even>",
        ("operation-failed", "must-violation", f"{TOP}/even"),
        {},
    ),
    "an app-tag of the model": (
        GOOD + "<limit>10</limit>",
        ("operation-failed", "too-high", f"{TOP}/limit"),
        {},
    ),
    "instance-required": (
        GOOD + "<pick>nobody</pick>",
        ("data-missing", "instance-required", f"{TOP}/pick"),
        {},
    ),
    "missing-choice": (
        "<some>a</some><some>b</some>",
        ("data-missing", "missing-choice", TOP),
        {"missing-choice": "way"},
    ),
}


async def test_errors_of_constraints(tree: Tree) -> None:
    session = Session(1, User("admin"), "test")
    for name, (content, expected, info) in CASES.items():
        config: Any = etree.fromstring(f"<config><top xmlns='{NAMESPACE}'>{content}</top></config>")
        with pytest.raises(OperationError) as caught:
            await tree.datastores.validate(session, config)
        error = caught.value
        assert (error.tag, error.app_tag, error.path) == expected, name
        assert dict(error.info) == info, name


async def test_what_holds_is_valid(tree: Tree) -> None:
    config: Any = etree.fromstring(
        f"<config><top xmlns='{NAMESPACE}'>{GOOD}{one('a', 7)}{one('b', 8)}<pick>a</pick></top></config>"
    )
    await tree.datastores.validate(Session(1, User("admin"), "test"), config)
