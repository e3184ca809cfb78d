"""The machine and the element around it: data plane, commands, leases, restarts, anything in any order."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bng.session import effects as fx
from bng.session import events as ev
from bng.session.machine import Machine
from bng.session.recording import decode_event, encode_effect, encode_event
from bng.session.records import to_event
from bng.session.settings import Policy, Profile
from bng.session.states import State
from bng.session.store import MAX_SLOTS
from tests.replay.scenario import NS, PROFILES, START, Player, from_client, from_server
from tests.unit.bng.session.test_machine import IP, active, answers_of, bound, events_of, kinds


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
