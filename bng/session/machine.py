"""The session machine: events in, effects out.

A pure function but for the state it holds: no I/O, no clock, no randomness, so a recording of its
events gives the same effects again. `handle` never raises on what came from the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from bng.seam.clock import NS
from bng.session import effects as fx
from bng.session import events as ev
from bng.session import policy as policies
from bng.session.base import Ending, Granted, Outcome, Tombstone, WorkEvent, line_of
from bng.session.dynamic import Dynamic
from bng.session.exchanges import Exchanges
from bng.session.leases import Leases
from bng.session.records import LOCAL, Session, from_event
from bng.session.settings import Profile, Settings
from bng.session.states import Input, State

_ENDINGS = {
    ev.Timer.LEASE: (Input.LEASE_EXPIRED, Ending("Lost-Carrier", "lease expired")),
    ev.Timer.SESSION_TIMEOUT: (Input.SESSION_TIMEOUT, Ending("Session-Timeout", "session timeout")),
    ev.Timer.IDLE_TIMEOUT: (Input.IDLE_TIMEOUT, Ending("Idle-Timeout", "idle timeout")),
}
_DUE = {ev.Timer.INTERIM: Input.INTERIM_DUE, ev.Timer.AUTH_RETRY: Input.RETRY_DUE}
_RESTORABLE = (State.AUTHORIZING, State.ACTIVE, State.IDLE, State.REJECTED)


class Machine(Exchanges, Dynamic, Leases):
    """All sessions of one BNG.

    Args:
        settings: configuration in force.
        profiles: shaping profiles by name.
        sequence: where the sequence in session ids begins, 0 to 2²⁴-1; random at each start.
        now: nanoseconds since the epoch; later than any `now` of an earlier machine of this BNG.
    """

    def __init__(
        self,
        settings: Settings,
        profiles: Mapping[str, Profile] | None = None,
        *,
        sequence: int = 0,
        now: int = 0,
    ) -> None:
        super().__init__(settings, profiles or {}, sequence=sequence, now=now)
        self._handlers: dict[type, Callable[[Any], None]] = {
            ev.DhcpFromSubscriber: self._from_subscriber,
            ev.DhcpFromServer: self._from_server,
            ev.RadiusAccept: self._accepted,
            ev.RadiusReject: self._rejected,
            ev.RadiusUnanswered: self._unanswered,
            ev.Enforced: self._enforced,
            ev.SessionIdle: self._idle,
            ev.SessionTraffic: self._traffic,
            ev.TimerDue: self._timer_due,
            ev.Disconnect: self._disconnect,
            ev.DisconnectMatching: self._disconnect_matching,
            ev.Reauthenticate: self._reauthenticate,
            ev.SetPolicy: self._set_policy,
            ev.DisconnectSelected: self._disconnect_selected,
            ev.ChangeSelected: self._change_selected,
            ev.ReauthenticateSelected: self._reauthenticate_selected,
            ev.ProfileChanged: self._profile_changed,
            ev.SettingsChanged: self._settings_changed,
            ev.LeaseFound: self._lease_found,
            ev.Continue: lambda _event: self.go_on(),
            ev.LeaseGone: self._lease_gone,
        }

    def handle(self, event: ev.Event, now: int) -> list[fx.Effect]:
        """Take one event in. Returns what is to be done, in order."""
        self._now = now
        out: list[fx.Effect] = []
        self._out = out
        self.fired = []
        self.drop = ""
        self.relay.line = None
        self._handlers[type(event)](event)
        return out

    def restore(
        self,
        records: Iterable[Mapping[str, Any]],
        tombstones: Mapping[str, int],
        now: int,
        ended: Mapping[str, int] = MappingProxyType({}),
    ) -> list[fx.Effect]:
        """Take over the sessions of the journal after a restart. Restored is not started: nothing is
        journaled and no accounting starts. Timers are set again; who was not authorised is asked for.

        Args:
            records: the last event of each session, as `bng.seam.sessions` folds them.
            tombstones: ``remote-id circuit-id`` → nanoseconds, until when renewals stay away.
            ended: the same → when the last session of a line without one ended.
        """
        self._now = now
        out: list[fx.Effect] = []
        self._out = out
        for record in records:
            try:
                self._restore(from_event(record))
            except (KeyError, TypeError, ValueError) as error:
                self._log("warning", "session.not-restored", record=dict(record), error=repr(error))
        for session in self.store:
            if session.enforcing:
                self._follow_nat(session)
        self._ended.update((line_of(key), at) for key, at in sorted(ended.items(), key=lambda item: item[1]))
        for key, until in tombstones.items():
            line = line_of(key)
            if until > now and self.store.on_line(line) is None:
                self.tombstones[line] = Tombstone(until)
                out.append(fx.SetTimer(ev.Timer.TOMBSTONE, key, until))
        return out

    def _restore(self, session: Session) -> None:
        if session.state not in _RESTORABLE:
            raise ValueError(f"a session that is {session.state.value} is not kept")
        if self.store.get(session.id) is not None:
            raise ValueError("there twice")
        self.store.slots.adopt(session.slot, session.generation)
        self.store.add(session)
        if session.nat is not None:
            self.nat.adopt(session.nat)
        self._arm_lease(session)
        if session.state in (State.AUTHORIZING, State.REJECTED):
            self._ask(session)
            return
        session.enforcing = True
        self._arm_interim(session, session.spread())
        self._arm_session(session)
        if session.authorization == LOCAL:
            self._arm_retry(session)
        session.idle_since = self._now if session.state is State.IDLE else 0
        self._arm_idle(session)

    def reinforce(self, session_id: str) -> list[fx.Effect]:
        """What makes the data plane hold a session that forwards and that the kernel lost; empty when
        there is no such session. Its `events.Enforced` is handled as a change of policy."""
        session = self.store.get(session_id)
        if session is None or session.state not in (State.ACTIVE, State.IDLE) or session.policy is None:
            return []
        return [self.start_effect(session, session.policy)]

    # RADIUS and data plane

    def _asked(self, session_id: str, attempt: int) -> Session | None:
        """The session that an answer is for, unless it was asked again or is gone."""
        session = self.store.get(session_id)
        return session if session is not None and session.asked and session.attempt == attempt else None

    def _accepted(self, event: ev.RadiusAccept) -> None:
        session = self._asked(event.session_id, event.attempt)
        if session is None:
            return
        conflict = policies.conflict(event, session.ip_address)
        policy = conflict or policies.of_accept(event, self.profiles)
        if isinstance(policy, str):
            self.fire(session, Input.REJECTED, policy)
        else:
            self.fire(session, Input.ACCEPTED, Granted(event, policy))

    def _rejected(self, event: ev.RadiusReject) -> None:
        session = self._asked(event.session_id, event.attempt)
        if session is not None:
            self.fire(session, Input.REJECTED, event.message or "rejected by the RADIUS server")

    def _unanswered(self, event: ev.RadiusUnanswered) -> None:
        session = self._asked(event.session_id, event.attempt)
        if session is not None:
            self.fire(session, *self.without_answer(session, event))

    def _enforced(self, event: ev.Enforced) -> None:
        session = self.store.get(event.session_id)
        if event.operation is ev.Operation.STOP:
            if session is not None:
                self.fire(session, Input.STOPPED, event.counters or ev.Counters())
            return
        handled = False
        if session is not None and event.policy is not None:
            outcome = Outcome(event.operation, event.policy, event.token, event.error)
            handled = self.fire(session, Input.NOT_ENFORCED if event.error else Input.ENFORCED, outcome)
        if not handled:
            self._answer(event.token, "operation-failed", "the session ended meanwhile")

    def _idle(self, event: ev.SessionIdle) -> None:
        session = self.store.get(event.session_id)
        if session is not None:
            self.fire(session, Input.IDLE, event.since)

    def _traffic(self, event: ev.SessionTraffic) -> None:
        session = self.store.get(event.session_id)
        if session is not None:
            self.fire(session, Input.TRAFFIC)

    def _timer_due(self, event: ev.TimerDue) -> None:
        if event.timer is ev.Timer.PENDING:
            self._pending_deadline = None
            self._arm_pending()
        elif event.timer is ev.Timer.TOMBSTONE:
            line = line_of(event.key)
            tombstone = self.tombstones.get(line)
            if tombstone is not None and tombstone.until <= self._now:
                del self.tombstones[line]
        else:
            session = self.store.get(event.key)
            if session is None:
                return
            if event.timer in _ENDINGS:
                if self._is_over(session, event.timer):
                    self.fire(session, *_ENDINGS[event.timer])
            else:
                self.fire(session, _DUE[event.timer])

    def _is_over(self, session: Session, timer: ev.Timer) -> bool:
        """Whether what a timer stands for is over: it may have been put off while the timer was under way."""
        if timer is ev.Timer.LEASE:
            return session.lease_expiry_ns is not None and session.lease_expiry_ns <= self._now
        if timer is ev.Timer.SESSION_TIMEOUT:
            since, limit = session.authorized_ns, session.session_timeout
        else:
            since, limit = session.idle_since, session.idle_timeout
        return limit > 0 and since + limit * NS <= self._now

    # configuration

    def _profile_changed(self, event: ev.ProfileChanged) -> None:
        if event.profile is None:
            self.profiles.pop(event.name, None)  # who uses it keeps its rates
            return
        self.profiles[event.name] = event.profile
        self.in_portions(event, self.store.with_profile(event.name))

    def work_on(self, event: WorkEvent, session: Session) -> bool:
        if isinstance(event, ev.DisconnectMatching):
            return self.end_matching(event, session)
        if isinstance(event, ev.SettingsChanged):
            return session.state in (State.ACTIVE, State.IDLE) and self._follow_nat(session)
        return self._follow_profile(session)

    def work_done(self, event: WorkEvent, count: int) -> None:
        if isinstance(event, ev.DisconnectMatching):
            self._answer(event.token, disconnected=count)

    def _follow_profile(self, session: Session) -> bool:
        """Shape a session as its profile says by now."""
        profile = self.profiles.get(session.profile or "")
        if profile is None:
            return False
        policy = policies.of_profile(session.profile or "", profile)
        return session.policy != policy and self.fire(session, Input.SET_POLICY, (policy, 0))

    def _settings_changed(self, event: ev.SettingsChanged) -> None:
        self.settings = event.settings
        self.store.resize(event.settings.max_sessions)
        self.relay.configure(event.settings)
        if event.settings.nat != self.nat.pool:
            self.nat.change(event.settings.nat, (session.nat for session in self.store))
            self.in_portions(event, self.store)
        self._arm_pending()
