"""Notifications → rows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector import decode
from collector.schema import COUNTERS
from telemetry.protocol import gnmi_pb2


def notification(prefix: str, leaves: dict[str, object], timestamp: int = 1) -> gnmi_pb2.Notification:
    """Paths as ``sessions/session[id=x]/counters``; int, str and bool leaves."""

    def path(text: str) -> gnmi_pb2.Path:
        made = gnmi_pb2.Path()
        for part in filter(None, text.split("/")):
            name, _, keys = part.partition("[")
            element = made.elem.add(name=name)
            if keys:
                key, _, value = keys.rstrip("]").partition("=")
                element.key[key] = value
        return made

    made = gnmi_pb2.Notification(timestamp=timestamp, prefix=path(prefix))
    for name, value in leaves.items():
        update = made.update.add(path=path(name))
        if isinstance(value, bool):
            update.val.bool_val = value
        elif isinstance(value, int):
            update.val.uint_val = value
        else:
            update.val.string_val = str(value)
    return made


def test_event_becomes_a_row() -> None:
    row = decode.event(
        notification(
            "aether-events:events/event[seq=7]",
            {
                "type": "session-stop",
                "instance-id": "x",
                "session-id": "00000000000000aa",
                "access-line/remote-id": "node",
                "started": "2026-11-21T02:00:01.123456789+00:00",
                "counters/in-octets": 5,
            },
            timestamp=1_700_000_000_123_456_789,
        )
    )
    assert row is not None
    assert (row["seq"], row["type"], row["remote_id"]) == (7, "session-stop", "node")
    assert row["time"] == datetime(2023, 11, 14, 22, 13, 20, 123456, UTC)
    assert row["started"] == datetime(2026, 11, 21, 2, 0, 1, 123456, UTC)
    assert (row["in_octets"], row["out_octets"], row["router"]) == (5, None, None)
    assert (row["nat_address"], row["nat_port_first"], row["nat_port_last"]) == (None, None, None)


def test_public_address_and_ports_are_columns_of_events_and_sessions() -> None:
    leaves = {"nat/address": "203.0.113.7", "nat/port-first": 1024, "nat/port-last": 2047}
    row = decode.event(notification("aether-events:events/event[seq=7]", {"type": "policy-apply", **leaves}))
    assert row is not None
    for columns in (row, decode.session(leaves)):
        assert (columns["nat_address"], columns["nat_port_first"], columns["nat_port_last"]) == (
            "203.0.113.7",
            1024,
            2047,
        )


def test_event_of_a_router_keeps_its_leaves() -> None:
    row = decode.event(
        notification(
            "events/event[seq=1]",
            {"type": "router-update", "router/remote-id": "n", "router/configured": False},
        )
    )
    assert row is not None
    assert row["router"] == {"remote_id": "n", "configured": False}


def test_event_as_one_json_value() -> None:
    made = notification("events", {})
    update = made.update.add()
    update.path.elem.add(name="event", key={"seq": "3"})
    update.val.json_ietf_val = (
        b'{"seq": "3", "type": "session-start", "access-line": {"circuit-id": "1/0/3"}}'
    )
    row = decode.event(made)
    assert row is not None
    assert (row["seq"], row["circuit_id"]) == (3, "1/0/3")


@pytest.mark.parametrize(
    ("leaves", "text"),
    [
        ({"session-id": "x"}, "without seq or type"),
        ({"type": "session-start", "started": "yesterday"}, "date-and-time"),
        ({"type": "session-stop", "counters/in-octets": 2**63}, "does not fit"),
        ({"type": "session-stop", "counters/in-octets": "many"}, "not an integer"),
    ],
)
def test_an_event_that_cannot_be_is_refused(leaves: dict[str, object], text: str) -> None:
    with pytest.raises(decode.DecodeError, match=text):
        decode.event(notification("events/event[seq=1]", leaves))


def test_broken_json_is_refused() -> None:
    made = notification("events/event[seq=1]", {})
    made.update.add().val.json_val = b"{"
    with pytest.raises(decode.DecodeError, match="broken JSON"):
        decode.event(made)


@pytest.mark.parametrize(("begin", "end"), [(b'{"a":', b"}"), (b"[", b"]")])
def test_json_that_is_too_deep_is_refused(begin: bytes, end: bytes) -> None:
    for levels in (decode.MOST_DEEP - 1, 1000):
        made = notification("events/event[seq=1]", {"type": "x"})
        made.update.add().val.json_val = begin * levels + b"1" + end * levels
        if levels == 1000:
            with pytest.raises(decode.DecodeError, match="levels"):
                decode.event(made)
        else:
            assert decode.event(made)


@given(st.lists(st.tuples(*[st.integers(0, 2**63 - 1)] * 7), min_size=1, max_size=5))
def test_samples_of_several_sessions_in_one_message(rows: list[tuple[int, ...]]) -> None:
    leaves: dict[str, object] = {}
    for number, row in enumerate(rows):
        for name, value in zip(("tick", *COUNTERS), row, strict=True):
            leaves[f"session[id={number:016x}]/counters/{name.replace('_', '-')}"] = value
    found = list(decode.samples(notification("aether-subscriber:sessions", leaves)))
    assert found == [(f"{n:016x}", row[0], row[1:]) for n, row in enumerate(rows)]


def test_partial_samples_and_foreign_ids_are_passed_over() -> None:
    full = {f"counters/{name.replace('_', '-')}": 1 for name in ("tick", *COUNTERS)}
    partial = dict(list(full.items())[:-1])
    assert list(decode.samples(notification(f"sessions/session[id={'0' * 16}]", partial))) == []
    assert list(decode.samples(notification("sessions/session[id=short]", full))) == []


def test_health_collects_its_servers() -> None:
    (_, leaves), *_ = decode.entries(
        notification(
            "health",
            {
                "cpu-usage": 150,
                "radius-server[name=r1]/name": "r1",
                "radius-server[name=r1]/up": True,
                "dhcp-server[address=10.0.0.1]/latency": 42,
            },
        ),
        below="health",
    )
    row = decode.health(leaves)
    assert row["cpu_usage"] == 150
    assert row["memory_usage"] is None
    assert row["radius_servers"] == [{"name": "r1", "up": True}]
    assert row["dhcp_servers"] == [{"latency": 42}]


def told(**leaves: gnmi_pb2.TypedValue) -> gnmi_pb2.Notification:
    """An event of the journal with these leaves."""
    made = gnmi_pb2.Notification(timestamp=10**18)
    made.prefix.elem.add(name="aether-events:events")
    made.prefix.elem.add(name="event", key={"seq": "1"})
    leaves.setdefault("type", gnmi_pb2.TypedValue(string_val="session-start"))
    for name, typed in leaves.items():
        update = made.update.add(val=typed)
        for step in name.split("__"):
            update.path.elem.add(name=step.replace("_", "-"))
    return made


@pytest.mark.parametrize(
    ("leaf", "typed"),
    [
        ("username", {"uint_val": 5}),
        ("username", {"json_ietf_val": b'["a"]'}),
        ("type", {"bool_val": True}),
        ("mac_address", {"string_val": "00:11"}),
        ("mac_address", {"string_val": "zz:11:22:33:44:55"}),
        ("ip_address", {"string_val": "999.1.1.1"}),
        ("ip_address", {"bytes_val": b"\1\2\3\4"}),
        ("nat__address", {"string_val": "x"}),
        ("nat__port_first", {"uint_val": 65536}),
        ("upload_rate", {"double_val": float("inf")}),
        ("upload_rate", {"uint_val": 2**63}),
        ("started", {"uint_val": 5}),
        ("started", {"string_val": "0001-01-01T00:00:00+14:00"}),
    ],
)
def test_leaves_that_no_column_takes_are_told(leaf: str, typed: dict[str, Any]) -> None:
    with pytest.raises(decode.DecodeError):
        decode.event(told(**{leaf: gnmi_pb2.TypedValue(**typed)}))


def test_ids_of_an_access_line_may_have_any_octets() -> None:
    row = decode.event(told(access_line__circuit_id=gnmi_pb2.TypedValue(string_val="a\0b")))
    assert row and row["circuit_id"] == "a\ufffdb"
