"""aether.config.yaml: what is accepted, and that every finding names its line and its remedy."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.config import AccessModel, ConfigError, load_config, parse_config
from lab.config.schema import schema, with_defaults

ROOT = Path(__file__).parents[3]
DEFAULT = (ROOT / "aether.config.yaml").read_text()
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))


def line_of(text: str, fragment: str, occurrence: int = 1) -> int:
    """Number of the line that holds the n-th occurrence of a fragment."""
    found = [number for number, line in enumerate(text.splitlines(), 1) if fragment in line]
    return found[occurrence - 1]


def problems(text: str) -> list[tuple[int, str]]:
    with pytest.raises(ConfigError) as caught:
        parse_config(text)
    return [(problem.line, f"{problem.where}: {problem.message}") for problem in caught.value.problems]


def test_the_default_lab() -> None:
    config = parse_config(DEFAULT)
    nodes = [node for bng in config.bngs for node in bng.access_nodes]
    assert [bng.bng_id for bng in config.bngs] == ["bng-01", "bng-02"]
    assert [node.model for node in nodes] == [AccessModel.BRIDGED, AccessModel.ROUTED, AccessModel.BRIDGED]
    assert sum(node.ports for node in nodes) == 8
    assert len(config.services) == 7
    assert config.service_at("an-21", 3) is None
    assert config.bngs[0].nat_sources == (IPv4Network("100.64.0.0/10"),)
    assert nodes[1].gateway == IPv4Address("100.64.12.1")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_valid(path: Path) -> None:
    assert load_config(path).bngs


def test_the_schema_is_a_schema_and_describes_the_default_lab() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.validate(with_defaults(yaml.safe_load(DEFAULT)), schema())


def test_unknown_key_suggests_the_known_one() -> None:
    text = DEFAULT.replace("upstream: eth2", "upstrem: eth2", 1)
    found = problems(text)
    line = line_of(text, "upstrem")
    assert (
        line,
        'bngs[0].topology.interfaces.upstrem: is not a known key; did you mean "upstream"?',
    ) in found


@pytest.mark.parametrize(
    ("before", "after", "at", "expected"),
    [
        ("remote-id: an-21", "remote-id: an-11", "remote-id: an-11", "used twice"),
        ("bng-id: bng-02", "bng-id: bng-01", "bng-id: bng-01", "used twice"),
        ("bng-id: bng-02", "bng-id: kea", "bng-id: kea", "name of another node"),
        ("upstream: eth2", "upstream: eth1", "upstream: eth1", "used twice"),
        ("198.18.0.102/24", "198.18.0.101/24", "198.18.0.101/24", "the address 198.18.0.101 is used twice"),
        ("198.18.0.102/24", "198.18.0.102/16", "198.18.0.102/16", "use /24"),
        ("198.18.0.102/24", "10.0.0.1/24", "10.0.0.1/24", "not in the management network"),
        ("198.18.0.102/24", "198.18.0.102", "198.18.0.102", "an address with its prefix length"),
        ("upstream-cidr: 198.51.100.12/24", "upstream-cidr: 198.51.100.1/24", "198.51.100.1/24", "twice"),
        ("subscriber-cidr: 100.64.2.1/24", "subscriber-cidr: 100.64.1.5/24", "100.64.1.5/24", "overlaps"),
        ("pool-start: 100.64.2.10", "pool-start: 100.64.3.10", "100.64.3.10", "not in the subnet"),
        ("pool-start: 100.64.2.10", "pool-start: 100.64.2.200", "pool-end: 100.64.2.99", "swap"),
        ("pool-start: 100.64.2.10", "pool-start: 100.64.2.98", "pool-end: 100.64.2.99", "2 addresses for 3"),
        ("pool-start: 100.64.2.10", "pool-start: 100.64.2.1", "pool-start: 100.64.2.1", "the gateway"),
        ("addr: 100.64.2.1", "addr: 100.64.2.9", "addr: 100.64.2.9", "access-model: routed"),
        ("next-hop: 100.64.1.3", "next-hop: 100.64.1.4", "next-hop: 100.64.1.4", "must be equal"),
        ("subnet: 100.64.12.0/24", "subnet: 100.64.13.0/24", "subnet: 100.64.13.0/24", "must be equal"),
        (
            "subnet: 100.64.12.0/24\n              p",
            "subnet: 100.64.0.0/20\n              p",
            "/20",
            "overlaps",
        ),
        ("access-model: routed", "access-model: bridged", "bng-route:", "needs no route"),
        ("access-model: routed", "access-model: tunnelled", "tunnelled", "choose one of: bridged, routed"),
        ("plan: gold, remote-id: an-11, port: 1", "plan: lead, remote-id: an-11, port: 1", "lead", "no plan"),
        ("an-21, port: 2", "an-21, port: 9", "an-21, port: 9", "has 3 ports"),
        ("an-21, port: 2", "an-21, port: 1", "an-21, port: 1", "used twice"),
        ("customer: emi@example.net", "customer: nobody@example.net", "nobody@", "no customer"),
        ("console: 8080", "console: 15432", "postgres: 15432", "the port 15432 is used twice"),
        ("console: 8080", "console: 80800", "console: 80800", "the most is 65535"),
        ("name: aether ", "name: Aether ", "name: Aether", "does not fit"),
        ("default-gw: 198.51.100.1\n", "default-gw: 198.51.100.7\n", "198.51.100.7", "upstream router is"),
    ],
)
def test_findings_name_the_line_and_the_remedy(before: str, after: str, at: str, expected: str) -> None:
    assert before in DEFAULT
    head, _, tail = DEFAULT.rpartition(before)
    text = head + after + tail
    found = problems(text)
    lines = [number for number, line in enumerate(text.splitlines(), 1) if at in line]
    assert any(line in lines and expected in message for line, message in found), found


def test_pools_of_neighbours_must_not_overlap() -> None:
    data = yaml.safe_load(DEFAULT)
    twin = yaml.safe_load(yaml.safe_dump(data["bngs"][1]["access-nodes"][0]))
    twin["node-config"] |= {"remote-id": "an-22", "uplink": {"ipv4-cidr": "100.64.2.3/24"}}
    data["bngs"][1]["access-nodes"].append(twin)
    assert any("overlaps that of an-21" in message for _, message in problems(yaml.safe_dump(data)))
    twin["node-config"]["dhcp"]["ipv4"] |= {"pool-start": "100.64.2.100", "pool-end": "100.64.2.199"}
    assert len(parse_config(yaml.safe_dump(data)).bngs[1].access_nodes) == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is empty"),
        ("bngs: [", "not valid YAML"),
        ("bngs: 5", "must be a list"),
        ("[1, 2]", "must be a block of keys"),
        ("bngs: []", "at least 1"),
        ("a: &x [1]\nbngs: *x", "aliases"),
        ("bngs: []\nbngs: []", "given twice; the first is on line 1"),
        ("? [a]\n: b", "plain words"),
        ("when: 2026-99-99", "cannot be understood"),
        ("[" * 5000, "nested too deeply"),
        ("a: " * 3 + "\t", "not valid YAML"),
    ],
)
def test_bad_yaml_is_a_finding(text: str, expected: str) -> None:
    assert any(expected in message for _, message in problems(text))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_config(tmp_path / "none.yaml")
    (tmp_path / "big.yaml").write_bytes(b"#" * (2 << 20))
    with pytest.raises(ConfigError, match="larger than"):
        load_config(tmp_path / "big.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"ok: 1\nname: \xff\n")
    with pytest.raises(ConfigError, match=r"latin\.yaml:2: is not UTF-8"):
        load_config(tmp_path / "latin.yaml")


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just("10.0.0.1/24"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=10,
)


def _paths(value: object, where: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [where] if where else []
    if isinstance(value, dict):
        for key, child in value.items():
            found += _paths(child, (*where, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            found += _paths(child, (*where, index))
    return found


_PATHS = _paths(yaml.safe_load(DEFAULT))


@settings(max_examples=60, deadline=None)
@given(where=st.sampled_from(_PATHS), value=_values)
def test_any_value_anywhere_is_accepted_or_found_wrong(where: tuple[str | int, ...], value: object) -> None:
    data = yaml.safe_load(DEFAULT)
    target = data
    for part in where[:-1]:
        target = target[part]
    target[where[-1]] = value
    try:
        parse_config(yaml.safe_dump(data))
    except ConfigError as error:
        assert all(re.match(r"aether\.config\.yaml:\d+: .", line) for line in error.describe())
