"""Fields of the predecessor's messages, settings of outputs, and what the page says of both."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prometheus_client import REGISTRY

from collector import metrics, schema
from collector.config import ConfigError, parse
from collector.outputs import predecessor

PAGE = (Path(__file__).parents[3] / "docs" / "collector.md").read_text()
INSTANCE = UUID("6f1c2d1e-0000-4000-8000-000000000001")
TIME_NS = 1_763_000_000_123_456_789

ENVELOPE = {"bng_id", "bng_instance_id", "seq", "event_type", "ts"}
SESSION = ENVELOPE | {
    *("session_last_update", "nas_ip", "session_id", "access_key", "remote_id", "circuit_id", "auth_state"),
    *("status", "mac_address", "ip_address", "username"),
}
COUNTERS = {"input_octets", "output_octets", "input_packets", "output_packets"}
EXTRA = {"acct_session_id"}


def row(kind: str, **columns: Any) -> dict[str, Any]:
    made: dict[str, Any] = dict.fromkeys(schema.EVENT)
    made.update(bng_id="b", seq=7, time_ns=TIME_NS, instance_id=INSTANCE, type=kind, number=1)
    made.update(session_id="00000000000000ab", remote_id="an-1", circuit_id="1/0/2", username="b/an-1/1/0/2")
    return {**made, "mac_address": "02:00:00:00:00:01", "ip_address": "100.64.1.10", **columns}


@pytest.mark.parametrize(
    ("kind", "name", "fields"),
    [
        ("session-start", "SESSION_START", SESSION | EXTRA | COUNTERS | {"session_start"}),
        ("session-update", "SESSION_UPDATE", SESSION | EXTRA | COUNTERS),
        ("session-stop", "SESSION_STOP", SESSION | EXTRA | COUNTERS | {"terminate_cause", "session_end"}),
        ("policy-apply", "POLICY_APPLY", SESSION | EXTRA),
        ("session-rejected", "POLICY_APPLY", SESSION | EXTRA),
    ],
)
def test_sessions(kind: str, name: str, fields: set[str]) -> None:
    message = predecessor.event(row(kind, status="active"), "192.0.2.1")
    assert message is not None
    assert set(message) == fields
    assert all(isinstance(text, str) for text in message.values())
    assert (message["event_type"], message["seq"], message["ts"]) == (name, "7", "1763000000.123456789")
    assert (message["bng_instance_id"], message["access_key"]) == (str(INSTANCE), "b/an-1/1/0/2")
    assert (message["session_id"], message["acct_session_id"]) == (
        "00000000-0000-0000-0000-0000000000ab",
        "00000000000000ab",
    )


def test_routers() -> None:
    router = {"remote_id": "an-1", "name": "North", "address": "100.64.1.2", "reachability": "up"}
    message = predecessor.event(row("router-update", session_id=None, router=router), "192.0.2.1")
    assert message is not None
    assert set(message) == ENVELOPE | {"router_name", "giaddr", "is_alive", "last_seen"}
    assert (message["router_name"], message["is_alive"]) == ("an-1", "True")
    down = predecessor.event(row("router-update", router={**router, "reachability": "down"}), "192.0.2.1")
    assert down is not None and down["is_alive"] == "False"


@pytest.mark.parametrize("kind", ["system-start", "session-moved", "session-move-denied", "of-tomorrow"])
def test_what_the_predecessor_did_not_know_is_left_out(kind: str) -> None:
    assert predecessor.event(row(kind), "192.0.2.1") is None


@pytest.mark.parametrize(
    ("status", "profile", "expected"),
    [
        ("pending", None, ("PENDING", "PENDING_AUTH")),
        ("authorizing", None, ("ACTIVE", "PENDING_AUTH")),
        ("active", "gold", ("ACTIVE", "AUTHORIZED")),
        ("idle", "gold", ("IDLE", "AUTHORIZED")),
        ("rejected", None, ("ACTIVE", "REJECTED")),
        ("terminating", "gold", ("EXPIRED", "AUTHORIZED")),
        ("terminating", None, ("EXPIRED", "PENDING_AUTH")),
        (None, "gold", ("ACTIVE", "AUTHORIZED")),
    ],
)
def test_states(status: str | None, profile: str | None, expected: tuple[str, str]) -> None:
    message = predecessor.event(row("session-update", status=status, profile=profile), "192.0.2.1")
    assert message is not None
    assert (message["status"], message["auth_state"]) == expected


def test_seq_of_what_the_journal_does_not_have() -> None:
    """The same for the same tick and session, another for another, far above the journal's, and a bigint."""
    now = datetime.now(UTC)

    def seq(session: str, tick: int) -> int:
        columns = {"session_id": session, "tick": tick, "sampled_at": now, "status": "active"}
        return int(predecessor.interim(row("", **columns), "b", INSTANCE, "192.0.2.1")["seq"])

    made = [seq(f"{session:016x}", tick) for tick in (1, 2, 2**40) for session in (1, 2, 0xFFFFFF)]
    assert len(set(made)) == len(made)
    assert seq("0" * 15 + "1", 1) == made[0]
    health = predecessor.health(
        {"bng_id": "b", "instance_id": INSTANCE, "time": now, "cpu_usage": None, "memory_usage": 2**20}
        | {"memory_limit": 2**30}
    )
    assert set(health) == ENVELOPE | {"cpu_usage", "mem_usage", "mem_max"}
    assert (health["cpu_usage"], health["mem_usage"], health["mem_max"]) == ("0.00", "1.00", "1024.00")
    assert 2**61 < int(health["seq"]) < 2**62 <= min(made) and max(made) < 2**63


