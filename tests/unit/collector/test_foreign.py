"""gnmic's file, and values of any target."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from collector.decode import DecodeError
from collector.foreign import decode
from collector.foreign.config import ForeignError, nanoseconds, parse_path, path_text, read_foreign
from collector.foreign.session import request
from telemetry.protocol import gnmi_pb2

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
FILE = """
username: admin
password: secret
timeout: 10s          # gnmic's own, not read
targets:
  r1:57400: {tls-ca: ca.pem}
  r2: {address: "[::1]:57400", insecure: true, username: other, subscriptions: [change]}
subscriptions:
  ports:
    paths: ["openconfig:/interfaces/interface[name=*]/state/counters", /system/cpus]
    stream-mode: sample
    sample-interval: 1m30s
    encoding: json_ietf
  change: {path: "/a/b[k=x/y][l=\\\\]]", stream-mode: on_change, heartbeat-interval: 500ms, target: r2}
"""


def test_a_file_of_gnmic() -> None:
    found = read_foreign(yaml.safe_load(FILE), Path("/etc"))
    one, two = found.targets
    assert (one.address, one.username, one.password, one.ca) == (
        "r1:57400",
        "admin",
        "secret",
        Path("/etc/ca.pem"),
    )
    assert (two.address, two.username, two.insecure) == ("[::1]:57400", "other", True)
    assert [s.name for s in one.subscriptions] == ["ports", "change"]
    asked = request(one.subscriptions[0]).subscribe
    assert (asked.encoding, asked.mode) == (gnmi_pb2.JSON_IETF, gnmi_pb2.SubscriptionList.STREAM)
    first = asked.subscription[0]
    assert (first.mode, first.sample_interval, first.path.origin) == (
        gnmi_pb2.SAMPLE,
        90 * 10**9,
        "openconfig",
    )
    assert first.path.elem[1].key["name"] == "*"
    change = request(two.subscriptions[0]).subscribe
    assert (change.subscription[0].mode, change.subscription[0].heartbeat_interval) == (
        gnmi_pb2.ON_CHANGE,
        5 * 10**8,
    )
    assert dict(change.subscription[0].path.elem[1].key) == {"k": "x/y", "l": "]"}
    assert change.prefix.target == "r2"
    assert "secret" not in repr(found)


def source(**target: Any) -> dict[str, Any]:
    return {"targets": {"t": {"address": "h:1", **target}}, "subscriptions": {"s": {"paths": ["/a"]}}}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ([], "the file must be a mapping"),
        (source(address="h"), "targets.t.address must be host:port"),
        (source(address="h:99999"), "host:port"),
        (source(subscriptions=["x"]), "there is no subscription 'x'"),
        (source(**{"skip-verify": True}), "skip-verify is not supported"),
        (source(username=3), "targets.t.username must be text"),
        ({"subscriptions": {"s": {}}}, "subscriptions.s.paths"),
        ({"subscriptions": {"s": {"paths": ["/a[b"]}}}, "subscriptions.s: no path"),
        ({"subscriptions": {"s": {"paths": ["/a"], "mode": "twice"}}}, "one of stream, once, poll"),
        ({"subscriptions": {"s": {"paths": ["/a"], "sample-interval": 10}}}, "a duration such as 10s"),
        ({"subscriptions": {"s": {"paths": ["/a"], "encoding": "xml"}}}, "encoding must be one of"),
        ({"targets": {1: {}}}, "targets must be a mapping of names"),
    ],
)
def test_errors_name_the_place(given: Any, text: str) -> None:
    with pytest.raises(ForeignError, match=text):
        read_foreign(given, Path())


def test_durations() -> None:
    assert [nanoseconds(text, "x") for text in ("0s", "1.5s", "2h", "10ms")] == [
        0,
        15 * 10**8,
        7200 * 10**9,
        10**7,
    ]
    for text in ("", "5", "5 s", "5x", "25h", "-1s"):
        with pytest.raises(ForeignError):
            nanoseconds(text, "x")


names = st.text(st.characters(codec="ascii", exclude_characters="/[]:", categories=["L", "N"]), min_size=1)
elements = st.lists(st.tuples(names, st.dictionaries(names, st.text(max_size=8), max_size=2)), max_size=4)


@given(elements)
def test_paths_survive_text(path: list[tuple[str, dict[str, str]]]) -> None:
    assert parse_path(path_text("", path)) == ("", path)


@given(st.text())
def test_any_text_is_a_path_or_an_error(text: str) -> None:
    with contextlib.suppress(ForeignError):
        parse_path(text)


def update(**value: Any) -> gnmi_pb2.Update:
    return gnmi_pb2.Update(val=gnmi_pb2.TypedValue(**value))


def test_values_that_json_has_not() -> None:
    assert decode.typed(update(double_val=float("nan"))) == ("float", None, "nan")
    assert decode.typed(update(string_val="a\0b")) == ("string", None, "a\\0b")
    assert decode.typed(update(json_val=b'"a\\u0000b"')) == ("json", None, "ab")
    assert decode.typed(update(json_val=rb'["\\u0000", "\\\u0000", "\n"]'))[2] == ["\\u0000", "\\", "\n"]
    assert decode.typed(update(json_val=b"18446744073709551615")) == (
        "json",
        Decimal(2**64 - 1),
        2**64 - 1,
    )
    assert decode.typed(update(any_val={"type_url": "x", "value": b"1"}))[0] == "proto"
    odd = gnmi_pb2.Path(elem=[gnmi_pb2.PathElem(name="a", key={"k": "]\0"})], origin="o")
    assert decode.name(odd, gnmi_pb2.Path(element=["old", "style"])) == "o:/a[k=\\]\\0]/old/style"
    assert decode.typed(gnmi_pb2.Update()) == ("json", None, None)
    for broken in (update(json_val=b"{"), update(bytes_val=bytes(2 << 20))):
        with pytest.raises(DecodeError):
            decode.typed(broken)


@pytest.mark.parametrize(
    ("offset", "own"), [(0, True), (-200, True), (30, True), (-400, False), (90, False), (10**9, False)]
)
def test_times_that_cannot_be_right_are_ours(offset: int, own: bool) -> None:
    time = NOW + timedelta(seconds=offset)
    assert decode.stamp(int(time.timestamp()) * 10**9, NOW) == (time if own else NOW)
    for wild in (0, -1, 1, 2**63 - 1):
        assert decode.stamp(wild, NOW) == NOW
