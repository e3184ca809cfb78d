"""How the path of a subscription is taken apart."""

from __future__ import annotations

import pytest

from telemetry.plan import Feed, PlanError, Planner, targets
from telemetry.protocol.paths import from_text
from telemetry.subscribe import Mode
from tests.contract.gnmi.element import COUNTERS, Element, Journal, Sessions
from yang.access import User
from yang.path import DataPath

SESSIONS = "/aether-subscriber:sessions/session"
EVENTS = "/aether-events:events/event"
PROFILES = "/aether-shaping:shaping-profiles/profile"
RULES = "/ietf-netconf-acm:nacm/rule-list"
ONE = "[id='0000000000000001']"


@pytest.fixture
async def tree(tmp_path):
    element = Element(Sessions(2), Journal(2))
    await element.open(tmp_path)
    yield element.tree
    await element.tree.close()


def feeds(
    tree, path: str, mode: Mode | None, user: str = "admin", *, columns: bool = True
) -> set[tuple[Feed, str]]:
    parts = Planner(tree, User(user), columns=columns).plan(DataPath.parse(path), mode)
    return {(part.feed, part.content) for part in parts}


C, R, L, W, K, P = Feed.COLUMNS, Feed.READ, Feed.LOG, Feed.WATCH, Feed.CONFIG, Feed.POLL


@pytest.mark.parametrize(
    ("path", "mode", "expected"),
    [
        (f"{SESSIONS}/counters", Mode.SAMPLE, {(C, "all")}),
        (f"{SESSIONS}/counters/in-octets", Mode.ON_CHANGE, {(C, "all")}),
        (f"{SESSIONS}/status", Mode.SAMPLE, {(R, "all")}),
        (f"{SESSIONS}/status", Mode.ON_CHANGE, {(W, "state")}),
        (SESSIONS, Mode.SAMPLE, {(C, "all"), (R, "all")}),
        (SESSIONS, Mode.TARGET_DEFINED, {(C, "all"), (W, "state")}),
        (f"{SESSIONS}{ONE}/counters", Mode.SAMPLE, {(R, "all")}),
        (f"{SESSIONS}{ONE}/counters", Mode.ON_CHANGE, {(P, "state")}),
        (f"{SESSIONS}{ONE}", Mode.TARGET_DEFINED, {(R, "state"), (W, "state")}),
        (EVENTS, Mode.ON_CHANGE, {(L, "all")}),
        (f"{EVENTS}/type", None, {(L, "all")}),
        (f"{EVENTS}[seq='1']", None, {(R, "all")}),
        ("/aether-events:events", Mode.ON_CHANGE, {(L, "all"), (P, "state")}),
        ("/aether-events:events", Mode.SAMPLE, {(R, "all")}),
        ("/aether-subscriber:summary", Mode.ON_CHANGE, {(P, "state")}),
        ("/aether-subscriber:summary", Mode.TARGET_DEFINED, {(R, "state")}),
        (f"{PROFILES}/download", Mode.ON_CHANGE, {(K, "config")}),
        ("/", None, {(C, "all"), (L, "all"), (R, "all")}),
    ],
)
async def test_feeds(tree, path, mode, expected):
    assert feeds(tree, path, mode) == expected


async def test_a_log_is_no_sample(tree):
    with pytest.raises(PlanError, match="ON_CHANGE"):
        feeds(tree, EVENTS, Mode.SAMPLE)


async def test_counters_that_are_denied_are_read_one_by_one(tree):
    assert feeds(tree, f"{SESSIONS}/counters", Mode.SAMPLE, "blind") == {(R, "all")}
    assert feeds(tree, f"{SESSIONS}/counters", Mode.SAMPLE, columns=False) == {(R, "all")}


async def test_nothing_is_selected_twice_or_left_out(tree):
    parts = Planner(tree, User("admin"), columns=True).plan(DataPath.parse(SESSIONS), Mode.TARGET_DEFINED)
    selected = [leaf for part in parts for leaf in part.leaves]
    everything = {
        node for node in tree.schema.node(SESSIONS).walk() if node.is_leaf and node.parent.kind != "input"
    }
    assert len(selected) == len(set(selected))
    assert set(selected) == everything
    (columns,) = (part for part in parts if part.feed is Feed.COLUMNS)
    assert tuple(leaf.name for leaf in columns.leaves) == COUNTERS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/*/session/status", [f"{SESSIONS}/status"]),
        (f"{SESSIONS}[id=0000000000000001]/...", [f"{SESSIONS}{ONE}"]),
        ("/sessions/.../session[id=0000000000000001]/counters/tick", [f"{SESSIONS}{ONE}/counters/tick"]),
        ("/.../session[id=0000000000000001]/.../tick", [f"{SESSIONS}{ONE}/counters/tick"]),
        ("/.../.../*[id=0000000000000001]/.../tick/...", [f"{SESSIONS}{ONE}/counters/tick"]),
        (
            "/ietf-netconf-acm:nacm/.../*[name=x]/.../action",
            [f"{RULES}[name='x']/rule/action", f"{RULES}/rule[name='x']/action"],
        ),
    ],
)
async def test_keys_stay_where_wildcards_were(tree, text, expected):
    elements = [(step.name, step.keys) for step in from_text(text)]
    path = DataPath.from_gnmi(elements, tree.schema)
    assert [str(target.path) for target in targets(tree, path)] == expected
