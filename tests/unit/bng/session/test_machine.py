"""The machine: what the recordings do not tell, limits, late answers, and that nothing upsets it."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bng.codec import dhcp
from bng.codec.dhcp import DhcpPacket
from bng.session import admission, limits
from bng.session import effects as fx
from bng.session import events as ev
from bng.session import relay as relay_module
from bng.session.machine import Machine
from bng.session.recording import decode_event, decode_settings, encode_effect, encode_event
from bng.session.records import to_event
from bng.session.settings import Policy, Profile
from bng.session.states import State
from bng.session.store import MAX_SLOTS
from tests.replay.scenario import NS, PROFILES, SETTINGS, START, Player, from_client, from_server

IP = "100.64.0.10"
ATTACH = (
    (0, "discover", {}),
    (0.01, "offer", {"ip": IP}),
    (0.02, "request", {"ip": IP}),
    (0.03, "ack", {"ip": IP}),
)


def bound(**settings_: Any) -> Player:
    """A player whose first session has its address and was asked for."""
    player = Player(settings_)
    for step in ATTACH:
        player.step(*step)
    return player


def active(**settings_: Any) -> Player:
    player = bound(**settings_)
    player.step(0.04, "accept", {"filter_ids": ["gold"]})
    player.step(0.05, "enforced", {})
    return player


def kinds(effects: list[fx.Effect]) -> list[type]:
    return [type(effect) for effect in effects]


def events_of(effects: list[fx.Effect]) -> list[str]:
    return [effect.event["type"] for effect in effects if isinstance(effect, fx.Journal)]


def answers_of(effects: list[fx.Effect]) -> list[tuple[int, str]]:
    return [(effect.token, effect.error_tag) for effect in effects if isinstance(effect, fx.Answer)]


class TestRequests:
    """What is not relayed, and why."""

    def dropped(self, player: Player, event: ev.Event, at: float = 1) -> str:
        before = player.machine.relay.dropped.copy()
        effects = player.do(at, event)
        assert not [e for e in effects if isinstance(e, fx.SendToServer | fx.SendToSubscriber)]
        (reason,) = player.machine.relay.dropped - before
        return reason

    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            ({"op": 2}, "not-a-request"),
            ({"options": {53: b"\2", 82: b""}}, "not-a-request"),
            ({"hops": 4}, "too-many-hops"),
            ({"options": {53: b"\1"}}, "no-option-82"),
            ({"options": {53: b"\1", 82: b"\1\x09x"}}, "bad-option-82"),
            ({"options": {53: b"\1", 82: b"\1\1x"}}, "bad-option-82"),
        ],
    )
    def test_malformed(self, fields: dict, reason: str) -> None:
        base: dict[str, Any] = {"op": 1, "xid": 1, "mac_address": "02:00:00:00:00:01", "options": {53: b"\1"}}
        packet = DhcpPacket(**{**base, **fields})
        assert self.dropped(Player(), ev.DhcpFromSubscriber("sub0", "x", packet)) == reason

    def test_interface_that_is_none_of_ours(self) -> None:
        assert self.dropped(Player(), from_client("discover", interface="eth9")) == "unknown-interface"

    def test_no_server(self) -> None:
        assert self.dropped(Player({"servers": []}), from_client("discover")) == "no-server"

    def test_release_counts_even_without_a_server(self) -> None:
        player = active()
        player.do(1, ev.SettingsChanged(decode_settings({**SETTINGS, "servers": []})))
        effects = player.do(2, from_client("release", ip=IP))
        assert fx.EnforceStop in kinds(effects)

    def test_rate_limit_per_line(self) -> None:
        player = Player({"rate_limit": 2})
        for _ in range(2):
            assert fx.SendToServer in kinds(player.do(1, from_client("discover")))
        assert self.dropped(player, from_client("discover"), 1.4) == "rate-limit"
        assert fx.SendToServer in kinds(player.do(1.4, from_client("discover", "node-a 1/0/2")))
        assert fx.SendToServer in kinds(player.do(2, from_client("discover")))

    def test_the_clock_may_be_set_back(self) -> None:
        player = Player({"rate_limit": 1})
        player.do(100, from_client("discover"))
        assert self.dropped(player, from_client("discover"), 50) == "rate-limit"

    def test_max_sessions(self) -> None:
        player = active(max_sessions=1)
        assert self.dropped(player, from_client("discover", "node-a 1/0/2")) == "max-sessions"
        assert fx.SendToServer in kinds(player.do(1, from_client("renew", ip=IP)))

    def test_max_sessions_between_offer_and_ack(self) -> None:
        player = Player({"max_sessions": 1})
        other = {"line": "node-a 1/0/2", "ip": "100.64.0.11", "mac": "02:00:00:00:00:02"}
        player.do(0, from_client("request", ip=IP))
        player.do(0, from_client("request", **other))
        player.do(0, from_server("ack", ip=IP))
        assert self.dropped(player, from_server("ack", **other)) == "max-sessions"

    def test_a_router_out_of_service_keeps_its_sessions(self) -> None:
        player = active()
        down = {**SETTINGS, "routers": {"node-a": {"in_service": False}}}
        player.do(1, ev.SettingsChanged(decode_settings(down)))
        assert fx.SendToServer in kinds(player.do(2, from_client("renew", ip=IP)))
        assert self.dropped(player, from_client("discover", "node-a 1/0/2")) == "access-router-down"

    def test_buckets_and_exchanges_are_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "MAX_BUCKETS", 10)
        monkeypatch.setattr(admission, "MAX_LINES", 10)
        monkeypatch.setattr(relay_module, "MAX_EXCHANGES", 12)
        player = Player({"rate_limit": 1000})
        for number in range(40):
            player.do(1, from_client("discover", f"node-a 1/0/{number}"))
        assert len(player.machine.relay) == 12
        assert len(player.machine.relay.admission) == len(player.machine.relay._of_devices) == 10
        for xid in range(20):
            player.do(1 + xid, from_client("discover", "node-b 1", xid=xid))
        held = [key for key in player.machine.relay._exchanges if key[0].remote_id == "node-b"]
        assert len(held) == player.settings.max_devices
        assert {key[1] for key in held} == set(range(12, 20))


class TestReplies:
    """What servers send."""

    dropped = TestRequests.dropped

    def test_who_is_not_our_server(self) -> None:
        player = Player()
        player.do(0, from_client("discover"))
        assert self.dropped(player, from_server("offer", ip=IP, server="192.0.2.66")) == "unknown-server"

    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            ({"op": 1}, "not-a-reply"),
            ({"giaddr": "192.0.2.9"}, "foreign-giaddr"),
            ({"xid": 2}, "unsolicited-reply"),
            ({"yiaddr": "0.0.0.0"}, "ack-without-address"),
        ],
    )
    def test_what_is_not_relayed(self, fields: dict, reason: str) -> None:
        player = Player()
        player.do(0, from_client("request", ip=IP))
        event = from_server("ack", ip=IP)
        event = ev.DhcpFromServer(event.server, event.packet.with_option(12, None, **fields))
        assert self.dropped(player, event) == reason

    def test_a_server_that_does_not_echo_option_82(self) -> None:
        player = Player()
        player.do(0, from_client("discover"))
        event = from_server("offer", ip=IP)
        bare = ev.DhcpFromServer(event.server, event.packet.with_option(82, None))
        assert self.dropped(player, bare) == "reply-without-option-82"

    @pytest.mark.parametrize(
        ("client", "server", "to"),
        [
            ({"flags": 0x8000}, {"flags": 0x8000}, ("ff:ff:ff:ff:ff:ff", "255.255.255.255")),
            ({}, {}, ("02:00:00:00:00:01", IP)),
            ({}, {"ciaddr": IP}, ("02:00:00:00:00:01", IP)),
        ],
    )
    def test_how_a_client_is_reached(self, client: dict, server: dict, to: tuple[str, str]) -> None:
        player = Player()
        player.do(0, from_client("discover", **client))
        (effect,) = player.do(0, from_server("offer", ip=IP, **server))
        assert isinstance(effect, fx.SendToSubscriber)
        assert (effect.destination_mac, effect.destination_address) == to
        assert effect.source_address == "100.64.0.1"

    def test_option_82_goes_back_as_the_access_node_wrote_it(self) -> None:
        player = Player()
        written = b"\1\0051/0/1\2\6node-a\x09\2hi\x0c\4node"  # claims a relay-id, too
        request = from_client("discover")
        request = ev.DhcpFromSubscriber("sub0", "x", request.packet.with_option(82, written))
        player.do(0, request)
        (effect,) = player.do(0, from_server("offer", ip=IP))
        assert isinstance(effect, fx.SendToSubscriber)
        assert dhcp.parse(effect.payload).options[82] == written

    def test_an_interface_that_went_away_meanwhile(self) -> None:
        player = Player()
        player.do(0, from_client("discover"))
        player.do(0, ev.SettingsChanged(decode_settings({**SETTINGS, "interfaces": {}})))
        (effect,) = player.do(0, from_server("offer", ip=IP))
        assert isinstance(effect, fx.SendToSubscriber)
        assert effect.source_address == "192.0.2.1"

    def test_health_of_a_server(self) -> None:
        player = Player()
        for number in range(6):
            player.do(number, from_client("discover", f"node-a 1/0/{number}"))
        server = player.machine.relay.servers["192.0.2.53"]
        assert (server.requests, server.replies, server.up) == (6, 0, False)
        player.do(5.25, from_server("offer", "node-a 1/0/5", ip=IP))
        assert (server.replies, server.up, server.latency) == (1, True, 250_000)

    def test_naks_of_others_do_not_count(self) -> None:
        player = active()
        for number in range(5):
            player.do(1, from_client("renew", ip=IP, mac="02:00:00:00:00:99", xid=number))
            player.do(1, from_server("nak", mac="02:00:00:00:00:99", xid=number))
        player.do(2, from_client("renew", "node-a 1/0/9", ip=IP))
        player.do(2, from_server("nak", "node-a 1/0/9"))
        session = player.session()
        assert session is not None
        assert session.naks == 0

    def test_an_ack_forgets_the_naks_before(self) -> None:
        player = active()
        for number, answer in enumerate(("nak", "nak", "ack", "nak", "nak")):
            player.do(number, from_client("renew", ip=IP, xid=number))
            player.do(number, from_server(answer, ip=IP if answer == "ack" else "0.0.0.0", xid=number))
        assert player.session() is not None

    def test_an_infinite_lease_has_no_end(self) -> None:
        player = Player()
        player.do(0, from_client("request", ip=IP))
        player.do(0, from_server("ack", ip=IP, lease=0xFFFFFFFF))
        session = player.session()
        assert session is not None
        assert session.lease_expiry is None
        assert ("lease", session.id) not in player.timers


class TestEndings:
    def test_release_while_the_session_before_still_ends(self) -> None:
        player = active()
        player.do(1, from_client("request", ip="100.64.0.11"))
        player.do(1, from_server("ack", ip="100.64.0.11"))
        effects = player.do(2, from_client("release", ip="100.64.0.11"))
        assert fx.SendToServer in kinds(effects)
        effects = player.step(3, "stopped", {})
        assert events_of(effects) == ["session-stop"]
        assert len(player.machine.store) == 0

    def test_another_ack_while_the_session_before_still_ends(self) -> None:
        player = active()
        for last in (11, 12):
            player.do(1, from_client("request", ip=f"100.64.0.{last}", xid=last))
            player.do(1, from_server("ack", ip=f"100.64.0.{last}", xid=last))
        effects = player.step(3, "stopped", {})
        assert events_of(effects) == ["session-stop", "session-start"]
        session = player.session("$2")
        assert session is not None
        assert session.ip_address == "100.64.0.12"

    def test_move_with_two_sessions_in_the_way(self) -> None:
        player = active(port_move="move")
        player.do(1, from_client("request", "node-a 1/0/2", ip="100.64.0.20", mac="02:00:00:00:00:02"))
        player.do(1, from_server("ack", "node-a 1/0/2", ip="100.64.0.20", mac="02:00:00:00:00:02"))
        player.step(1, "accept", {"filter_ids": ["gold"]})
        player.step(1, "enforced", {})
        player.do(2, from_client("request", "node-a 1/0/2", ip=IP, xid=9))
        effects = player.do(2, from_server("ack", "node-a 1/0/2", ip=IP, xid=9))
        assert kinds(effects).count(fx.EnforceStop) == 2
        assert events_of(player.step(3, "stopped", {})) == ["session-stop"]
        assert events_of(player.step(3, "stopped", {})) == ["session-stop", "session-start"]

    def test_disconnect_twice_answers_both_and_keeps_the_first_cause(self) -> None:
        player = active()
        player.do(1, ev.Disconnect(1, player.id("$1"), cause="NAS-Request", tombstone=False))
        player.do(1, ev.Disconnect(2, player.id("$1"), "again"))
        player.do(1, ev.Disconnect(0, player.id("$1"), "nobody waits"))
        effects = player.step(2, "stopped", {})
        assert answers_of(effects) == [(1, ""), (2, "")]
        (stop,) = [e.event for e in effects if isinstance(e, fx.Journal)]
        assert stop["terminate-cause"] == "NAS-Request"
        assert "_tombstone_until" in stop

    def test_disconnect_cancels_what_was_to_follow(self) -> None:
        player = active()
        player.do(1, from_client("request", ip="100.64.0.11"))
        player.do(1, from_server("ack", ip="100.64.0.11"))
        player.do(1, ev.Disconnect(1, player.id("$1")))
        assert events_of(player.step(2, "stopped", {})) == ["session-stop"]

    def test_without_tombstones_what_was_to_follow_follows(self) -> None:
        player = active(tombstone_ttl=0)
        player.do(1, from_client("request", ip="100.64.0.11"))
        player.do(1, from_server("ack", ip="100.64.0.11"))
        player.do(1, ev.Disconnect(1, player.id("$1")))
        assert events_of(player.step(2, "stopped", {})) == ["session-stop", "session-start"]

    def test_a_session_that_never_forwarded_ends_at_once_without_accounting(self) -> None:
        player = bound()
        effects = player.do(1, ev.Disconnect(1, player.id("$1")))
        assert events_of(effects) == ["session-stop"]
        assert answers_of(effects) == [(1, "")]
        assert fx.Account not in kinds(effects)

    def test_tombstone_of_a_released_address_and_its_end(self) -> None:
        player = bound()
        player.do(1, ev.Disconnect(0, player.id("$1")))
        assert fx.SendToServer in kinds(player.do(2, from_client("release", ip=IP)))
        assert fx.SendToServer not in kinds(player.do(3, from_client("inform", ip=IP)))
        player.step(601, "due", {"timer": "tombstone", "key": "node-a 1/0/1"})
        assert fx.SendToServer in kinds(player.do(602, from_client("renew", ip=IP)))

    def test_selecting_lifts_a_tombstone(self) -> None:
        player = bound()
        player.do(1, ev.Disconnect(0, player.id("$1")))
        assert fx.SendToServer in kinds(player.do(2, from_client("request", ip=IP)))
        assert not player.machine.tombstones

    def test_answers_to_those_who_are_gone(self) -> None:
        player = bound()
        session_id = player.id("$1")
        player.do(1, ev.Disconnect(0, session_id))
        for event in (
            ev.RadiusAccept(session_id, 1, ("gold",)),
            ev.RadiusReject(session_id, 1),
            ev.RadiusUnanswered(session_id, 1),
            ev.SessionIdle(session_id, 1),
            ev.SessionTraffic(session_id),
            ev.Enforced(session_id, ev.Operation.STOP),
            ev.Enforced(session_id, ev.Operation.START, Policy(None, 1, 1)),
            ev.TimerDue(ev.Timer.LEASE, session_id),
        ):
            assert player.do(2, event) == []
        effects = player.do(2, ev.Enforced(session_id, ev.Operation.CHANGE, Policy(None, 1, 1), 7))
        assert answers_of(effects) == [(7, "operation-failed")]

    def test_ended_is_remembered_within_bounds(self) -> None:
        player = Player({"max_sessions": 3})
        for number in range(6):
            line = f"node-a 1/0/{number}"
            player.do(number, from_client("request", line, ip=IP))
            player.do(number, from_server("ack", line, ip=IP))
            player.do(number, from_client("release", line, ip=IP))
        assert len(player.machine._ended) == 3

    def test_no_slot(self) -> None:
        player = Player()
        player.machine.store.slots.size = 0
        player.do(0, from_client("request", ip=IP))
        effects = player.do(0, from_server("ack", ip=IP))
        assert [e.message_id for e in effects if isinstance(e, fx.Log)] == ["session.no-slot"]
        assert len(player.machine.store) == 0


class TestAuthorisation:
    def test_an_old_answer_is_not_taken_for_the_new_one(self) -> None:
        player = bound()
        session = player.session()
        assert session is not None
        player.step(1, "silent", {})
        player.do(20, ev.TimerDue(ev.Timer.AUTH_RETRY, session.id))
        assert player.do(21, ev.RadiusAccept(session.id, 1, ("gold",))) == []
        assert fx.EnforceStart in kinds(player.do(22, ev.RadiusAccept(session.id, 2, ("gold",))))

    def test_asked_once_at_a_time(self) -> None:
        player = active()
        for token in (1, 2):
            player.do(token, ev.Reauthenticate(token, player.id("$1")))
        session = player.session()
        assert session is not None
        assert session.attempt == 2

    def test_an_accept_that_grants_nothing_is_a_rejection(self) -> None:
        player = bound()
        effects = player.step(1, "accept", {"filter_ids": ["copper"]})
        (journal,) = [e.event for e in effects if isinstance(e, fx.Journal)]
        assert journal["type"] == "session-rejected"
        assert "copper" in journal["reason"]

    def test_a_rejection_without_text(self) -> None:
        player = bound()
        (journal,) = [e.event for e in player.step(1, "reject", {}) if isinstance(e, fx.Journal)]
        assert journal["reason"] == "rejected by the RADIUS server"

    def test_silence_on_reauthentication_changes_nothing(self) -> None:
        player = active()
        player.do(1, ev.Reauthenticate(1, player.id("$1")))
        assert player.step(2, "silent", {}) == []
        assert player.session().status == "active"  # type: ignore[union-attr]

    def test_reauthentication_may_bring_other_rates(self) -> None:
        player = active()
        player.do(1, ev.Reauthenticate(0, player.id("$1")))
        effects = player.step(2, "accept", {"filter_ids": ["silver"], "session_timeout": 60})
        assert fx.EnforceChange in kinds(effects)
        assert ("session-timeout", player.id("$1")) in player.timers
        assert events_of(player.step(3, "enforced", {})) == ["policy-apply"]
        assert player.machine.store.count_profile("silver") == 1

    def test_asked_again_while_the_start_is_on_its_way(self) -> None:
        player = bound()
        player.step(1, "accept", {"filter_ids": ["gold"]})
        player.do(2, ev.Reauthenticate(0, player.id("$1")))
        assert fx.EnforceChange in kinds(player.step(3, "accept", {"filter_ids": ["silver"]}))
        assert events_of(player.step(4, "enforced", {})) == ["policy-apply"]
        assert events_of(player.step(4, "enforced", {})) == ["policy-apply"]
        assert player.session().profile == "silver"  # type: ignore[union-attr]

    def test_refused_while_the_start_is_on_its_way(self) -> None:
        player = bound()
        player.step(1, "accept", {"filter_ids": ["gold"]})
        player.do(2, ev.Reauthenticate(0, player.id("$1")))
        assert fx.EnforceStop in kinds(player.step(3, "reject", {}))
        assert player.step(4, "enforced", {}) == []
        assert player.step(4, "stopped", {}) == []
        assert player.session().status == "rejected"  # type: ignore[union-attr]

    def test_numbers_of_rejections(self) -> None:
        player = bound()
        player.step(1, "reject", {})
        assert (player.machine.started_total, player.machine.rejected_total) == (1, 1)


class TestDataPlane:
    def test_a_start_that_fails_is_tried_again_by_way_of_radius(self) -> None:
        player = bound()
        player.step(1, "accept", {"filter_ids": ["gold"]})
        effects = player.step(2, "enforced", {"error": "no such device"})
        assert events_of(effects) == ["session-update"]
        assert player.session().status == "authorizing"  # type: ignore[union-attr]
        assert fx.AskRadius in kinds(player.step(20, "due", {"timer": "auth-retry"}))
        assert fx.EnforceStart in kinds(player.step(21, "accept", {"filter_ids": ["gold"]}))

    def test_a_change_that_fails_before_the_start_worked(self) -> None:
        player = bound()
        player.step(1, "accept", {"filter_ids": ["gold"]})
        session = player.session()
        assert session is not None
        policy = Policy(None, 1, 1)
        player.do(2, ev.Enforced(session.id, ev.Operation.CHANGE, policy, error="no"))
        assert session.enforcing

    def test_a_change_that_fails_leaves_the_rates(self) -> None:
        player = active()
        player.do(1, ev.SetPolicy(5, player.id("$1"), profile="silver"))
        effects = player.step(2, "enforced", {"error": "no such class"})
        assert answers_of(effects) == [(5, "operation-failed")]
        assert player.session().profile == "gold"  # type: ignore[union-attr]

    def test_a_profile_that_changed_while_it_was_applied(self) -> None:
        player = bound()
        player.step(1, "accept", {"filter_ids": ["gold"]})
        player.do(2, ev.ProfileChanged("gold", Profile(1_000_000, 1_000_000)))
        effects = player.step(3, "enforced", {})
        (change,) = [e for e in effects if isinstance(e, fx.EnforceChange)]
        assert change.policy.download_rate == 1_000_000

    def test_a_profile_change_that_changes_nothing(self) -> None:
        player = active()
        assert player.do(1, ev.ProfileChanged("gold", PROFILES["gold"])) == []

    def test_reinforce(self) -> None:
        player = active()
        (start,) = player.machine.reinforce(player.id("$1"))
        assert isinstance(start, fx.EnforceStart)
        assert start.policy.profile == "gold"
        assert player.machine.reinforce("f" * 16) == []
        assert bound().machine.reinforce(player.id("$1")) == []

    def test_stop_without_counters(self) -> None:
        player = active()
        player.do(1, from_client("release", ip=IP))
        effects = player.do(2, ev.Enforced(player.id("$1"), ev.Operation.STOP))
        (account,) = [e for e in effects if isinstance(e, fx.Account)]
        assert account.counters == ev.Counters()


class TestCommands:
    @pytest.mark.parametrize(
        "event",
        [
            ev.Disconnect(3, "f" * 16),
            ev.Reauthenticate(3, "f" * 16),
            ev.SetPolicy(3, "f" * 16, profile="gold"),
        ],
    )
    def test_no_such_session(self, event: ev.Event) -> None:
        assert answers_of(Player().do(0, event)) == [(3, "data-missing")]

    def test_what_cannot_be_done_to_an_ending_session(self) -> None:
        player = active()
        player.do(1, ev.Disconnect(0, player.id("$1")))
        assert answers_of(player.do(1, ev.Reauthenticate(3, player.id("$1")))) == [(3, "operation-failed")]

    def test_nothing_to_shape_yet(self) -> None:
        player = bound()
        effects = player.do(1, ev.SetPolicy(3, player.id("$1"), profile="gold"))
        assert answers_of(effects) == [(3, "operation-failed")]

    def test_neither_profile_nor_rates(self) -> None:
        player = active()
        assert answers_of(player.do(1, ev.SetPolicy(3, player.id("$1")))) == [(3, "missing-element")]

    def test_rates_by_coa(self) -> None:
        player = active()
        player.do(1, ev.SetPolicy(3, player.id("$1"), policy=Policy(None, 64_000, 64_000)))
        assert answers_of(player.step(2, "enforced", {})) == [(3, "")]
        assert player.session().download_rate == 64_000  # type: ignore[union-attr]
        assert player.machine.store.count_profile("gold") == 0

    def test_disconnect_matching(self) -> None:
        player = Player()
        for number, remote in ((1, "node-a"), (2, "node-a"), (3, "node/b")):
            fields = {"line": f"{remote} 1/0/{number}", "mac": f"02:00:00:00:00:0{number}"}
            player.do(0, from_client("request", ip=f"100.64.0.{number}", **fields))
            player.do(0, from_server("ack", ip=f"100.64.0.{number}", **fields))
            if number < 3:
                player.step(0, "accept", {"filter_ids": ["gold"]})
                player.step(0, "enforced", {})

        def matched(**criteria: str) -> Any:
            (answer,) = [
                e for e in player.do(1, ev.DisconnectMatching(9, **criteria)) if isinstance(e, fx.Answer)
            ]
            return answer.error_tag or answer.output["disconnected"]  # type: ignore[index]

        assert matched() == "missing-element"
        assert matched(username="bng-01/nobody") == 0
        assert matched(username="bng-02/node/b/1/0/3") == 0
        assert matched(username="bng-01/node/b/1/0/3", profile="gold") == 0
        assert matched(username="bng-01/node/b/1/0/3") == 1
        assert matched(remote_id="node-a", profile="silver") == 0
        assert matched(profile="gold") == 2
        assert matched(remote_id="node-a") == 0  # ending already


class TestLeaseFound:
    LEASE = ev.LeaseFound(
        "node-a", "1/0/1", "sub0", "0.0.0.0", "02:00:00:00:00:01", IP, START + 3600 * NS, START, "192.0.2.53"
    )

    def test_a_lease_without_a_session_becomes_one(self) -> None:
        effects = Player().do(1, self.LEASE)
        assert events_of(effects) == ["session-start"]

    def test_who_has_a_session_needs_none(self) -> None:
        assert active().do(1, self.LEASE) == []

    def test_what_ended_since_stays_ended(self) -> None:
        player = active()
        player.do(1, from_client("release", ip=IP))
        player.step(2, "stopped", {})
        assert player.do(3, self.LEASE) == []

    def test_an_old_lease(self) -> None:
        assert Player().do(3601, self.LEASE) == []


class TestRestore:
    def test_damaged_records_are_told_and_passed_over(self) -> None:
        player = active()
        good = player.journal[-1]
        records = [
            {},
            {**good, "status": "terminating"},
            {**good, "status": "asleep"},
            good,
            good,
            {**good, "session-id": "e" * 16},
        ]
        machine = Machine(player.settings, PROFILES, now=player.now)
        effects = machine.restore(records, {}, player.now)
        assert len(machine.store) == 1
        assert [e.message_id for e in effects if isinstance(e, fx.Log)] == ["session.not-restored"] * 5
        machine = Machine(player.settings, PROFILES, now=player.now)
        machine.restore([{**good, "_slot": MAX_SLOTS}], {}, player.now)
        assert len(machine.store) == 0

    def test_idle_sessions_wait_for_their_timeout_anew(self) -> None:
        player = active()
        player.do(1, ev.Reauthenticate(0, player.id("$1")))
        player.step(2, "accept", {"filter_ids": ["gold"], "idle_timeout": 300})
        player.do(100, ev.SessionIdle(player.id("$1"), START + 40 * NS))
        player.restart(200)
        assert player.timers["idle-timeout", player.id("$1")] == START + 500 * NS

    def test_tombstones_that_are_over_or_overtaken(self) -> None:
        player = active()
        good = player.journal[-1]
        machine = Machine(player.settings, PROFILES, now=player.now)
        machine.restore([good], {"node-a 1/0/1": player.now + 5, "x y": player.now - 1}, player.now)
        assert machine.tombstones == {}

    def test_ids_differ_from_those_before(self) -> None:
        ids = set()
        for sequence in (0, 0xFFFFFF):
            player = Player()
            player.machine._sequence = sequence
            for number in range(50):
                line, mac = f"node-a 1/0/{number}", f"02:00:00:00:00:{number:02x}"
                player.do(sequence / 1000, from_client("request", line, ip=f"100.64.1.{number}", mac=mac))
                player.do(sequence / 1000, from_server("ack", line, ip=f"100.64.1.{number}", mac=mac))
            ids |= {session.id for session in player.machine.store}
        assert len(ids) == 100
        assert all(len(i) == 16 and int(i, 16) >= 0 for i in ids)


lines = st.sampled_from(["node-a 1", "node-a 2", "node-b 1"])
macs = st.sampled_from(["02:00:00:00:00:01", "02:00:00:00:00:02"])
ips = st.sampled_from(["100.64.0.1", "100.64.0.2", "100.64.0.3"])
packets = st.one_of(
    st.builds(
        lambda name, line, mac, ip: ("client", name, line, mac, ip),
        st.sampled_from(["discover", "request", "renew", "release", "decline", "inform"]),
        lines,
        macs,
        ips,
    ),
    st.builds(
        lambda name, line, mac, ip: ("server", name, line, mac, ip),
        st.sampled_from(["offer", "ack", "ack", "nak"]),
        lines,
        macs,
        ips,
    ),
)
happenings = st.one_of(
    packets,
    st.tuples(st.sampled_from(["accept", "accept", "reject", "silent"])),
    st.tuples(st.sampled_from(["enforced", "enforced", "failed"])),
    st.tuples(
        st.sampled_from(["disconnect", "reauthenticate", "policy", "idle", "traffic", "profile", "restart"])
    ),
    st.tuples(st.just("time"), st.integers(1, 4000)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(happenings, max_size=80))
def test_whatever_happens(happened: list[tuple]) -> None:
    """Random lives: no exception, consistent indexes, each command and question answered once, each
    session started and stopped once in the journal, and a replay gives the same effects again."""
    player = Player({"rate_limit": 1000, "max_sessions": 2})
    log: list[tuple[int, dict, list]] = []
    at, tokens, asked = 0.0, 0, []

    def do(event: ev.Event) -> None:
        effects = player.do(at, event)
        log.append((player.now, encode_event(event), [encode_effect(e) for e in effects]))
        asked.extend(e for e in effects if isinstance(e, fx.AskRadius))

    for happening in happened:
        at += 0.5
        match happening:
            case ("client", name, line, mac, ip):
                do(from_client(name, line, mac=mac, ip=ip))
            case ("server", name, line, mac, ip):
                do(from_server(name, line, mac=mac, ip="0.0.0.0" if name == "nak" else ip))
            case ("time", seconds):
                at += seconds
                for (timer, key), deadline in list(player.timers.items()):
                    if deadline <= START + at * NS and player.timers.pop((timer, key), None) is not None:
                        do(ev.TimerDue(ev.Timer(timer), key))
            case (("accept" | "reject" | "silent") as name,) if asked:
                question = asked.pop(0)
                kind = {"accept": ev.RadiusAccept, "reject": ev.RadiusReject, "silent": ev.RadiusUnanswered}
                extra = ({"filter_ids": ("gold",)}) if name == "accept" else {}
                do(kind[name](question.session_id, question.attempt, **extra))
            case (("enforced" | "failed") as name,) if player.enforcing:
                effect = player.enforcing.pop(0)
                operation = ev.Operation(type(effect).__name__.removeprefix("Enforce").lower())
                error = "refused" if name == "failed" else ""
                policy, token = getattr(effect, "policy", None), getattr(effect, "token", 0)
                do(ev.Enforced(effect.session_id, operation, policy, token, error))
            case ("profile",):
                do(ev.ProfileChanged("gold", Profile(8000 + int(at), 8000)))
            case ("restart",):
                player.restart(at)
                log.clear()
                asked.clear()
                asked.extend(
                    fx.AskRadius(s.id, s.attempt, "", "", "", "") for s in player.machine.store if s.asked
                )
                player.enforcing.clear()
            case (name,):
                tokens += 1
                target = next(iter(player.machine.store), None)
                session_id = target.id if target else "f" * 16
                command = {
                    "disconnect": ev.Disconnect(tokens, session_id),
                    "reauthenticate": ev.Reauthenticate(tokens, session_id),
                    "policy": ev.SetPolicy(tokens, session_id, profile="silver"),
                    "idle": ev.SessionIdle(session_id, START),
                    "traffic": ev.SessionTraffic(session_id),
                }.get(name)
                if command is not None:
                    do(command)
        _check(player)
    if not any(h[0] == "restart" for h in happened):
        again = Machine(player.settings, PROFILES, sequence=0, now=START)
        for now, form, effects in log:
            assert [encode_effect(e) for e in again.handle(decode_event(form), now)] == effects


def _check(player: Player) -> None:
    store = player.machine.store
    held = list(store)
    assert store.by_status.total() == len(held) == len(store.slots)
    assert len({session.slot for session in held}) == len(held)
    for session in held:
        assert session.state not in (State.PENDING, State.GONE)
        assert store.get(session.id) is session
        if session.state is not State.TERMINATING:
            assert store.on_line(session.line) is session
            assert store.with_ip(session.ip_address) is session
        assert (session.state in (State.ACTIVE, State.IDLE)) <= session.enforcing
        to_event(session, "session-update")
    types = [(event["session-id"], event["type"]) for event in player.journal]
    for kind in ("session-start", "session-stop"):
        these = [session_id for session_id, t in types if t == kind]
        assert len(these) == len(set(these))
    live = {i for i, t in types if t == "session-start"} - {i for i, t in types if t == "session-stop"}
    assert live == {session.id for session in held}


def test_a_session_takes_little_memory() -> None:
    """All that the machine keeps of a session, indexes included; ten times less than is allowed."""
    player = Player({"rate_limit": 1000})
    lives = [
        (f"node-{n % 10} 1/0/{n}", f"02:00:00:00:{n >> 8:02x}:{n & 255:02x}", f"100.64.{n >> 8}.{n & 255}")
        for n in range(600)
    ]
    machine = player.machine
    for warm, (line, mac, ip) in enumerate(lives):
        if warm == 100:
            gc.collect()
            tracemalloc.start()
        machine.handle(from_client("request", line, mac=mac, ip=ip), START)
        effects = machine.handle(from_server("ack", line, mac=mac, ip=ip), START)
        (question,) = [e for e in effects if isinstance(e, fx.AskRadius)]
        (start,) = [
            e
            for e in machine.handle(ev.RadiusAccept(question.session_id, 1, ("gold",)), START)
            if isinstance(e, fx.EnforceStart)
        ]
        machine.handle(ev.Enforced(start.session_id, ev.Operation.START, start.policy), START)
    del effects, question, start
    gc.collect()
    per_session = tracemalloc.get_traced_memory()[0] // 500
    tracemalloc.stop()
    assert len(machine.store) == 600
    assert per_session < 3072
