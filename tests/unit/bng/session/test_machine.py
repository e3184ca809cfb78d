"""The machine and those outside, subscribers and servers: limits, late answers, what no recording tells."""

from __future__ import annotations

from typing import Any

import pytest

from bng.codec import dhcp
from bng.codec.dhcp import DhcpPacket
from bng.session import admission, limits
from bng.session import effects as fx
from bng.session import events as ev
from bng.session import relay as relay_module
from bng.session.recording import decode_settings
from bng.session.settings import Policy
from tests.replay.scenario import SETTINGS, Player, from_client, from_server

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
