"""The handlers of the transition table: what a session does when something happens to it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

from bng.codec.address import NO_IP
from bng.seam.clock import NS
from bng.session import effects as fx
from bng.session import policy as policies
from bng.session.events import Counters, Operation, RadiusAccept, Timer
from bng.session.records import AccessLine, Binding, Session, counters_event, to_event
from bng.session.relay import Relay
from bng.session.settings import Policy, Profile, Settings
from bng.session.states import TABLE, Input
from bng.session.store import Store

_SESSION_TIMERS = (
    Timer.LEASE,
    Timer.INTERIM,
    Timer.AUTH_RETRY,
    Timer.SESSION_TIMEOUT,
    Timer.IDLE_TIMEOUT,
)
_ID_EPOCH_MS = 1_735_689_600_000  # 2025-01-01: 40 bits of milliseconds from here reach into 2059


class Ending(NamedTuple):
    """Why a session ends: Acct-Terminate-Cause, text for the journal, and what follows from it.

    Attributes:
        tombstone: renewals do not bring it back.
        token: command that waits for the end, or 0.
    """

    cause: str
    reason: str
    tombstone: bool = False
    token: int = 0


class Tombstone(NamedTuple):
    """Keeps renewals of an access line away until a time (nanoseconds); mac_address and ip_address
    are those of the session that was ended, empty when that is not known any more."""

    until: int
    mac_address: str = ""
    ip_address: str = ""


class Granted(NamedTuple):
    """An Access-Accept and the policy that it stands for."""

    accept: RadiusAccept
    policy: Policy


class Outcome(NamedTuple):
    """What the data plane said. error is empty when it worked."""

    operation: Operation
    policy: Policy
    token: int
    error: str


class Lifecycle:
    """Sessions and what happens to them. `Machine` tells it in the vocabulary of the table.

    Attributes:
        settings, profiles: the configuration in force.
        store: all sessions.
        relay: DHCP exchanges and statistics.
        started_total, rejected_total: since this object was made.
        tombstones: by access line.
    """

    def __init__(
        self, settings: Settings, profiles: Mapping[str, Profile], *, sequence: int, now: int
    ) -> None:
        self.settings = settings
        self.profiles = dict(profiles)
        self.store = Store(settings.max_sessions, max(1, now // 1_000_000))
        self.relay = Relay(settings)
        self.started_total = 0
        self.rejected_total = 0
        self.tombstones: dict[AccessLine, Tombstone] = {}
        self._sequence = sequence
        self._starting: dict[AccessLine, Binding] = {}
        self._waiting: dict[str, list[AccessLine]] = {}  # terminating session → lines that wait for it
        self._ended: OrderedDict[AccessLine, int] = OrderedDict()
        self._now = now
        self._out: list[fx.Effect] = []

    def fire(self, session: Session, what: Input, detail: Any = None) -> bool:
        """Look the table up and do what it says. False: it says nothing for this state."""
        row = TABLE.get((session.state, what))
        if row is None:
            return False
        if row.state is not session.state:
            self.store.set_state(session, row.state)
            session.last_change_ns = self._now
        getattr(self, row.handler)(session, detail)
        return True

    # birth

    def bind(self, binding: Binding) -> None:
        """An access line got its address: start its session as soon as those in its way are gone."""
        binding.waits = {
            other.id
            for other in (self.store.on_line(binding.line), self.store.with_ip(binding.ip_address))
            if other is not None
        }
        if not binding.waits:
            self._start(binding)
            return
        self._starting[binding.line] = binding
        for session_id in tuple(binding.waits):
            other = self.store.get(session_id)
            assert other is not None
            lines = self._waiting.setdefault(session_id, [])
            if binding.line not in lines:
                lines.append(binding.line)
            if other.line == binding.line:
                reason = f"replaced by {binding.ip_address} of {binding.mac_address}"
            else:
                reason = f"address bound to {binding.line.remote_id} {binding.line.circuit_id}"
            self.fire(other, Input.REPLACED, Ending("NAS-Request", reason))

    def _start(self, binding: Binding) -> None:
        twin = next((s for s in self.store.with_mac(binding.mac_address) if s.line != binding.line), None)
        if twin is not None:
            binding.reason = f"hardware address also on {twin.line.remote_id} {twin.line.circuit_id}"
            self._log("warning", "session.duplicate-mac", mac=binding.mac_address, other=twin.id)
        try:
            slot, generation = self.store.slots.take()
        except LookupError:
            self._log("warning", "session.no-slot", ip=binding.ip_address)
            return
        session = Session(
            self._new_id(), self.settings.bng_id, binding, routed=self._is_routed(binding), now=self._now
        )
        session.slot, session.generation = slot, generation
        self.store.add(session)
        self.tombstones.pop(binding.line, None)
        self._out.append(fx.CancelTimer(Timer.TOMBSTONE, tombstone_key(binding.line)))
        self.started_total += 1
        self.fire(session, Input.BOUND, binding.reason)

    def _is_routed(self, binding: Binding) -> bool:
        router = self.settings.routers.get(binding.line.remote_id)
        return router.routed if router is not None else binding.gateway != NO_IP

    def _new_id(self) -> str:
        """40 bits of time, 24 of a sequence that began at random: unique across restarts."""
        self._sequence = (self._sequence + 1) & 0xFFFFFF
        milliseconds = (self._now // 1_000_000 - _ID_EPOCH_MS) & 0xFFFFFFFFFF
        return f"{milliseconds:010x}{self._sequence:06x}"

    def on_bound(self, session: Session, reason: str) -> None:
        self._journal(session, "session-start", reason)
        self._arm_lease(session)
        self._ask(session)

    # lease

    def on_renewed(self, session: Session, binding: Binding) -> None:
        session.naks = 0
        session.lease_expiry_ns = binding.lease_expiry
        session.server = binding.server
        self._journal(session, "session-update")
        self._arm_lease(session)

    def on_renewed_ask(self, session: Session, binding: Binding) -> None:
        self.on_renewed(session, binding)
        self._ask(session)

    def on_naked(self, session: Session, _detail: None) -> None:
        session.naks += 1

    def _arm_lease(self, session: Session) -> None:
        if session.lease_expiry_ns is None:
            self._out.append(fx.CancelTimer(Timer.LEASE, session.id))
        else:
            self._out.append(fx.SetTimer(Timer.LEASE, session.id, session.lease_expiry_ns))

    # authorisation

    def on_ask(self, session: Session, _detail: None) -> None:
        self._ask(session)

    def _ask(self, session: Session) -> None:
        if session.asked:
            return  # the answer to the last question is still to come
        session.asked = True
        session.attempt += 1
        self._out.append(
            fx.AskRadius(
                session.id,
                session.attempt,
                session.username,
                session.mac_address,
                session.ip_address,
                session.nas_port_id,
            )
        )

    def on_accepted(self, session: Session, granted: Granted) -> None:
        session.asked = False
        self._grant(session, granted.accept)
        if session.enforcing:
            self._change(session, granted.policy)
            return
        session.enforcing = True
        self._out.append(self.start_effect(session, granted.policy))

    def start_effect(self, session: Session, policy: Policy) -> fx.EnforceStart:
        return fx.EnforceStart(
            session.id,
            session.slot,
            session.generation,
            session.interface,
            session.mac_address,
            session.ip_address,
            session.routed,
            policy,
        )

    def on_reaccepted(self, session: Session, granted: Granted) -> None:
        session.asked = False
        self._grant(session, granted.accept)
        self._arm_session(session)
        self._arm_idle(session)
        if granted.policy != session.policy:
            self._change(session, granted.policy)
        else:
            self._journal(session, "session-update")

    def _grant(self, session: Session, accept: RadiusAccept) -> None:
        session.refusal = ""
        session.classes = accept.classes
        session.interim = policies.interim_of(accept)
        session.session_timeout = policies.timeout_of(accept.session_timeout)
        session.idle_timeout = policies.timeout_of(accept.idle_timeout)
        self._out.append(fx.CancelTimer(Timer.AUTH_RETRY, session.id))

    def on_rejected(self, session: Session, reason: str) -> None:
        session.asked = False
        self.rejected_total += 1
        if session.enforcing:  # accepted before, and its start is still on the way
            session.enforcing = False
            self._out.append(self._stop_effect(session))
        if session.refusal != reason:
            session.refusal = reason
            self._journal(session, "session-rejected", reason)
        self._arm_retry(session)

    def on_unanswered(self, session: Session, _detail: None) -> None:
        session.asked = False
        self._arm_retry(session)

    def on_still_unanswered(self, session: Session, _detail: None) -> None:
        session.asked = False

    def on_revoked(self, session: Session, reason: str) -> None:
        """Refused when asked again: its accounting ends, the lease goes on as a session that starts
        without rights and is asked for in its turn."""
        binding = Binding(
            session.line,
            session.mac_address,
            session.ip_address,
            session.interface,
            session.gateway,
            session.server,
            session.lease_expiry_ns,
        )
        binding.waits = {session.id}
        self._starting[session.line] = binding
        self._waiting.setdefault(session.id, []).append(session.line)
        self.on_end(session, Ending("Service-Unavailable", reason))

    def _arm_retry(self, session: Session) -> None:
        wait = self.settings.auth_retry_interval * (1 + session.spread() / 4)
        self._out.append(fx.SetTimer(Timer.AUTH_RETRY, session.id, self._now + int(wait * NS)))

    # data plane

    def on_started(self, session: Session, outcome: Outcome) -> None:
        session.authorized_ns = self._now
        self._apply(session, outcome)
        self._account(session, fx.AccountKind.START, Counters())
        self._arm_interim(session, (1 + session.spread()) / 2)
        self._arm_session(session)

    def on_not_started(self, session: Session, outcome: Outcome) -> None:
        if outcome.operation is Operation.START:
            session.enforcing = False
        self._journal(session, "session-update", f"data plane: {outcome.error}")
        self._log("warning", "session.not-enforced", session=session.id, error=outcome.error)
        self._arm_retry(session)

    def on_changed(self, session: Session, outcome: Outcome) -> None:
        session.last_change_ns = self._now
        self._apply(session, outcome)
        self._answer(outcome.token)

    def on_not_changed(self, session: Session, outcome: Outcome) -> None:
        self._journal(session, "session-update", f"data plane: {outcome.error}")
        self._log("warning", "session.not-enforced", session=session.id, error=outcome.error)
        self._answer(outcome.token, "operation-failed", f"the data plane refused: {outcome.error}")

    def on_set_policy(self, session: Session, detail: tuple[Policy, int]) -> None:
        self._change(session, *detail)

    def _apply(self, session: Session, outcome: Outcome) -> None:
        before = session.profile
        session.policy = outcome.policy
        self.store.reindex_profile(session, before)
        self._journal(session, "policy-apply")
        profile = self.profiles.get(session.profile) if session.profile is not None else None
        if profile is not None:
            current = policies.of_profile(outcome.policy.profile or "", profile)
            if current != outcome.policy:  # changed while the data plane was at it
                self._change(session, current)

    def _change(self, session: Session, policy: Policy, token: int = 0) -> None:
        self._out.append(fx.EnforceChange(session.id, session.slot, session.generation, policy, token))

    def _stop_effect(self, session: Session) -> fx.EnforceStop:
        return fx.EnforceStop(
            session.id,
            session.slot,
            session.generation,
            session.interface,
            session.mac_address,
            session.ip_address,
            session.routed,
        )

    # life

    def on_idle(self, session: Session, since: int) -> None:
        session.idle_since = since
        self._journal(session, "session-update")
        self._arm_idle(session)

    def _arm_idle(self, session: Session) -> None:
        if session.idle_since and session.idle_timeout:
            deadline = session.idle_since + session.idle_timeout * NS
            self._out.append(fx.SetTimer(Timer.IDLE_TIMEOUT, session.id, deadline))
        else:
            self._out.append(fx.CancelTimer(Timer.IDLE_TIMEOUT, session.id))

    def on_traffic(self, session: Session, _detail: None) -> None:
        session.idle_since = 0
        self._out.append(fx.CancelTimer(Timer.IDLE_TIMEOUT, session.id))
        self._journal(session, "session-update")

    def on_interim(self, session: Session, _detail: None) -> None:
        self._account(session, fx.AccountKind.INTERIM, None)
        self._arm_interim(session)

    def _arm_interim(self, session: Session, part: float = 1.0) -> None:
        """Next Interim-Update after `part` of the interval: less than 1 spreads sessions that began
        together."""
        interval = (session.interim or self.settings.interim_interval) * NS
        self._out.append(fx.SetTimer(Timer.INTERIM, session.id, self._now + int(interval * part)))

    def _arm_session(self, session: Session) -> None:
        if session.session_timeout:
            deadline = session.authorized_ns + session.session_timeout * NS
            self._out.append(fx.SetTimer(Timer.SESSION_TIMEOUT, session.id, deadline))
        else:
            self._out.append(fx.CancelTimer(Timer.SESSION_TIMEOUT, session.id))

    # end

    def on_end(self, session: Session, ending: Ending) -> None:
        session.ending = (ending.cause, ending.reason, ending.tombstone)
        if ending.token:
            session.tokens = (ending.token,)
        self._out.extend(fx.CancelTimer(timer, session.id) for timer in _SESSION_TIMERS)
        if session.line not in self._starting:
            self.relay.forget(session.line)
        if session.enforcing:
            self._out.append(self._stop_effect(session))
        else:
            self.fire(session, Input.STOPPED, Counters())

    def on_disconnect_again(self, session: Session, ending: Ending) -> None:
        assert session.ending is not None
        cause, reason, tombstone = session.ending
        session.ending = (cause, reason, tombstone or ending.tombstone)
        if ending.token:
            session.tokens = (*session.tokens, ending.token)

    def on_stopped(self, session: Session, counters: Counters) -> None:
        assert session.ending is not None
        cause, reason, tombstone = session.ending
        event = to_event(session, "session-stop", reason)
        event["terminate-cause"] = cause
        event["counters"] = counters_event(counters)
        if tombstone and self.settings.tombstone_ttl:
            until = self._now + self.settings.tombstone_ttl * NS
            event["_tombstone_until"] = until
            self._starting.pop(session.line, None)
            self.relay.forget(session.line)
            self.tombstones[session.line] = Tombstone(until, session.mac_address, session.ip_address)
            self._out.append(fx.SetTimer(Timer.TOMBSTONE, tombstone_key(session.line), until))
        self._out.append(fx.Journal(event))
        if session.authorized_ns:
            self._account(session, fx.AccountKind.STOP, counters, cause)
        self.store.remove(session)
        self._ended[session.line] = self._now
        self._ended.move_to_end(session.line)
        if len(self._ended) > self.settings.max_sessions:
            self._ended.popitem(last=False)
        for token in session.tokens:
            self._answer(token)
        self._start_waiting(session.id)

    def _start_waiting(self, session_id: str) -> None:
        for line in self._waiting.pop(session_id, ()):
            binding = self._starting.get(line)
            if binding is None:
                continue
            binding.waits.discard(session_id)
            if not binding.waits:
                del self._starting[line]
                self._start(binding)

    # effects

    def _journal(self, session: Session, event_type: str, reason: str = "") -> None:
        self._out.append(fx.Journal(to_event(session, event_type, reason)))

    def _account(
        self,
        session: Session,
        kind: fx.AccountKind,
        counters: Counters | None,
        cause: str | None = None,
    ) -> None:
        self._out.append(
            fx.Account(
                kind,
                session.id,
                session.slot,
                session.generation,
                session.username,
                session.mac_address,
                session.ip_address,
                session.nas_port_id,
                session.classes,
                session.session_time(self._now),
                counters,
                cause,
                self._now,
            )
        )

    def _answer(self, token: int, error_tag: str = "", message: str = "", **output: Any) -> None:
        if token:
            self._out.append(fx.Answer(token, error_tag, message, output or None))

    def _log(self, level: str, message_id: str, **fields: Any) -> None:
        self._out.append(fx.Log(level, message_id, fields))


def tombstone_key(line: AccessLine) -> str:
    """Key of a tombstone's timer."""
    return f"{line.remote_id} {line.circuit_id}"


def line_of(key: str) -> AccessLine:
    """The access line of such a key."""
    remote_id, _, circuit_id = key.partition(" ")
    return AccessLine(remote_id, circuit_id)
