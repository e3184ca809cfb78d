"""Events and effects as lines for a person."""

from __future__ import annotations

import pytest

from bng.codec import dhcp
from bng.codec.dhcp import DhcpPacket
from bng.session import effects as fx
from bng.session import events as ev
from bng.session.narrate import clock, effect_line, event_line
from bng.session.settings import Policy, Profile, Settings
from tests.replay.scenario import START, from_client, from_server

ID = "0" * 16
POLICY = Policy("gold", 50_000_000, 20_000_000)


def test_time_of_day() -> None:
    assert clock(START + 1_500_000) == "08:00:00.001"


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (from_client("discover"), "DISCOVER from 02:00:00:00:00:01 on sub0"),
        (from_server("ack", ip="100.64.0.9"), "ACK 100.64.0.9 for 3600 s from 192.0.2.53"),
        (ev.TimerDue(ev.Timer.LEASE, ID), f"timer lease {ID}"),
        (ev.TimerDue(ev.Timer.PENDING, ""), "timer pending"),
        (ev.SettingsChanged(Settings("bng", "bng")), "settings changed"),
        (ev.RadiusReject(ID, 1, "unpaid", "radius"), f"Access-Reject from radius {ID} (unpaid)"),
        (ev.RadiusAccept(ID, 1, ("gold",), server="r"), f"Access-Accept gold from r {ID}"),
        (
            ev.RadiusAccept(ID, 1, download_kbps=5, upload_kbps=6, server="r"),
            f"Access-Accept Accept 5/6 kbit/s from r {ID}",
        ),
        (ev.RadiusUnanswered(ID, 1), f"no-answer {ID} (no RADIUS server answered)"),
        (ev.Enforced(ID, ev.Operation.START, POLICY), f"start gold 50000/20000 kbit/s {ID}"),
        (ev.Enforced(ID, ev.Operation.STOP, error="no"), f"stop {ID} (refused: no)"),
        (ev.SetPolicy(1, ID, "gold"), f"set-policy gold {ID}"),
        (ev.ProfileChanged("gold", Profile(2, 1)), "profile-changed gold"),
        (ev.LeaseGone(ID, 1, "it is gone"), f"lease-gone {ID} (it is gone)"),
        (ev.Continue(), "continued"),
    ],
)
def test_events(event: ev.Event, line: str) -> None:
    assert event_line(event) == line


def test_a_packet_of_an_unknown_kind() -> None:
    packet = DhcpPacket(1, 7, "02:00:00:00:00:01", {53: b"\xfe"})
    assert event_line(ev.DhcpFromSubscriber("sub0", "", packet)).startswith("unknown from ")


REQUEST = dhcp.build(from_client("discover").packet)
OFFER = dhcp.build(from_server("offer", ip="100.64.0.9").packet)
MAC, IP = "02:00:00:00:00:01", "100.64.0.9"
ACCOUNT = fx.Account(fx.AccountKind.START, ID, 1, 1, "u", MAC, IP, "p", (), 7, None, None, START)


@pytest.mark.parametrize(
    ("effect", "line"),
    [
        (fx.SendToServer("192.0.2.53", 67, REQUEST), "to the server 192.0.2.53: DISCOVER"),
        (fx.SendToServer("192.0.2.53", 67, b"abc"), "to the server 192.0.2.53: 3 octets"),
        (
            fx.SendToSubscriber("sub0", MAC, "10.0.0.1", "255.255.255.255", 68, OFFER),
            "to 02:00:00:00:00:01 on sub0: OFFER 100.64.0.9",
        ),
        (
            fx.AskRadius(ID, 2, "bng/a/b", MAC, IP, "p"),
            "ask RADIUS for bng/a/b (question 2)",
        ),
        (ACCOUNT, f"accounting start {ID}, 7 s"),
        (fx.EnforceStart(ID, 1, 1, "sub0", MAC, IP, False, POLICY),
         "data plane: start 100.64.0.9 at gold 50000/20000 kbit/s"),
        (fx.EnforceStop(ID, 1, 1, "sub0", MAC, IP, False), "data plane: stop 100.64.0.9"),
        (fx.EnforceChange(ID, 1, 1, POLICY), "data plane: change to gold 50000/20000 kbit/s"),
        (fx.Journal({"type": "session-start", "session-id": ID, "status": "active", "profile": "gold"}),
         f"journal: session-start {ID} active gold"),
        (fx.SetTimer(ev.Timer.LEASE, ID, START + 2_500_000_000), "timer lease in 2.5 s"),
        (fx.Answer(1), "answer: ok"),
        (fx.Answer(1, "data-missing", "there is none"), "answer: data-missing there is none"),
        (fx.Log("info", "session.moved", {}), "log: session.moved"),
        (fx.CancelTimer(ev.Timer.LEASE, ID), ""),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)  # fmt: skip
def test_effects(effect: fx.Effect, line: str) -> None:
    assert effect_line(effect, START) == line
