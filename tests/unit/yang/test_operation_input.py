"""RPCs and actions: their input is held against everything that the module says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from _libyang import ffi, lib
from lxml import etree

from tests.unit.yang.one_module import open_with_module
from yang.access import User
from yang.datastore.context import load_context
from yang.provider import OperationError, Registration
from yang.tree import Tree

NS = "urn:test:ops"
MODULE = """
module test-ops {
  yang-version 1.1;
  namespace "urn:test:ops";
  prefix t;
  import aether-shaping { prefix ash; }
  organization "test"; contact "test"; description "test";
  revision 2026-11-25 { description "test"; }
  container boxes {
    list box {
      key "name kind";
      leaf name { type string; }
      leaf kind { type enumeration { enum big; enum small; } }
      action open {
        input {
          leaf force { type boolean; default false; }
          leaf level { type uint8 { range "1..9"; } must ". < 5 or ../force = 'true'" {
            error-message "five and more need force"; error-app-tag "too-hard"; } }
        }
        output { leaf done { type empty; } leaf at { type uint64; } }
      }
    }
  }
  rpc move {
    input {
      choice where {
        default away;
        case away { leaf distance { type uint64; default 10; } }
        case home { leaf room { type string; mandatory true; } leaf floor { type int8; default 1; } }
      }
      choice who {
        mandatory true;
        leaf all { type empty; }
        leaf-list person { type string; max-elements 2; min-elements 0; }
      }
      leaf profile { type leafref { path "/ash:shaping-profiles/ash:profile/ash:name"; } }
      leaf speed { type decimal64 { fraction-digits 2; } when "../distance"; }
      leaf-list stop { type string; min-elements 1; }
      list item {
        key "id"; unique "label"; max-elements 3;
        leaf id { type uint32; }
        leaf label { type string; }
        leaf weight { type uint16; default 7; }
      }
      container options {
        leaf quiet { type boolean; default true; }
        leaf depth { type uint8; mandatory true; when "../quiet = 'false'"; }
      }
    }
    output { leaf moved { type uint32; } leaf-list to { type identityref { base goal; } } }
  }
  identity goal;
  identity near { base goal; }
}
"""
GOOD = "<all/><stop>a</stop>"


class Ops:
    def __init__(self, tree: Tree, calls: list[Any]) -> None:
        self.tree = tree
        self.calls = calls

    async def move(self, inner: str) -> dict[str, Any]:
        element = etree.fromstring(f'<move xmlns="{NS}">{inner}</move>')
        await self.tree.invoke("/test-ops:move", (), element, User("admin", recovery=True))
        return self.calls[-1][1]

    async def open(self, keys: tuple[str, ...], inner: str) -> dict[str, Any]:
        element = etree.fromstring(f'<open xmlns="{NS}">{inner}</open>')
        await self.tree.invoke("/test-ops:boxes/box/open", keys, element, User("admin", recovery=True))
        return self.calls[-1][1]


@pytest.fixture
async def ops(tmp_path: Path) -> AsyncIterator[Ops]:
    calls: list[Any] = []

    async def note(keys: Any, members: Any, user: str) -> None:
        calls.append((keys, dict(members)))

    profile = {"name": "gold", "download": {"rate": "9000"}, "upload": {"rate": "9000"}}
    startup = {
        "aether-shaping:shaping-profiles": {"profile": [profile]},
        "test-ops:boxes": {"box": [{"name": "x y's", "kind": "big"}]},
    }
    operations = {"/test-ops:move": note, "/test-ops:boxes/box/open": note}
    tree = await open_with_module(tmp_path, MODULE, startup, Registration(operations=operations))
    yield Ops(tree, calls)
    await tree.close()


async def test_defaults_of_choices_lists_and_containers(ops: Ops) -> None:
    assert await ops.move(GOOD) == {
        "all": True,
        "stop": ["a"],
        "distance": 10,
        "options": {"quiet": True},
    }
    home = await ops.move(f"{GOOD}<room>k</room><item><id>3</id></item><profile>gold</profile>")
    assert home == {
        "all": True,
        "stop": ["a"],
        "room": "k",
        "floor": 1,
        "item": [{"id": 3, "weight": 7}],
        "profile": "gold",
        "options": {"quiet": True},
    }


@pytest.mark.parametrize(
    ("inner", "tag", "said"),
    [
        ("<stop>a</stop>", "missing-element", "who"),
        ("<all/>", "operation-failed", "stop"),
        (GOOD + "<person>p</person>", "bad-element", "exclude"),
        (GOOD + "<floor>2</floor>", "missing-element", "room"),
        (GOOD + "<profile>none</profile>", "data-missing", "none"),
        (GOOD + "<room>k</room><speed>1.5</speed>", "unknown-element", "distance"),
        (GOOD + "<options><quiet>false</quiet></options>", "missing-element", "depth"),
        (GOOD + "<options><depth>3</depth></options>", "unknown-element", "quiet"),
        (GOOD + "<item><id>1</id></item><item><id>1</id></item>", "operation-failed", ""),
        (
            GOOD + "<item><id>1</id><label>l</label></item><item><id>2</id><label>l</label></item>",
            "operation-failed",
            "label",
        ),
        (GOOD + "".join(f"<item><id>{n}</id></item>" for n in range(4)), "operation-failed", "item"),
        (
            "<person>a</person><person>b</person><person>c</person><stop>a</stop>",
            "operation-failed",
            "person",
        ),
        (GOOD + "<item><label>l</label></item>", "missing-element", "id"),
        (GOOD + "<nothing/>", "unknown-element", "nothing"),
        (GOOD + "<speed>x</speed>", "invalid-value", "speed"),
    ],
)
async def test_what_is_refused(ops: Ops, inner: str, tag: str, said: str) -> None:
    with pytest.raises(OperationError) as caught:
        await ops.move(inner)
    error = caught.value
    assert (error.tag, not ops.calls) == (tag, True), (error.tag, error.message, error.path, error.app_tag)
    assert said in f"{error.message} {error.path} {error.info}", (error.message, error.path)


async def test_an_action_inside_a_list_with_two_keys(ops: Ops) -> None:
    keys = ("x y's", "big")
    assert await ops.open(keys, "<level>4</level>") == {"level": 4, "force": False}
    with pytest.raises(OperationError) as caught:
        await ops.open(keys, "<level>6</level>")
    assert (caught.value.tag, caught.value.app_tag) == ("operation-failed", "too-hard")
    assert caught.value.message == "five and more need force"
    assert caught.value.path == "/test-ops:boxes/box[name=\"x y's\"][kind='big']/open/level"
    assert await ops.open(keys, "<level>6</level><force>true</force>") == {"level": 6, "force": True}


async def test_a_leafref_follows_commits(ops: Ops) -> None:
    from yang.datastore.model import PathOperation
    from yang.path import DataPath

    await ops.move(f"{GOOD}<profile>gold</profile>")
    path = DataPath.parse("/aether-shaping:shaping-profiles/profile[name='gold']")
    await ops.tree.transaction(User("admin", recovery=True), "test", [PathOperation("delete", path)])
    with pytest.raises(OperationError) as caught:
        await ops.move(f"{GOOD}<profile>gold</profile>")
    assert caught.value.tag == "data-missing"


async def test_input_as_json(ops: Ops) -> None:
    admin = User("admin", recovery=True)
    await ops.tree.invoke("/test-ops:move", (), {"all": [None], "stop": ["s"], "distance": "77"}, admin)
    assert ops.calls[-1][1]["distance"] == 77
    with pytest.raises(OperationError):
        await ops.tree.invoke("/test-ops:move", (), {"stop": ["s"]}, admin)


@pytest.mark.parametrize(
    ("path", "output", "good"),
    [
        ("/test-ops:move", {"moved": 3, "to": ["test-ops:near"]}, True),
        ("/test-ops:move", {"to": ["test-ops:far"]}, False),
        ("/test-ops:move", {"moved": -1}, False),
        ("/aether-subscriber:disconnect-sessions", {"disconnected": 7}, True),
    ],
)
async def test_an_output_is_what_libyang_takes(
    ops: Ops, tmp_path: Path, path: str, output: dict[str, Any], good: bool
) -> None:
    encoded = ops.tree.encode_output(path, output)
    module, _, name = path[1:].partition(":")
    namespace = ops.tree.schema.namespace_of(module)
    document = f'<{name} xmlns="{namespace}">'.encode() + encoded + f"</{name}>".encode()
    context = load_context([tmp_path])
    source, tree, found = (
        ffi.new("struct ly_in **"),
        ffi.new("struct lyd_node **"),
        ffi.new("struct lyd_node **"),
    )
    text = ffi.new("char[]", document)
    assert lib.ly_in_new_memory(text, source) == lib.LY_SUCCESS
    kind = lib.LYD_TYPE_REPLY_YANG
    status = lib.lyd_parse_op(context.cdata, ffi.NULL, source[0], lib.LYD_XML, kind, tree, found)
    if status == lib.LY_SUCCESS:
        status = lib.lyd_validate_op(found[0], ffi.NULL, kind, ffi.NULL)
    assert (status == lib.LY_SUCCESS) is good
    lib.lyd_free_all(tree[0])
    lib.ly_in_free(source[0], 0)
