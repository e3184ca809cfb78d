"""Data paths: three notations, one meaning."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yang.path import DataPath, PathError, Step
from yang.schema import Schema

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.\-]{0,12}", fullmatch=True)
VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
PREDICATES = st.lists(st.tuples(NAMES, VALUES), max_size=3, unique_by=lambda pair: pair[0]).map(tuple)
STEPS = st.builds(Step, NAMES, NAMES, PREDICATES)
PATHS = st.lists(STEPS, max_size=6).map(lambda steps: DataPath(tuple(steps)))


@given(PATHS)
def test_instance_identifiers_are_read_as_they_were_written(path: DataPath) -> None:
    assert DataPath.parse(str(path)) == path


@given(st.text(max_size=60))
def test_any_text_is_a_path_or_a_path_error(text: str) -> None:
    try:
        path = DataPath.parse(text)
    except PathError:
        return
    assert DataPath.parse(str(path)) == path


@given(st.sampled_from(["eth0", "it's", 'a"b', "a]b", "x/y", "ünï"]))
def test_gnmi_and_back(schema: Schema, value: str) -> None:
    path = DataPath.parse("/ietf-interfaces:interfaces/interface/ietf-ip:ipv4/mtu")
    steps = list(path.steps)
    steps[1] = Step(steps[1].module, steps[1].name, (("name", value),))
    path = DataPath(tuple(steps))
    for prefixes in (True, False):
        assert DataPath.from_gnmi(path.to_gnmi(prefixes=prefixes), schema) == path


def test_names_carry_the_module_where_it_changes() -> None:
    path = DataPath.parse("/ietf-interfaces:interfaces/interface[name='eth0']/ietf-ip:ipv4/mtu")
    assert path.schema_path == "/ietf-interfaces:interfaces/interface/ietf-ip:ipv4/mtu"
    assert path.to_gnmi() == [
        ("ietf-interfaces:interfaces", {}),
        ("interface", {"name": "eth0"}),
        ("ietf-ip:ipv4", {}),
        ("mtu", {}),
    ]
    assert path.to_xpath({"ietf-interfaces": "if", "ietf-ip": "ip"}) == (
        "/if:interfaces/if:interface[if:name='eth0']/ip:ipv4/ip:mtu"
    )


def test_xpath_with_the_callers_prefixes(schema: Schema) -> None:
    text = '/x:interfaces/x:interface[x:name = "eth0"]/y:ipv4'
    namespaces = {
        "x": "urn:ietf:params:xml:ns:yang:ietf-interfaces",
        "y": "urn:ietf:params:xml:ns:yang:ietf-ip",
    }
    path = DataPath.parse_xpath(text, namespaces, schema)
    assert str(path) == "/ietf-interfaces:interfaces/interface[name='eth0']/ietf-ip:ipv4"
    with pytest.raises(PathError, match="prefix"):
        DataPath.parse_xpath("/z:interfaces", namespaces, schema)


@pytest.mark.parametrize(
    "text",
    ["interfaces", "/a", "/m:a[", "/m:a[x]", "/m:a[1]", "/m:a//b", "/m:a/", "", "/m:a[x='1]", "/m:a" * 200],
)
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(PathError):
        DataPath.parse(text)


def test_gnmi_names_are_checked_against_the_schema(schema: Schema) -> None:
    with pytest.raises(PathError, match="no node"):
        DataPath.from_gnmi([("sessions", {}), ("sesion", {})], schema)
    with pytest.raises(PathError, match="not a key"):
        DataPath.from_gnmi([("sessions", {}), ("session", {"username": "x"})], schema)


def test_gnmi_wildcards_are_kept(schema: Schema) -> None:
    path = DataPath.from_gnmi([("sessions", {}), ("session", {"id": "*"}), ("*", {})], schema)
    assert not path.exact
    assert str(path) == "/aether-subscriber:sessions/session[id='*']/*"


def test_path_of_an_instance(schema: Schema) -> None:
    node = schema.node("/ietf-interfaces:interfaces/interface/ietf-ip:ipv4/address/prefix-length")
    path = DataPath.of_node(node, ("eth0", "192.0.2.1"))
    assert str(path) == (
        "/ietf-interfaces:interfaces/interface[name='eth0']/ietf-ip:ipv4/address[ip='192.0.2.1']/prefix-length"
    )
    assert path.schema_node(schema) is node