def test_a_session_of_another_kind_of_name_has_a_uuid_too() -> None:
    made = {predecessor.session_uuid(name) for name in ("subscriber 7", "subscriber 8", "f" * 17)}
    assert len(made) == 3
    assert all(UUID(text) for text in made)


REDIS = {"type": "redis-streams", "url": "redis://127.0.0.1"}


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ([], "'outputs' must be an object"),
        ({"x": []}, r"outputs\.x: must be an object"),
        ({"x": {"type": "kafka"}}, r"outputs\.x: 'type' must be one of redis-streams, not 'kafka'"),
        ({"x": {"type": []}}, r"outputs\.x: 'type'"),
        ({"x": {"type": "redis-streams"}}, r"outputs\.x: 'url'"),
        ({"x": {**REDIS, "url": "http://h"}}, r"outputs\.x: 'url' must begin with"),
        ({"x": {**REDIS, "url": "redis://h:port"}}, r"outputs\.x: 'url'"),
        ({"x": {**REDIS, "stream": "a{b}"}}, r"outputs\.x: 'stream'"),
        ({"x": {**REDIS, "max_length": 1}}, r"outputs\.x: 'max_length' must be a number from 100"),
        ({"x": {**REDIS, "interim": float("nan")}}, r"outputs\.x: 'interim'"),
        ({"x": {**REDIS, "maxlen": 1000}}, r"outputs\.x: unknown: maxlen"),
    ],
)
def test_errors_name_the_output(source: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        parse({"database": "postgresql:///x", "targets": [], "outputs": source})


def test_none_by_default_and_the_predecessors_stream() -> None:
    assert parse({"database": "postgresql:///x", "targets": []}).outputs == ()
    (make,) = parse({"database": "postgresql:///x", "targets": [], "outputs": {"x": REDIS}}).outputs
    output = make()
    assert (output.name, output.stream, output.hash) == ("x", "bng_events", "{bng_events}:positions")  # type: ignore[attr-defined]
    assert "secret" not in repr(
        parse({"database": "x", "targets": [], "outputs": {"x": {**REDIS, "url": "redis://:secret@h"}}})
    )


def test_outputs_that_stay_as_they_are_need_no_restart() -> None:
    """A configuration that is read again makes them anew; the comparison is by what they say."""

    def read(**changes: Any) -> Any:
        return parse({"database": "x", "targets": [], "outputs": {"x": {**REDIS, **changes}}}).outputs

    assert read() == read()
    assert read() != read(stream="other")
    assert read() != read(interim=7)


def _table(name: str) -> list[list[str]]:
    part = PAGE.partition(f"<!-- {name} -->\n")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines()[2:]]


def test_the_page_has_every_metric() -> None:
    documented = {}
    for name, kind, labels, _ in _table("metrics"):
        documented[name.strip("`")] = (kind, set(re.findall(r"`(\w+)`", labels)))
    made = {
        metric.name: (metric.type, set(REGISTRY._names_to_collectors[metric.name]._labelnames))  # type: ignore[attr-defined]
        for metric in REGISTRY.collect()
        if metric.name.startswith("aether_collector_")
    }
    assert documented == made


def test_the_page_has_every_field() -> None:
    documented = {field for fields, *_ in _table("fields") for field in re.findall(r"`(\w+)`", fields)}
    router = {"router_name", "giaddr", "is_alive", "last_seen"}
    health = {"cpu_usage", "mem_usage", "mem_max"}
    ends = {"session_start", "session_end", "terminate_cause"}
    assert documented == SESSION | EXTRA | COUNTERS | ends | router | health


def test_gauges_of_a_bng_that_is_not_held_go() -> None:
    metrics.TARGET_UP.labels("gone").set(1)
    metrics.committed("gone", "events", 0)
    metrics.committed("stays", "events", 0)
    metrics.forget("gone")
    left = [
        s.labels["bng_id"] for g in (metrics.TARGET_UP, metrics.LAG) for m in g.collect() for s in m.samples
    ]
    assert "gone" not in left and "stays" in left
