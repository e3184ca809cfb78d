"""Lives of sessions at random: whatever happens in whatever order, also what cannot, the promises hold.

- nothing raises, and every index tells the same story;
- one live session per access line and per address, one slot per session;
- in the journal each session starts once, first, and stops once, last;
- in the accounting each session has one Start, Interim-Updates only after it, and one Stop, after which
  nothing follows; who never forwarded has none; who forwards has its Start;
- a Start of another session on the same line or address comes after the Stop of the one before;
- no two sessions have the same public port, what is enforced is what a session has, and all of it comes back;
- what was opened in the data plane for a session is closed, and nothing is opened for one that is gone;
- each command is answered once, each question to RADIUS and each order to the data plane is accounted for.
"""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bng.session import effects as fx
from bng.session import events as ev
from bng.session.events import Operation, Timer
from bng.session.recording import decode_event, decode_settings, encode_event
from bng.session.settings import Policy, Profile
from bng.session.states import State
from tests.replay.scenario import NS, SETTINGS, START, Player, from_client, from_server

LINES = st.sampled_from(["node-a 1", "node-a 2", "node-b 1"])
MACS = st.sampled_from(["02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03"])
IPS = st.sampled_from(["100.64.0.1", "100.64.0.2", "100.64.0.3"])
XIDS = st.integers(1, 3)
REQUESTS = ["discover", "request", "request", "renew", "reboot", "release", "decline", "inform"]
POOLS = [
    None,
    {"ranges": [["203.0.113.1", "203.0.113.1"]], "sources": ["100.64.0.0/16"], "port_block_size": 32256},
    {"ranges": [["203.0.113.1", "203.0.113.1"]], "sources": ["100.64.0.0/16"], "port_block_size": 16384},
    {"ranges": [["203.0.113.1", "203.0.113.3"]], "sources": ["100.64.0.0/31"], "port_block_size": 0},
]
FORWARDING = (State.ACTIVE, State.IDLE)


