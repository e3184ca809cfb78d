"""What of a machine's events and effects belongs to a recording of some lines, and what it gives back."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from bng.codec.dhcp import Option
from bng.session import effects as fx
from bng.session import events as ev
from bng.session import replay as module
from bng.session import snapshot
from bng.session.base import tombstone_key
from bng.session.nat import NatBinding
from bng.session.records import AccessLine
from tests.replay.record import online
from tests.replay.scenario import START, Player, from_client

LINE, OTHER = AccessLine("node-a", "1/0/1"), AccessLine("node-a", "1/0/2")


def with_session() -> Player:
    player = Player()
    for step in online():
        (name, fields), *_ = [(key, value) for key, value in step.items() if key != "at"]
        player.step(step["at"], name, fields)
    return player


def lease(line: AccessLine, ip: str) -> ev.LeaseFound:
    return ev.LeaseFound(*line, "sub0", "0.0.0.0", "02:00:00:00:00:77", ip, None, START + 10**9, "192.0.2.53")


class TestLineOfAnEvent:
    def test_of_packets(self) -> None:
        machine = with_session().machine
        assert module.line_of_event(machine, from_client("discover", "node-z 1/0/7")) == ("node-z", "1/0/7")
        renewal = from_client("renew", ip="100.64.0.10", marked=False)
        assert module.line_of_event(machine, renewal) == LINE
        assert module.line_of_event(machine, from_client("renew", ip="100.64.0.11", marked=False)) is None
        broken = renewal.packet.with_option(Option.RELAY_AGENT, b"\1\x09x")
        assert module.line_of_event(machine, replace(renewal, packet=broken)) is None

    def test_of_timers(self) -> None:
        player = with_session()
        key = tombstone_key(OTHER)
        assert module.line_of_event(player.machine, ev.TimerDue(ev.Timer.TOMBSTONE, key)) == OTHER
        assert module.line_of_event(player.machine, ev.TimerDue(ev.Timer.LEASE, player.id("$1"))) == LINE
        assert module.line_of_event(player.machine, ev.TimerDue(ev.Timer.LEASE, "f" * 16)) is None

    def test_of_leases_and_of_nothing(self) -> None:
        machine = with_session().machine
        assert module.line_of_event(machine, lease(OTHER, "100.64.0.10")) == OTHER
        assert module.line_of_event(machine, ev.Continue()) is None


def test_newcomers_are_lines_that_meet() -> None:
    machine = with_session().machine
    assert module.newcomers(machine, lease(OTHER, "100.64.0.10"), [LINE]) == {OTHER}
    assert module.newcomers(machine, lease(OTHER, "100.64.0.11"), [LINE]) == set()
    assert module.newcomers(machine, lease(OTHER, "100.64.0.10"), [OTHER]) == {LINE}
    assert module.newcomers(machine, ev.Continue(), [LINE]) == set()
    nameless = from_client("renew", ip="100.64.0.11", marked=False)
    assert module.newcomers(machine, nameless, [LINE]) == set()


def test_effects_of_some_lines() -> None:
    player = with_session()
    session_id = player.id("$1")
    ours: list[fx.Effect] = [
        fx.Journal({"type": "session-update", "access-line": {"remote-id": "node-a", "circuit-id": "1/0/1"}}),
        fx.SetTimer(ev.Timer.LEASE, session_id, 1),
        fx.CancelTimer(ev.Timer.LEASE, session_id),
        fx.AskRadius(session_id, 2, "u", "m", "i", "p"),
    ]
    others: list[fx.Effect] = [
        fx.Journal({"type": "router-update"}),
        fx.SetTimer(ev.Timer.LEASE, "f" * 16, 1),
        fx.AskRadius("f" * 16, 2, "u", "m", "i", "p"),
        fx.Answer(1),
        fx.Continue(),
    ]
    assert module.of_lines(player.machine, [*others, *ours], [LINE]) == ours
    assert module.of_lines(player.machine, [*others, *ours], [OTHER]) == []


@pytest.mark.parametrize("of_lines", [True, False])
def test_a_recording_says_that_no_more_sessions_could_start(of_lines: bool) -> None:
    """The machine of a few lines is not full by itself."""
    player = Player({"max_sessions": 1})
    for step in online():
        (name, fields), *_ = [(key, value) for key, value in step.items() if key != "at"]
        player.step(step["at"], name, fields)
    lines = {OTHER} if of_lines else None
    texts = [module.dumps(module.head("recording", player.machine, "now", lines))]
    texts += map(module.dumps, snapshot.encode(snapshot.freeze(player.machine, lines)))
    texts.append(module.dumps({"snapshot": sorted(lines or ())}))
    for event in (
        from_client("discover", "node-a 1/0/2", mac="02:00:00:00:00:02"),
        ev.ProfileChanged("gold", None),
    ):
        effects = player.do(1, event)
        if lines is not None:
            effects = module.without_shared(effects)
            if module.concerns_all(event):
                effects = module.of_lines(player.machine, effects, lines)
        texts.append(module.dumps(module.encode_step(player.now, event, effects, full=True)))
    played = list(module.replay(texts))
    assert [one.identical for one in played] == [True, True]
    assert played[0].machine.drop == "" or of_lines
    assert "full" in json.loads(texts[-1])


def test_a_recording_of_all_takes_a_further_snapshot() -> None:
    player = with_session()
    forms = list(snapshot.encode(snapshot.freeze(player.machine)))
    texts = [module.dumps(module.head("recording", player.machine, "now", None))]
    texts += [module.dumps(form) for form in (*forms, {"snapshot": None}, *forms, {"snapshot": None})]
    texts.append("{}\n")
    assert list(module.replay(texts)) == []


def test_public_addresses_that_a_recording_gives() -> None:
    """A session that has one already is only enforced again with it."""
    player = with_session()
    session = player.session()
    assert session is not None
    nat = ["203.0.113.1", 1024, 2047]
    effect = {"kind": "EnforceStart", "session_id": session.id, "nat": nat}
    form = {"effects": [effect, {"kind": "EnforceStart", "session_id": session.id}]}
    assert list(module._newly_bound(player.machine, form)) == [NatBinding("203.0.113.1", 1024, 2047)]
    session.nat = NatBinding("203.0.113.1", 1024, 2047)
    assert list(module._newly_bound(player.machine, form)) == []
