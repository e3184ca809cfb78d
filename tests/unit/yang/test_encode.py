"""What is encoded is what libyang would have written: libyang is the oracle."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import libyang
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from yang.datastore.context import SchemaBuilder, load_context
from yang.datastore.sources import own_dir
from yang.encode.json import JsonEncoder
from yang.encode.xml import XmlEncoder, escape
from yang.path import DataPath

EVERY_TYPE = """
module every-type {
  yang-version 1.1;
  namespace "urn:test:every-type";
  prefix et;
  import ietf-inet-types { prefix inet; }
  import ietf-interfaces { prefix if; }
  identity shape;
  identity round { base shape; }
  container state {
    config false;
    leaf int8 { type int8; }
    leaf int64 { type int64; }
    leaf uint64 { type uint64; }
    leaf flag { type boolean; }
    leaf text { type string; }
    leaf choice-of { type enumeration { enum "a&b"; enum plain; } }
    leaf amount { type decimal64 { fraction-digits 3; } }
    leaf raw { type binary; }
    leaf marks { type bits { bit x; bit y; } }
    leaf nothing { type empty; }
    leaf form { type identityref { base shape; } }
    leaf where { type instance-identifier { require-instance false; } }
    leaf either { type union { type uint16; type inet:ipv4-address; type string; } }
    leaf-list many { type string; }
    leaf-list forms { type identityref { base shape; } }
    list nested { key "a b"; leaf a { type uint8; } leaf b { type string; }
      container inner { leaf x { type int32; } }
      list deep { key k; leaf k { type string; } } }
    list keyless { leaf v { type string; } }
  }
}
"""


class Record:
    def __init__(self, **children: Any) -> None:
        self.__dict__.update(children)


def full_record(text: str = "x") -> Record:
    return Record(
        int8=-5,
        int64=-(2**63),
        uint64=2**64 - 1,
        flag=True,
        text=text,
        choice_of="a&b",
        amount=Decimal("1.500"),
        raw=b"\x00\xff",
        marks="x y",
        nothing=True,
        form="every-type:round",
        where="/ietf-interfaces:interfaces/interface[name='e']/type",
        either=7,
        many=["a<b", text],
        forms=["every-type:round"],
        nested=[
            Record(a=1, b=text, inner=Record(x=-1), deep=[Record(k="1"), Record(k="2")]),
            Record(a=2, b="", inner=Record(), deep=[]),
        ],
        keyless=[Record(v="1"), Record(v="1")],
    )


class Provider:
    path = "/every-type:state"

    def __init__(self, record: Any) -> None:
        self.record = record

    def get(self, keys: Any) -> Any:
        return self.record if not keys else None

    def iter(self) -> Any:
        return [self.record]


@pytest.fixture(scope="module")
def every_type(tmp_path_factory: pytest.TempPathFactory) -> tuple[libyang.Context, Any]:
    folder = tmp_path_factory.mktemp("yang")
    (folder / "every-type.yang").write_text(EVERY_TYPE)
    context = load_context([folder])
    return context, SchemaBuilder(context).build()


def encode(schema: Any, record: Any) -> tuple[str, Any]:
    from yang.access import ALLOW_ALL
    from yang.query.paths import select_paths
    from yang.query.plan import Planner

    planner = Planner(
        schema.root,
        ALLOW_ALL,
        {Provider.path: Provider(record)},
        content="all",
        with_defaults="explicit",
        with_state=True,
    )
    selection = select_paths(schema, [DataPath.parse("/every-type:state")])
    xml = b"".join(XmlEncoder(schema).encode(planner.plan(selection.top), {})).decode()
    values = list(JsonEncoder().encode_part(planner.plan(selection.top), selection.parts[0], {}))
    return xml, values[0][1] if values else None


def parse_all(context: libyang.Context, fmt: str, text: str) -> Any:
    tree = context.parse_data_mem(text, fmt, strict=True, validate_present=True)
    assert tree is not None
    try:
        return json.loads(
            tree.print_mem("json", with_siblings=True, pretty=False, keep_empty_containers=False)
        )
    finally:
        tree.free()


def test_every_type_is_written_as_libyang_reads_it(every_type: Any) -> None:
    context, schema = every_type
    xml, members = encode(schema, full_record("ü & <x> \" ' \r\n]]>"))
    parsed = parse_all(context, "xml", xml)
    assert parsed["every-type:state"]["text"] == "ü & <x> \" ' \r\n]]>"
    assert parsed == parse_all(context, "json", json.dumps({"every-type:state": members}))
    assert parsed["every-type:state"]["uint64"] == str(2**64 - 1)
    assert len(parsed["every-type:state"]["keyless"]) == 2


@given(text=st.text(max_size=40))
def test_any_text_survives_or_is_made_harmless(every_type: Any, text: str) -> None:
    _, schema = every_type
    xml, _ = encode(schema, Record(text=text))
    read = etree.fromstring(f"<data>{xml}</data>".encode()).findtext(".//{*}text") or ""
    forbidden = {
        c
        for c in text
        if not (c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff")
    }
    assert read == "".join("\ufffd" if c in forbidden else c for c in text)


def test_escape() -> None:
    assert escape("a&<>\r\"'") == "a&amp;&lt;&gt;&#13;\"'"
    assert escape("\x00\ud800") == "\ufffd\ufffd"


def test_what_is_none_or_missing_does_not_exist(every_type: Any) -> None:
    _, schema = every_type
    assert encode(schema, Record(text=None, many=[])) == ("", None)
    assert encode(schema, None) == ("", None)


@pytest.mark.parametrize("session_count", [500])
async def test_the_whole_reply_is_valid(net: Any) -> None:
    """500 sessions and the configuration, in one reply, parse and validate."""
    text = net.xml(net.tree.select_all())
    assert text.count("<session>") == 500
    context = load_context()
    parsed = parse_all(context, "xml", text)
    assert len(parsed["aether-subscriber:sessions"]["session"]) == 500
    profiles = parsed["aether-shaping:shaping-profiles"]["profile"]
    assert {p["name"]: p.get("sessions-using") for p in profiles} == {"bronze": None, "gold": 3, "silver": 0}
    whole = net.tree.select_paths([DataPath()])
    members = {
        name.lstrip("/"): value
        for path, value in net.tree.read_json(whole, net.admin)
        for name in [str(path)]
    }
    assert parse_all(context, "json", json.dumps(members)) == parsed


async def test_report_all_is_what_libyang_reports(net: Any) -> None:
    text = net.xml(net.tree.select_all(), content="config", with_defaults="report-all")
    context = load_context()
    tree = context.parse_data_mem(text, "xml", strict=True, no_state=True)
    assert tree is not None
    everything = json.loads(
        tree.print_mem("json", with_siblings=True, include_implicit_defaults=True, pretty=False)
    )
    explicit = json.loads(tree.print_mem("json", with_siblings=True, pretty=False))
    assert explicit == everything
    assert explicit["aether-bng:bng"]["timers"]["counters"] == 5


async def test_with_defaults(net: Any) -> None:
    await net.edit(
        "<ash:shaping-profiles><ash:profile><ash:name>gold</ash:name><ash:priority>4</ash:priority>"
        "</ash:profile></ash:shaping-profiles>"
    )
    await net.commit()
    one = (
        "<ash:shaping-profiles><ash:profile><ash:name>{}</ash:name><ash:priority/></ash:profile>"
        "</ash:shaping-profiles>"
    )

    def priority(name: str, mode: str) -> str:
        root = etree.fromstring(f"<data>{net.get(one.format(name), with_defaults=mode)}</data>")
        found = root.find(".//{*}priority")
        tagged = found is not None and dict(found.attrib)
        return f"{'' if found is None else found.text}{'*' if tagged else ''}"

    expected = {
        "explicit": ("4", ""),
        "report-all": ("4", "4"),
        "report-all-tagged": ("4", "4*"),
        "trim": ("", ""),
    }
    for mode, (gold, silver) in expected.items():
        assert (priority("gold", mode), priority("silver", mode)) == (gold, silver), mode


async def test_defaults_of_an_invalid_candidate(net: Any) -> None:
    await net.edit(
        "<ash:shaping-profiles><ash:profile><ash:name>half</ash:name></ash:profile></ash:shaping-profiles>"
    )
    text = net.get("<ash:shaping-profiles/>", source="candidate", with_defaults="report-all")
    assert text.count("<priority>4</priority>") == 4


async def test_slices_are_small_and_whole(net: Any) -> None:
    pieces = list(net.tree.read_xml(net.tree.select_all(), net.admin))
    for piece in pieces:
        piece.decode()
    assert max(map(len, pieces)) <= 65536


async def test_an_abandoned_reader_stops(net: Any) -> None:
    reader = net.tree.read_xml(net.tree.select_all(), net.admin)
    next(reader)
    reader.close()


async def test_leaves(net: Any) -> None:
    selection = net.tree.select_paths([DataPath.parse("/aether-subscriber:sessions/session/counters")])
    groups = list(net.tree.read_leaves(selection, net.admin))
    assert len(groups) == 5
    path, leaves = groups[1]
    assert str(path) == "/aether-subscriber:sessions/session[id='0000000000000002']"
    values = {names: value for names, value, _ in leaves}
    assert values["counters", "in-octets"] == 2000
    assert values["id",] == "0000000000000002"
    assert ("username",) not in values
    merged = net.tree.select_paths([DataPath.parse("/aether-access-router:access-routers")])
    by_path = {
        str(path): {n: v for n, v, _ in leaves} for path, leaves in net.tree.read_leaves(merged, net.admin)
    }
    an1 = by_path["/aether-access-router:access-routers/access-router[name='an-1']"]
    assert an1["state", "reachability"] == "up"
    assert an1["subnet",] == ["10.9.0.0/24"]


def test_the_modules_are_ours() -> None:
    assert (own_dir() / "aether-bng.yang").is_file()
