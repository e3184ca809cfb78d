"""What the recordings do not tell of moves, of limits, and of work on many sessions."""

from __future__ import annotations

from typing import Any

import pytest

from bng.codec import dhcp
from bng.codec.address import NO_IP
from bng.session import effects as fx
from bng.session import events as ev
from bng.session import relay as relay_module
from bng.session.base import PORTION
from bng.session.events import Timer
from bng.session.recording import decode_settings
from bng.session.records import Binding
from bng.session.settings import Profile
from bng.session.states import Input
from tests.replay.scenario import NS, SETTINGS, START, Player, from_client, from_server

IP, L2, M2 = "100.64.0.10", "node-a 1/0/2", "02:00:00:00:00:02"


def attach(player: Player, at: float, number: int, line: str | None = None, **fields: Any) -> None:
    """Bring a subscriber up until it forwards."""
    line = line or f"node-a 1/0/{number}"
    mac, ip = f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}", f"100.64.{number >> 8}.{number & 255}"
    player.do(at, from_client("request", line, mac=mac, ip=ip, **fields))
    player.do(at, from_server("ack", line, mac=mac, ip=ip))
    player.step(at, "accept", {"filter_ids": ["gold"]})
    player.step(at, "enforced", {})


def journaled(effects: list[fx.Effect]) -> list[str]:
    return [effect.event["type"] for effect in effects if isinstance(effect, fx.Journal)]


class TestMoves:
    def test_two_lines_wait_for_the_same_address(self) -> None:
        """Both got their ACK while the session that had the address was still ending: one gets it."""
        for policy, left in (("deny", L2), ("move", "node-a 1/0/3")):
            player = Player({"port_move": policy})
            attach(player, 0, 1)
            player.do(1, ev.Disconnect(0, player.id("$1"), tombstone=False))
            for number in (2, 3):
                line, mac = f"node-a 1/0/{number}", f"02:00:00:00:00:0{number}"
                player.do(2, from_client("request", line, mac=mac, ip="100.64.0.1"))
                player.do(2, from_server("ack", line, mac=mac, ip="100.64.0.1"))
            effects = player.step(3, "stopped", {})
            starts = [t for t in journaled(effects) if t == "session-start"]
            assert len(starts) == (1 if policy == "deny" else 2)
            (session,) = player.machine.store
            assert " ".join(session.line) == left
            assert player.machine.store.with_ip("100.64.0.1") is session
            assert player.machine.failures["move-denied"] == (1 if policy == "deny" else 0)

    def test_a_stored_session_with_the_same_client_id_is_the_newer_one(self) -> None:
        player = Player({"port_move": "move"})
        attach(player, 0, 1, client_id="one")
        first = player.machine.store.with_client(b"one")
        assert first is not None
        # the device says another identifier at its renewal, then none
        player.do(1, from_client("renew", "node-a 1/0/1", mac=first.mac_address, ip=first.ip_address,
                                 client_id="two"))  # fmt: skip
        player.do(1, from_server("ack", "node-a 1/0/1", mac=first.mac_address, ip=first.ip_address))
        store = player.machine.store
        assert (store.with_client(b"one"), store.with_client(b"two")) == (None, first)
        player.do(2, from_client("renew", "node-a 1/0/1", mac=first.mac_address, ip=first.ip_address))
        player.do(2, from_server("ack", "node-a 1/0/1", mac=first.mac_address, ip=first.ip_address))
        assert store.with_client(b"two") is None

    def test_client_ids_come_back_after_a_restart(self) -> None:
        player = Player()
        attach(player, 0, 1, client_id="one")
        player.restart(1)
        player.do(2, from_client("discover", L2, mac=M2, client_id="one"))
        assert player.machine.relay.dropped["move-denied"] == 1

    def test_the_own_line_of_a_device_that_was_recovered_on_two(self) -> None:
        """Under deny, too, who has a session goes on to renew it."""
        player = Player({"port_move": "move"})
        attach(player, 0, 1)
        lease = ev.LeaseFound(
            "node-a",
            "1/0/2",
            "sub0",
            "0.0.0.0",
            "02:00:00:00:00:01",
            "100.64.0.20",
            None,
            START,
            "192.0.2.53",
        )
        player.do(1, lease)
        player.do(2, ev.SettingsChanged(decode_settings(SETTINGS)))
        for line, ip in (("node-a 1/0/1", "100.64.0.1"), (L2, "100.64.0.20")):
            assert player.do(3, from_client("renew", line, ip=ip, xid=3))
            assert "session-update" in journaled(player.do(3, from_server("ack", line, ip=ip, xid=3)))

    def test_moved_again_and_again_is_told_once_a_minute(self) -> None:
        player = Player({"port_move": "replace"})
        attach(player, 0, 1)
        told = 0
        for at in range(1, 9):
            line = "node-a 1/0/2" if at % 2 else "node-a 1/0/1"
            effects = player.do(at, from_client("discover", line, xid=at))
            told += journaled(effects).count("session-moved")
            while player.enforcing:
                player.step(
                    at, "stopped" if isinstance(player.enforcing[0], fx.EnforceStop) else "enforced", {}
                )
            player.do(at, from_client("request", line, ip="100.64.0.1", xid=at))
            player.do(at, from_server("ack", line, ip="100.64.0.1", xid=at))
        assert told == 2, "one for each of the two lines"


