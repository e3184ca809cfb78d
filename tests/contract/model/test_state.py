"""Every leaf of state is served, and all that is served is valid, whatever the sessions hold."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import libyang
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from lxml import etree

from bng.session.policy import MAX_TIMEOUT
from nbi.server import MODULES_DIR
from tests.contract.model.client import Client, connect
from tests.contract.model.element import ROOT, Filled, filled, paths_in
from yang.datastore.context import load_context
from yang.path import DataPath
from yang.schema import SchemaNode

LINE = "/aether-timeline:access-lines/access-line[remote-id='node-1'][circuit-id='{}']"
NMDA = "urn:ietf:params:xml:ns:yang:ietf-netconf-nmda"
OPERATIONAL = 'xmlns:ds="urn:ietf:params:xml:ns:yang:ietf-datastores">ds:operational'
LOCK = "<lock><target><candidate/></target></lock>"
PARTIAL_LOCK = (
    '<partial-lock xmlns="urn:ietf:params:xml:ns:netconf:partial-lock:1.0"><select '
    'xmlns:s="urn:aether:yang:aether-shaping">/s:shaping-profiles</select></partial-lock>'
)


@pytest.fixture(scope="module")
def context() -> Iterator[libyang.Context]:
    loaded = load_context([MODULES_DIR])
    yield loaded
    loaded.destroy()


@pytest.fixture
async def element(folder: Path) -> AsyncIterator[Filled]:
    async with filled(folder) as started:
        yield started


SUBSCRIPTIONS = (
    "<stream>NETCONF</stream><stream-filter-name>starts</stream-filter-name>",
    "<stream>NETCONF</stream><stream-xpath-filter>/aether-subscriber:session-stop</stream-xpath-filter>"
    "<replay-start-time>2026-01-01T00:00:00Z</replay-start-time><stop-time>2100-01-01T00:00:00Z</stop-time>",
    "<stream>NETCONF</stream><stream-subtree-filter>"
    '<s:session-stop xmlns:s="urn:aether:yang:aether-subscriber" x="a&gt;b"/></stream-subtree-filter>',
    f"<yp:datastore {OPERATIONAL}</yp:datastore><yp:selection-filter-ref>plans</yp:selection-filter-ref>"
    "<yp:periodic><yp:period>360000</yp:period><yp:anchor-time>2026-01-01T00:00:00Z</yp:anchor-time>"
    "</yp:periodic>",
    f"<yp:datastore {OPERATIONAL}</yp:datastore>"
    "<yp:datastore-xpath-filter>/aether-shaping:shaping-profiles</yp:datastore-xpath-filter><yp:on-change>"
    "<yp:dampening-period>100</yp:dampening-period><yp:excluded-change>delete</yp:excluded-change>"
    "</yp:on-change>",
)
ESTABLISH = (
    '<establish-subscription xmlns="urn:ietf:params:xml:ns:yang:ietf-subscribed-notifications" '
    'xmlns:yp="urn:ietf:params:xml:ns:yang:ietf-yang-push">{}</establish-subscription>'
)


@pytest.fixture
async def client(element: Filled) -> AsyncIterator[Client]:
    """A session that holds a lock of each kind, and has a subscription of each kind."""
    holding = await connect(element.socket)
    for request in (LOCK, PARTIAL_LOCK, *map(ESTABLISH.format, SUBSCRIPTIONS)):
        reply = await holding.rpc(request)
        assert not reply.findall(".//{*}rpc-error"), etree.tostring(reply)
    yield holding
    holding.close()


def assert_valid(context: libyang.Context, text: str) -> None:
    """Raises LibyangError when it does not parse or does not validate."""
    parsed = context.parse_data_mem(text, "xml", strict=True, validate_present=True)
    assert parsed is not None
    parsed.free()


async def access_lines(element: Filled) -> str:
    """Timelines are there for who names a line."""
    lines = [DataPath.parse(LINE.format(f"1/0/{number}")) for number in range(12)]
    selection = element.tree.select_paths(lines)
    await element.tree.prepare(selection)
    return b"".join(element.tree.read_xml(selection, ROOT)).decode()


def is_state(node: SchemaNode) -> bool:
    inside = any(above.kind in ("rpc", "action", "notification") for above in node.chain)
    return node.is_leaf and not node.config and not inside


async def test_every_leaf_of_state_is_served(
    element: Filled, client: Client, owned: Mapping[str, Any]
) -> None:
    schema = element.tree.schema
    assert client.id
    served = paths_in(schema, element.xml()) | paths_in(schema, await access_lines(element))
    driven = {node.path for node in schema.root.walk() if is_state(node) and owned[node.path].driven}
    assert sorted(driven - served) == [], (
        "nothing serves these: serve them, deviate them (aether-deviations), or say in "
        "docs/model_owners.yaml which other test shows them, or why they never have a value"
    )
    never = {path for path, owner in owned.items() if owner.kind == "never"}
    assert sorted(never & served) == [], "docs/model_owners.yaml says that these never have a value"


async def test_what_is_served_is_valid(element: Filled, client: Client, context: libyang.Context) -> None:
    requests = ["<get/>", '<get><filter type="subtree"/></get>']
    for more in ("", "<with-origin/>", "<xpath-filter>//*[name() != 'x']</xpath-filter>"):
        requests.append(f'<get-data xmlns="{NMDA}"><datastore {OPERATIONAL}</datastore>{more}</get-data>')
    for request in requests:
        reply = await client.rpc(request)
        data = reply[0]
        assert etree.QName(data).localname == "data", etree.tostring(reply)[:2000]
        text = "".join(etree.tostring(child, encoding="unicode", with_tail=False) for child in data)
        if text:
            assert_valid(context, text)
    assert_valid(context, await access_lines(element))
    assert_valid(context, element.xml(with_defaults="report-all"))


async def test_gnmi_is_served_the_same(element: Filled, context: libyang.Context) -> None:
    """As scalars and as JSON, which is valid too."""
    tree = element.tree
    expected = {path for path in paths_in(tree.schema, element.xml()) if not tree.schema.node(path).is_key}
    groups = tree.read_leaves(tree.select_all(), ROOT)
    assert {leaf.path for _, leaves in groups for *_, leaf in leaves if not leaf.is_key} == expected
    members = {str(path).lstrip("/"): value for path, value in tree.read_json(tree.select_all(), ROOT)}
    parsed = context.parse_data_mem(json.dumps(members), "json", strict=True, validate_present=True)
    assert parsed is not None
    parsed.free()


async def test_what_is_served_is_so(element: Filled) -> None:
    """An interface that is configured and not there is told; the summary counts the sessions."""
    root = etree.fromstring(f"<data>{element.xml()}</data>")
    interfaces = {
        entry.findtext("{*}name"): entry.findtext("{*}oper-status") for entry in root.iter("{*}interface")
    }
    assert interfaces["mdl-sub"] == "up"
    assert interfaces["mdl-up"] == "not-present"
    summary, sessions = element.north.summary.record(), list(element.north.sessions.iter())
    assert sum(count.sessions for count in summary.by_access_router) == summary.total == len(sessions)
    assert [tuple(count) for count in summary.by_profile] == [
        ("gold", sum(1 for session in sessions if session.profile == "gold"))
    ]


# --- whatever the sessions hold --------------------------------------------------------------------

texts = st.text(max_size=60)
# A profile is one of the configuration, whose names are of characters that XML has: what is written in the
# place of others would make one key of several in the summary.
configurable = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
profiles = st.text(configurable, max_size=60)
events = st.fixed_dictionaries(
    {"session-id": st.from_regex(r"\A[0-9a-f]{16}\Z")},
    optional={
        "username": st.text(min_size=1, max_size=60),
        "interface": texts,
        "nas-port-id": texts,
        "profile": profiles,
        "reason": texts,
        "download-rate": st.integers(0, 2**64 - 1),
        "mac-address": st.just("02:00:00:00:00:01"),
        "ip-address": st.ip_addresses().map(str),
        "nat": st.just({"address": "203.0.113.1", "port-first": 0, "port-last": 65535}),
        "started": st.just("2026-11-21T02:00:00.123456789Z"),
        "_session_timeout": st.integers(0, MAX_TIMEOUT),
        "_routed": st.booleans(),
        "_authorization": st.sampled_from(["radius", "local"]),
        "_last_change": st.integers(0, 2**62),
        "_slot": st.integers(-1, 2**20),
    },
)
batches = st.lists(events, max_size=8, unique_by=lambda event: event["session-id"])


async def test_sessions_are_valid_whatever_they_hold(element: Filled, context: libyang.Context) -> None:
    sessions = element.tree.select_subtree(
        etree.fromstring(
            '<filter><sessions xmlns="urn:aether:yang:aether-subscriber"/>'
            '<summary xmlns="urn:aether:yang:aether-subscriber"/></filter>'
        )
    )

    # to explain a failure Hypothesis traces each line, which takes longer than a test may
    @settings(
        max_examples=40,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=set(Phase) - {Phase.explain},
    )
    @given(batches)
    def check(batch: list[dict[str, Any]]) -> None:
        line = {"remote-id": "node-1", "circuit-id": "1/0/1"}
        common = {"access-line": line, "status": "active", "_time_ns": 1, "_generation": 1}
        element.north.sessions.reset({**common, **event} for event in batch)
        text = b"".join(element.tree.read_xml(sessions, ROOT)).decode()
        assert text.count("<session>") == len(batch)
        assert_valid(context, text)

    check()