class Lives(RuleBasedStateMachine):
    """A machine, what it was told, and what it said."""

    player: Player

    @initialize(
        port_move=st.sampled_from(["deny", "move", "replace"]),
        second_device=st.sampled_from(["replace", "deny"]),
        limits=st.sampled_from([(9, None), (2, None), (9, 1)]),
        timeouts=st.sampled_from([(0, 0), (100, 900)]),
        tombstone_ttl=st.sampled_from([0, 600]),
        unanswered=st.sampled_from(["hold", "admit", "reject"]),
        nat=st.sampled_from(POOLS),
    )
    def begin(
        self,
        port_move: str,
        second_device: str,
        limits: tuple[int, int | None],
        timeouts: tuple[int, int],
        tombstone_ttl: int,
        unanswered: str,
        nat: dict[str, Any] | None,
    ) -> None:
        chosen: dict[str, Any] = {
            "port_move": port_move,
            "second_device": second_device,
            "max_sessions": limits[0],
            "max_sessions_per_access_router": limits[1],
            "idle_timeout": timeouts[0],
            "session_timeout": timeouts[1],
            "tombstone_ttl": tombstone_ttl,
            "unanswered_action": unanswered,
            "unanswered_profile": "silver",
            "nat": nat,
            "rate_limit": 1000,
            "device_rate_limit": 1000,
        }
        self.settings = chosen
        self.player = Player(chosen)
        self.now = 0.0
        self.tokens = 0
        self.answered: Counter[int] = Counter()
        self.questions: list[fx.AskRadius] = []
        self.put_off = 0
        self.accounts: dict[str, list[str]] = {}
        self.orders: dict[str, list[type]] = {}
        self.bound: dict[str, Any] = {}
        self.told: list[fx.Journal | fx.Account] = []

    def do(self, event: ev.Event) -> None:
        self.now += 0.1
        # through its readable form: what is recorded is what happened
        self.take(self.player.do(self.now, decode_event(encode_event(event))))

    def take(self, effects: list[fx.Effect]) -> None:
        for effect in effects:
            if isinstance(effect, fx.Answer):
                self.answered[effect.token] += 1
            elif isinstance(effect, fx.AskRadius):
                self.questions.append(effect)
            elif isinstance(effect, fx.Continue):
                self.put_off += 1
            elif isinstance(effect, fx.EnforceStart | fx.EnforceChange | fx.EnforceStop):
                self.orders.setdefault(effect.session_id, []).append(type(effect))
                if isinstance(effect, fx.EnforceStart):
                    self.bound[effect.session_id] = effect.nat
            elif isinstance(effect, fx.Account):
                self.accounts.setdefault(effect.session_id, []).append(effect.kind.value)
                self.told.append(effect)
            elif isinstance(effect, fx.Journal):
                self.told.append(effect)

    def token(self) -> int:
        self.tokens += 1
        return self.tokens

    def some(self, number: int) -> str:
        """Id of a session, or of none."""
        ids = [*self.player.names, "f" * 16]
        return ids[number % len(ids)]

    # what the network does

    @rule(
        name=st.sampled_from(REQUESTS),
        line=LINES,
        mac=MACS,
        ip=IPS,
        xid=XIDS,
        client_id=st.sampled_from([None, "one", "two"]),
        marked=st.sampled_from([True, True, True, False]),
    )
    def ask(
        self, name: str, line: str, mac: str, ip: str, xid: int, client_id: str | None, marked: bool
    ) -> None:
        more = {} if client_id is None else {"client_id": client_id}
        self.do(from_client(name, line, mac=mac, ip=ip, xid=xid, marked=marked, **more))

    @rule(name=st.sampled_from(["offer", "ack", "nak"]), line=LINES, mac=MACS, ip=IPS, xid=XIDS)
    def reply(self, name: str, line: str, mac: str, ip: str, xid: int) -> None:
        self.do(from_server(name, line, mac=mac, ip="0.0.0.0" if name == "nak" else ip, xid=xid))

    @rule(line=LINES, mac=MACS, ip=IPS, forwards=st.booleans())
    def attach(self, line: str, mac: str, ip: str, forwards: bool) -> None:
        """What usually happens."""
        self.do(from_client("request", line, mac=mac, ip=ip))
        self.do(from_server("ack", line, mac=mac, ip=ip))
        if forwards:
            self.data_plane(0, "")
            self.accept(0, 1)
            self.data_plane(0, "")

    @rule(line=LINES, mac=MACS, ip=IPS, age=st.integers(-100, 100))
    def lease(self, line: str, mac: str, ip: str, age: int) -> None:
        remote, circuit = line.split()
        now = START + int(self.now * NS)
        self.do(
            ev.LeaseFound(
                remote, circuit, "sub0", "0.0.0.0", mac, ip, now + 500 * NS, now + age * NS, "192.0.2.53"
            )
        )

    # what RADIUS and the data plane answer

    @rule(number=st.integers(0, 3), profile=st.integers(0, 3))
    def accept(self, number: int, profile: int) -> None:
        if self.questions:
            asked = self.questions.pop(number % len(self.questions))
            name = ["gold", "gold", "silver", "none"][profile]
            self.do(ev.RadiusAccept(asked.session_id, asked.attempt, (name,)))

    @rule(number=st.integers(0, 3), silent=st.booleans())
    def refuse(self, number: int, silent: bool) -> None:
        if self.questions:
            asked = self.questions.pop(number % len(self.questions))
            kind = ev.RadiusUnanswered if silent else ev.RadiusReject
            self.do(kind(asked.session_id, asked.attempt))

    @rule(left=st.integers(0, 2), error=st.sampled_from(["", "", "", "refused"]))
    def data_plane(self, left: int, error: str) -> None:
        while len(self.player.enforcing) > left:
            effect = self.player.enforcing.pop(0)
            operation = Operation(type(effect).__name__.removeprefix("Enforce").lower())
            policy, token = getattr(effect, "policy", None), getattr(effect, "token", 0)
            if error and operation is Operation.START:
                self.not_opened(effect.session_id)
            self.do(ev.Enforced(effect.session_id, operation, policy, token, error))

    def not_opened(self, session_id: str) -> None:
        """A start that was refused opens nothing: forget it and what was to change, if no stop followed."""
        orders = self.orders[session_id]
        last = len(orders) - orders[::-1].index(fx.EnforceStart) - 1
        if fx.EnforceStop not in orders[last:]:
            del orders[last:]

    @rule(number=st.integers(0, 9), since=st.integers(0, 100))
    def idle(self, number: int, since: int) -> None:
        self.do(ev.SessionIdle(self.some(number), START + int((self.now - since) * NS)))

    @rule(number=st.integers(0, 9))
    def traffic(self, number: int) -> None:
        self.do(ev.SessionTraffic(self.some(number)))

    # time

    @rule(seconds=st.integers(1, 4000))
    def wait(self, seconds: int) -> None:
        self.now += seconds
        due = [key for key, deadline in self.player.timers.items() if deadline <= START + self.now * NS]
        for timer, key in due:
            if self.player.timers.pop((timer, key), None) is not None:
                self.do(ev.TimerDue(Timer(timer), key))

    @rule(timer=st.sampled_from(Timer), number=st.integers(0, 9), line=LINES)
    def a_timer_that_is_not_due(self, timer: Timer, number: int, line: str) -> None:
        self.do(ev.TimerDue(timer, line if timer is Timer.TOMBSTONE else self.some(number)))

    # what management does

    @rule(number=st.integers(0, 9), tombstone=st.booleans())
    def disconnect(self, number: int, tombstone: bool) -> None:
        self.do(ev.Disconnect(self.token(), self.some(number), tombstone=tombstone))

    @rule(number=st.integers(0, 9), what=st.sampled_from(["reauthenticate", "profile", "rates", "nothing"]))
    def command(self, number: int, what: str) -> None:
        session_id, token = self.some(number), self.token()
        if what == "reauthenticate":
            self.do(ev.Reauthenticate(token, session_id))
        else:
            self.do(
                ev.SetPolicy(
                    token,
                    session_id,
                    "silver" if what == "profile" else None,
                    Policy(None, 64_000, 64_000) if what == "rates" else None,
                )
            )

    @rule(remote=st.sampled_from([None, "node-a", "node-b"]), profile=st.sampled_from([None, "gold"]))
    def disconnect_matching(self, remote: str | None, profile: str | None) -> None:
        self.do(ev.DisconnectMatching(self.token(), remote, profile))

    @rule(
        what=st.sampled_from(["disconnect", "reauthenticate", "profile", "timeouts", "both", "wrong"]),
        ip=st.one_of(st.none(), IPS),
        mac=st.one_of(st.none(), MACS),
        circuit=st.sampled_from([None, "1", "2"]),
    )
    def dynamic(self, what: str, ip: str | None, mac: str | None, circuit: str | None) -> None:
        """What a RADIUS server asks for (RFC 5176)."""
        token = self.token()
        selector = ev.Selector(ip_address=ip, mac_address=mac, circuit_id=circuit)
        if what == "disconnect":
            self.do(ev.DisconnectSelected(token, selector))
        elif what == "reauthenticate":
            self.do(ev.ReauthenticateSelected(token, selector, b"state"))
        else:
            names = {"profile": ("silver",), "both": ("gold",), "wrong": ("none",)}.get(what, ())
            seconds = 700 if what in ("timeouts", "both") else None
            wanted = ev.RadiusAccept("", 0, names, session_timeout=seconds, idle_timeout=seconds)
            self.do(ev.ChangeSelected(token, selector, wanted))

    @rule(rate=st.integers(8_000, 9_000), gone=st.booleans())
    def profile_changed(self, rate: int, gone: bool) -> None:
        self.do(ev.ProfileChanged("gold", None if gone else Profile(rate, rate)))

    @rule(
        port_move=st.sampled_from(["deny", "move", "replace"]),
        sessions=st.integers(1, 9),
        nat=st.sampled_from(POOLS),
    )
    def settings_changed(self, port_move: str, sessions: int, nat: dict[str, Any] | None) -> None:
        self.settings = {**self.settings, "port_move": port_move, "max_sessions": sessions, "nat": nat}
        self.player.settings = decode_settings({**SETTINGS, **self.settings})
        self.do(ev.SettingsChanged(self.player.settings))

    @rule()
    def go_on(self) -> None:
        self.put_off = max(0, self.put_off - 1)
        self.do(ev.Continue())

    @rule()
    def restart(self) -> None:
        """kill -9: the kernel carried out what it was told, nobody waits any more."""
        while self.player.enforcing:
            self.data_plane(0, "")
        self.questions.clear()
        self.answered = Counter(dict.fromkeys(range(1, self.tokens + 1), 1))
        self.now += 1
        self.take(self.player.restart(self.now))

    # promises

    @invariant()
    def the_store_is_consistent(self) -> None:
        if not hasattr(self, "player"):
            return
        store = self.player.machine.store
        held = list(store)
        live = [session for session in held if session.state is not State.TERMINATING]
        assert store.by_status.total() == len(held) == len(store.slots)
        assert +store.by_status == Counter(session.state for session in held)
        assert len({session.slot for session in held}) == len(held)
        assert len({session.line for session in held}) == len(held)
        assert len({session.ip_address for session in live}) == len(live)
        for session in held:
            assert session.state not in (State.PENDING, State.GONE)
            assert store.get(session.id) is session
            assert store.on_line(session.line) is session
            assert session in list(store.with_mac(session.mac_address))
            assert session in store.behind(session.line.remote_id)
            assert session.profile is None or session in store.with_profile(session.profile)
            if session.state in FORWARDING:
                assert session.enforcing
                assert session.authorized_ns
        for session in live:
            assert store.with_ip(session.ip_address) is session
        waiting = self.player.machine._starting
        assert all(binding.waits for binding in waiting.values())
        for binding in waiting.values():
            for session_id in binding.waits:
                assert binding.line in self.player.machine._waiting[session_id]
                assert store.get(session_id) is not None, "what is waited for will end"

    @invariant()
    def accounting_is_in_order(self) -> None:
        if not hasattr(self, "player"):
            return
        for session_id, kinds in self.accounts.items():
            assert kinds[0] == "start", kinds
            assert kinds.count("start") == 1
            assert kinds.count("stop") == (self.player.machine.store.get(session_id) is None)
            assert "stop" not in kinds[:-1]
        for session in self.player.machine.store:
            assert (session.id in self.accounts) == bool(session.authorized_ns)

    @invariant()
    def nothing_is_left_in_the_kernel(self) -> None:
        """What was opened for a session is closed before it is gone, and nothing is opened after that."""
        if not hasattr(self, "player"):
            return
        for session_id, orders in self.orders.items():
            if not orders:
                continue
            session = self.player.machine.store.get(session_id)
            assert orders[0] is not fx.EnforceChange
            if session is None or not session.enforcing or session.state is State.TERMINATING:
                assert orders[-1] is fx.EnforceStop
            for before, after in itertools.pairwise(orders):
                assert before is not fx.EnforceStop or after is fx.EnforceStart

    @invariant()
    def public_addresses_have_one_holder(self) -> None:
        if not hasattr(self, "player"):
            return
        machine = self.player.machine
        held = sorted(session.nat for session in machine.store if session.nat is not None)
        for (address, _, last), (other, first, _) in itertools.pairwise(held):
            assert address != other or last < first
        assert machine.nat.blocks(held) == machine.nat._held
        for session in machine.store:
            if session.enforcing:
                assert self.bound[session.id] == session.nat

    @invariant()
    def the_journal_is_in_order(self) -> None:
        if not hasattr(self, "player"):
            return
        lines: dict[str, str] = {}
        addresses: dict[str, str] = {}
        ended: set[str] = set()
        for effect in self.told:
            if isinstance(effect, fx.Account):
                continue
            event = effect.event
            session_id, line = event["session-id"], str(event["access-line"])
            assert session_id not in ended
            if event["type"] == "session-start":
                assert lines.setdefault(line, session_id) == session_id, "two sessions on a line"
                assert addresses.setdefault(event["ip-address"], session_id) == session_id, (
                    "one address twice"
                )
            else:
                assert lines.get(line) == session_id
            if event["type"] == "session-stop":
                ended.add(session_id)
                del lines[line]
                del addresses[event["ip-address"]]
        assert set(lines.values()) == {session.id for session in self.player.machine.store}

    @invariant()
    def commands_are_answered_once(self) -> None:
        if not hasattr(self, "player"):
            return
        assert not [token for token, times in self.answered.items() if times > 1]
        assert 0 not in self.answered
        if not self.put_off and not self.player.enforcing:
            assert set(self.answered) == set(range(1, self.tokens + 1))

    def teardown(self) -> None:
        """At the end everybody is disconnected, and all is settled."""
        if not hasattr(self, "player"):
            return
        for _ in range(5):
            self.data_plane(0, "")
            for session in self.player.machine.store:
                self.do(ev.Disconnect(self.token(), session.id))
        self.data_plane(0, "")
        self.the_journal_is_in_order()
        self.accounting_is_in_order()
        self.commands_are_answered_once()
        assert len(self.player.machine.store) == self.player.machine.nat.held == 0
        assert not self.player.machine._starting
        assert not self.player.machine._waiting


Lives.TestCase.settings = settings(
    max_examples=60, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
)
TestLives = Lives.TestCase
