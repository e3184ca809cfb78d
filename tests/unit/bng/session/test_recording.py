"""The readable form of events and effects."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bng.codec import dhcp
from bng.codec.dhcp import DhcpPacket
from bng.session import effects as fx
from bng.session import events as ev
from bng.session import recording
from bng.session.settings import Policy, Profile, Settings, SubscriberInterface

PACKET = DhcpPacket(
    1,
    7,
    "02:00:00:00:00:01",
    {53: b"\1", 61: b"\xff\0", 82: b"\1\0051/0/1\2\6node-a\x97\2#a\x98\0"},
    giaddr="10.9.0.1",
    file=b"boot",
)
EVENTS = [
    ev.DhcpFromSubscriber("sub0", "02:00:00:00:00:01", PACKET),
    ev.DhcpFromServer("192.0.2.53", PACKET.with_option(82, b"\1\x09broken")),
    ev.RadiusAccept("0" * 16, 1, ("gold",), classes=(b"blue", b"\0")),
    ev.RadiusReject("0" * 16, 1, "no"),
    ev.RadiusUnanswered("0" * 16, 1),
    ev.Enforced("0" * 16, ev.Operation.CHANGE, Policy("gold", 2, 1), 5),
    ev.Enforced("0" * 16, ev.Operation.STOP, counters=ev.Counters(1, 2)),
    ev.SessionIdle("0" * 16, 5),
    ev.SessionTraffic("0" * 16),
    ev.TimerDue(ev.Timer.LEASE, "0" * 16),
    ev.Disconnect(1, "0" * 16, "why"),
    ev.DisconnectMatching(1, profile="gold"),
    ev.Continue(),
    ev.Reauthenticate(1, "0" * 16),
    ev.SetPolicy(1, "0" * 16, policy=Policy(None, 2, 1)),
    ev.DisconnectSelected(1, ev.Selector(username="bng/a/b")),
    ev.ChangeSelected(1, ev.Selector("0" * 16), ev.RadiusAccept("", 0, ("gold",), idle_timeout=5), "why"),
    ev.ReauthenticateSelected(1, ev.Selector(remote_id="a", circuit_id="b"), b"state"),
    ev.ProfileChanged("gold", Profile(2, 1)),
    ev.ProfileChanged("gold", None),
    ev.SettingsChanged(
        Settings(
            "bng", "bng", interfaces={"sub0": SubscriberInterface("1.2.3.4")}, servers=(("1.2.3.5", 67),)
        )
    ),
    ev.LeaseFound("a", "b", "sub0", "0.0.0.0", "m", "i", None, 5, "s"),
    ev.LeaseGone("0" * 16, 5, "gone"),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_events_round_trip_through_json_and_yaml(event: ev.Event) -> None:
    form = recording.encode_event(event)
    assert recording.decode_event(json.loads(json.dumps(form))) == event
    assert recording.decode_event(yaml.safe_load(yaml.safe_dump(form))) == event


def test_every_kind_of_event_is_tested() -> None:
    assert {type(event) for event in EVENTS} == set(ev.Event.__args__)


@given(st.binary(max_size=100))
def test_any_option_82_survives(value: bytes) -> None:
    event = ev.DhcpFromServer("192.0.2.53", PACKET.with_option(82, value))
    assert recording.decode_event(recording.encode_event(event)) == event


def test_effects_show_the_packet_that_they_send() -> None:
    form = recording.encode_effect(fx.SendToServer("192.0.2.53", 67, dhcp.build(PACKET)))
    assert form["kind"] == "SendToServer"
    assert form["packet"]["giaddr"] == "10.9.0.1"
    assert form["packet"]["options"][82].startswith("1=1/0/1 2=node-a")
    form = recording.encode_effect(fx.SetTimer(ev.Timer.LEASE, "x", 5))
    assert form == {"kind": "SetTimer", "timer": "lease", "key": "x", "deadline": 5}


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"kind": "Nothing"},
        {"kind": {}},
        {"kind": "RadiusAccept", "session_id": "x", "attempt": 1, "classes": 5},
        {"kind": "DhcpFromServer", "server": "x", "packet": 5},
        {"kind": "SessionIdle", "session_id": "x"},
        {"kind": "SessionIdle", "session_id": "x", "since": 1, "colour": "red"},
        {"kind": "TimerDue", "timer": "egg", "key": ""},
        {"kind": "DhcpFromServer", "server": "x", "packet": {"op": 1, "options": {53: "01"}}},
        {"kind": "RadiusAccept", "session_id": "x", "attempt": 1, "classes": [5]},
    ],
)
def test_what_is_no_event(form: dict) -> None:
    with pytest.raises(ValueError):
        recording.decode_event(form)
