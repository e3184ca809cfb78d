"""Dynamic authorization in the machine: what the recordings do not tell."""

from __future__ import annotations

from typing import Any

import pytest

from bng.session import effects as fx
from bng.session import events as ev
from bng.session.events import ChangeSelected, DisconnectSelected, ReauthenticateSelected, Selector
from bng.session.settings import Policy
from tests.replay.scenario import Player
from tests.unit.bng.session.test_machine import ATTACH, active, answers_of, bound, events_of, kinds

MAC, OTHER = "02:00:00:00:00:01", "02:00:00:00:00:02"


def change(token: int, selector: Selector, **wanted: Any) -> ChangeSelected:
    return ChangeSelected(token, selector, ev.RadiusAccept("", 0, **wanted), "CoA-Request of radius")


def attach(player: Player, line: str, ip: str, mac: str, at: float) -> None:
    """Bring another session up."""
    for _, name, fields in ATTACH:
        at += 0.001
        player.step(at, name, {**fields, "line": line, "mac": mac, **({"ip": ip} if "ip" in fields else {})})
    player.step(at, "accept", {"filter_ids": ["gold"]})
    player.step(at, "enforced", {})


def two() -> Player:
    """Two sessions behind two nodes, with the same circuit-id."""
    player = active()
    attach(player, "node:b 1/0/1", "100.64.0.11", OTHER, 1)
    assert len(player.machine.store) == 2
    return player


@pytest.mark.parametrize(
    ("selector", "meant"),
    [
        (Selector(remote_id="node-a"), "$1"),
        (Selector(remote_id="node:b"), "$2"),
        (Selector(remote_id="node:b", mac_address=OTHER), "$2"),
        (Selector(circuit_id="1/0/1", mac_address=MAC, ip_address="100.64.0.10"), "$1"),
        (Selector(nas_port_id="sub0:node:b:1/0/1"), "$2"),
        (Selector(username="bng-01/node:b/1/0/1"), "$2"),
        (Selector(circuit_id="1/0/1"), "several"),
        (Selector(mac_address=MAC), "$1"),
        (Selector(remote_id="node-a", mac_address=OTHER), "none"),
        (Selector(), "none"),
        (Selector(nas_port_id="sub0"), "none"),
        (Selector(username="bng-02/node:b/1/0/1"), "none"),
    ],
)
def test_who_is_meant(selector: Selector, meant: str) -> None:
    player = two()
    effects = player.do(5, DisconnectSelected(7, selector))
    if meant.startswith("$"):
        (stop,) = [e for e in effects if isinstance(e, fx.EnforceStop)]
        assert stop.session_id == player.id(meant)
    else:
        tag = {"several": "operation-not-supported", "none": "data-missing"}[meant]
        assert answers_of(effects) == [(7, tag)]
        assert kinds(effects) == [fx.Answer]


def test_the_one_that_stays_is_meant_while_another_ends() -> None:
    player = two()
    player.do(5, DisconnectSelected(1, Selector(ip_address="100.64.0.10")))
    effects = player.do(6, change(2, Selector(circuit_id="1/0/1"), filter_ids=("silver",)))
    (changed,) = [e for e in effects if isinstance(e, fx.EnforceChange)]
    assert changed.session_id == player.id("$2")


def test_ended_by_radius_without_a_reason() -> None:
    player = active()
    player.do(5, DisconnectSelected(1, Selector(circuit_id="1/0/1")))
    (stop,) = [e for e in player.step(6, "stopped", {}) if isinstance(e, fx.Journal)]
    assert (stop.event["reason"], stop.event["terminate-cause"]) == ("disconnected by RADIUS", "Admin-Reset")


def test_nothing_to_change_before_it_forwards() -> None:
    player = bound()
    selector = Selector(ip_address="100.64.0.10")
    for token, wanted in ((1, {"filter_ids": ("gold",)}), (2, {"idle_timeout": 5})):
        assert answers_of(player.do(1, change(token, selector, **wanted))) == [(token, "resource-denied")]
    effects = player.do(2, ReauthenticateSelected(3, selector))
    assert answers_of(effects) == [(3, "")], "it is being asked for already"
    assert fx.AskRadius not in kinds(effects)
    (ask, _) = player.do(3, ReauthenticateSelected(4, selector, b"opaque"))
    assert isinstance(ask, fx.AskRadius)
    assert (ask.state, ask.attempt) == (b"opaque", 2)
    assert not player.machine._changes


@pytest.mark.parametrize(
    "wanted",
    [
        {"filter_ids": ("platinum",), "download_kbps": 1000, "upload_kbps": 1000},
        {"download_kbps": 7, "upload_kbps": 1000},
        {"upload_burst_kbit": 100},
    ],
)
def test_a_policy_that_cannot_be(wanted: dict[str, Any]) -> None:
    player = active()
    assert answers_of(player.do(5, change(1, Selector(circuit_id="1/0/1"), session_timeout=9, **wanted))) == [
        (1, "invalid-value")
    ]
    session = player.session()
    assert session is not None
    assert (session.profile, session.session_timeout) == ("gold", 0)


def test_all_of_it_or_nothing() -> None:
    player = active()
    player.do(
        5, change(1, Selector(circuit_id="1/0/1"), download_kbps=9000, upload_kbps=8, session_timeout=60)
    )
    session = player.session()
    assert session is not None
    assert session.session_timeout == 0, "not before the data plane has it"
    effects = player.step(5.1, "enforced", {})
    assert events_of(effects) == ["policy-apply"]
    assert session.policy == Policy(None, 9_000_000, 8_000)
    assert session.session_timeout == 60
    assert not player.machine._changes


def test_ended_before_the_data_plane_was_at_it() -> None:
    player = active()
    player.do(5, change(1, Selector(circuit_id="1/0/1"), filter_ids=("silver",)))
    player.do(5, DisconnectSelected(2, Selector(circuit_id="1/0/1")))
    assert answers_of(player.step(5.1, "enforced", {})) == [(1, "operation-failed")]
    assert answers_of(player.step(5.1, "stopped", {})) == [(2, "")]
    assert not player.machine._changes


def test_timeouts_take_effect_at_once_and_zero_takes_them_away() -> None:
    player = active()
    selector = Selector(circuit_id="1/0/1")
    player.do(20, ev.SessionIdle(player.id("$1"), player.now - 10 * 10**9))
    effects = player.do(21, change(1, selector, idle_timeout=60, session_timeout=100, interim_interval=1))
    assert events_of(effects) == ["session-update"]
    assert {timer for timer, _ in player.timers} >= {"idle-timeout", "session-timeout", "interim"}
    session = player.session()
    assert session is not None
    assert (session.idle_timeout, session.session_timeout, session.interim) == (60, 100, 10)
    player.do(22, change(2, selector, idle_timeout=0, session_timeout=0, interim_interval=0))
    assert not {timer for timer, _ in player.timers} & {"idle-timeout", "session-timeout"}
    assert (session.idle_timeout, session.session_timeout, session.interim) == (0, 0, 0)
    assert session.classes == ()