class TestRelay:
    def test_a_device_has_its_own_rate(self) -> None:
        player = Player({"device_rate_limit": 2})
        for xid in range(4):
            player.do(0, from_client("discover", xid=xid))
        player.do(0, from_client("discover", mac=M2, xid=9))
        assert player.machine.relay.dropped == {"device-rate-limit": 2}
        assert player.machine.relay.servers["192.0.2.53"].requests == 3

    def test_a_session_known_from_a_lease_with_a_name_that_was_cut(self) -> None:
        """Nobody can tell how its option 82 was written: a renewal without it waits for one that has it."""
        player = Player()
        name = "c" * 46 + "%~" + "0" * 15
        lease = ev.LeaseFound(
            "node-a", name, "sub0", "0.0.0.0", "02:00:00:00:00:01", IP, None, START, "192.0.2.53"
        )
        player.do(0, lease)
        assert player.do(1, from_client("renew", ip=IP, marked=False)) == []
        assert player.machine.relay.dropped == {"no-option-82": 1}

    def test_a_routed_node_without_address_may_have_any(self) -> None:
        player = Player({"routers": {"node-r": {"routed": True}}})
        player.do(0, from_client("discover", "node-r 1", giaddr="10.9.0.1"))
        player.do(0, from_client("discover", "node-r 1"))
        assert player.machine.relay.dropped == {"wrong-access-router": 1}

    def test_option_82_that_is_there_twice_names_nobody(self) -> None:
        """A subscriber's own, and the access node's behind it: joined as RFC 3396 says, they contradict."""
        player = Player()
        event = from_client("discover")
        data = dhcp.build(event.packet)
        at = data.index(b"\x52\x0f") if b"\x52\x0f" in data else data.index(b"\x52")
        forged = data[:at] + b"\x52\x07\1\x05evil!" + data[at:]
        player.do(0, ev.DhcpFromSubscriber("sub0", "x", dhcp.parse(forged)))
        assert player.machine.relay.dropped == {"bad-option-82": 1}

    def test_option_82_that_is_split_is_read_as_one(self) -> None:
        player = Player()
        long = from_client("discover", agent="9=" + "v" * 250)
        assert len(long.packet.options[82]) > 255
        (send, *_) = [
            effect
            for effect in player.do(
                0, ev.DhcpFromSubscriber("sub0", "x", dhcp.parse(dhcp.build(long.packet)))
            )
            if isinstance(effect, fx.SendToServer)
        ]
        assert dhcp.parse(send.payload).options[82].startswith(long.packet.options[82])

    def test_exchanges_expire_in_portions(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(relay_module, "MAX_EXPIRED", 3)
        player = Player()
        for number in range(8):
            player.do(0, from_client("discover", f"node-a 1/0/{number}", mac=f"02:00:00:00:00:0{number}"))
        for left in (5, 2, 0):
            assert player.timers["pending", ""] <= START + 60 * NS
            player.step(60, "due", {"timer": "pending"})
            assert len(player.machine.relay) == left
        assert ("pending", "") not in player.timers
        assert player.machine.failures == {"no-address": 8}

    def test_no_more_sessions_behind_one_node_between_offer_and_ack(self) -> None:
        player = Player({"max_sessions_per_access_router": 1})
        player.do(0, from_client("request", L2, mac=M2, ip=IP))
        attach(player, 0, 1)
        player.do(0, from_server("ack", L2, mac=M2, ip=IP))
        assert player.machine.relay.dropped == {"max-sessions-per-access-router": 1}


class TestTimers:
    def test_a_lease_timer_that_came_too_late_to_be_cancelled(self) -> None:
        player = Player()
        attach(player, 0, 1)
        session_id = player.id("$1")
        for timer in (Timer.LEASE, Timer.SESSION_TIMEOUT, Timer.IDLE_TIMEOUT):
            assert player.do(10, ev.TimerDue(timer, session_id)) == []
        assert fx.EnforceStop in map(type, player.do(3600, ev.TimerDue(Timer.LEASE, session_id)))

    def test_a_tombstone_that_was_renewed_while_its_timer_was_under_way(self) -> None:
        player = Player()
        attach(player, 0, 1)
        player.do(1, ev.Disconnect(0, player.id("$1")))
        player.step(2, "stopped", {})
        player.do(3, ev.TimerDue(Timer.TOMBSTONE, "node-a 1/0/1"))
        assert player.machine.tombstones
        player.do(602, ev.TimerDue(Timer.TOMBSTONE, "node-a 1/0/1"))
        assert not player.machine.tombstones
        assert player.do(603, ev.TimerDue(Timer.TOMBSTONE, "node-a 1/0/1")) == []


class TestPortions:
    """Work on many sessions: a portion at once, the rest when others had their turn."""

    MANY = 2 * PORTION + 50

    def many(self) -> Player:
        player = Player({"rate_limit": 1000})
        for number in range(1, self.MANY + 1):
            attach(player, 0, number)
        return player

    def all_of(self, player: Player, event: ev.Event, kind: type) -> list[list[fx.Effect]]:
        """Effects of an event and of all that it put off."""
        turns = [player.do(1, event)]
        while any(isinstance(effect, fx.Continue) for effect in turns[-1]):
            turns.append(player.do(1, ev.Continue()))
        assert [sum(isinstance(e, kind) for e in turn) for turn in turns] == [PORTION, PORTION, 50]
        return turns

    def test_a_profile_of_many_sessions_changes(self) -> None:
        player = self.many()
        changed = ev.ProfileChanged("gold", Profile(1_000_000, 1_000_000))
        turns = self.all_of(player, changed, fx.EnforceChange)
        slots = [e.slot for turn in turns for e in turn if isinstance(e, fx.EnforceChange)]
        assert len(set(slots)) == self.MANY

    def test_a_pool_of_public_addresses_appears(self) -> None:
        player = self.many()
        pool = {
            "ranges": [["203.0.113.1", "203.0.113.9"]],
            "sources": ["100.64.0.0/16"],
            "port_block_size": 1024,
        }
        self.all_of(player, ev.SettingsChanged(decode_settings({**SETTINGS, "nat": pool})), fx.EnforceStart)
        assert player.machine.nat.held == len({session.nat for session in player.machine.store}) == self.MANY

    def test_many_are_disconnected_and_the_answer_tells_how_many(self) -> None:
        player = self.many()
        turns = self.all_of(player, ev.DisconnectMatching(7, remote_id="node-a"), fx.EnforceStop)
        answers = [e for turn in turns for e in turn if isinstance(e, fx.Answer)]
        assert [(a.token, a.output) for a in answers] == [(7, {"disconnected": self.MANY})]
        assert turns[-1][-1] is answers[0]

    def test_two_commands_at_a_time_and_sessions_that_end_meanwhile(self) -> None:
        player = self.many()
        player.do(1, ev.ProfileChanged("gold", Profile(1_000_000, 1_000_000)))
        assert player.do(1, ev.DisconnectMatching(7, remote_id="node-a")) == [fx.Continue()]
        player.do(1, ev.ProfileChanged("gold", None))
        last = list(player.machine.store)[-1]
        player.do(1, from_client("release", " ".join(last.line), mac=last.mac_address, ip=last.ip_address))
        player.do(1, ev.Enforced(last.id, ev.Operation.STOP))
        answers: list[fx.Effect] = []
        for _ in range(8):
            effects = player.do(1, ev.Continue())
            assert not any(isinstance(e, fx.EnforceChange) for e in effects), "the profile is gone"
            answers += [e for e in effects if isinstance(e, fx.Answer)]
        assert answers == [fx.Answer(7, output={"disconnected": self.MANY - 1})]
        assert player.do(2, ev.Continue()) == []


def test_what_a_lease_tells_of_a_renewal_leaves_the_identifiers() -> None:
    player = Player()
    attach(player, 0, 1, client_id="one", agent="9=more")
    (session,) = player.machine.store
    known = Binding(session.line, session.mac_address, session.ip_address, "sub0", NO_IP, "192.0.2.53", None)
    assert player.machine.fire(session, Input.RENEWED, known)
    assert (session.client_id, session.lease_expiry_ns) == (b"one", None)
    assert b"more" in session.relay_agent
