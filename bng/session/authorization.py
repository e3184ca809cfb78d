"""Handlers of the transition table: what is asked of RADIUS, and what the data plane enforces."""

from __future__ import annotations

from bng.seam.clock import NS
from bng.session import effects as fx
from bng.session import policy as policies
from bng.session.base import Base, Granted, Outcome
from bng.session.events import Counters, Operation, RadiusAccept, RadiusUnanswered, Timer
from bng.session.nat import EXHAUSTED
from bng.session.records import LOCAL, RADIUS, Session
from bng.session.settings import Policy
from bng.session.states import Input, State

NO_ANSWER = "no RADIUS server answered"


class Authorization(Base):
    """Who may forward, at which rates, and for how long."""

    def on_ask(self, session: Session, state: bytes | None) -> None:
        self._ask(session, state or b"")

    def _ask(self, session: Session, state: bytes = b"") -> None:
        if session.asked and not state:
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
                state,
            )
        )

    def on_accepted(self, session: Session, granted: Granted) -> None:
        session.asked = False
        if not session.enforcing and not self._bind_nat(session):
            self._arm_retry(session)
            return
        self._grant(session, granted)
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
            nat=session.nat,
        )

    def on_reaccepted(self, session: Session, granted: Granted) -> None:
        session.asked = False
        self._grant(session, granted)
        self._arm_session(session)
        self._arm_idle(session)
        if granted.policy != session.policy:
            self._change(session, granted.policy)
        else:
            self._journal(session, "session-update")

    def _grant(self, session: Session, granted: Granted) -> None:
        accept = granted.accept
        session.refusal = ""
        session.authorization = LOCAL if granted.local else RADIUS
        session.classes = accept.classes
        session.interim = policies.interim_of(accept)
        session.session_timeout = policies.timeout_of(accept.session_timeout, self.settings.session_timeout)
        session.idle_timeout = policies.timeout_of(accept.idle_timeout, self.settings.idle_timeout)
        self._out.append(fx.CancelTimer(Timer.AUTH_RETRY, session.id))

    def on_rejected(self, session: Session, reason: str) -> None:
        session.asked = False
        session.authorization = ""
        self.rejected_total += 1
        self.failures["rejected"] += 1
        if session.enforcing:  # accepted before, and its start is still on the way
            session.enforcing = False
            self._out.append(self._stop_effect(session))
        self._release_nat(session)
        if session.refusal != reason:
            session.refusal = reason
            self._journal(session, "session-rejected", reason)
        self._arm_retry(session)

    def without_answer(self, session: Session, event: RadiusUnanswered) -> tuple[Input, object]:
        """What it means for a session that no server answered, by the configured policy. Only who was not
        judged yet is admitted or refused by it: who forwards keeps what it has, and whom a server refused
        stays refused."""
        action = self.settings.unanswered_action
        judged = session.state is State.REJECTED and session.refusal != NO_ANSWER
        if session.state not in (State.AUTHORIZING, State.REJECTED) or session.enforcing or judged:
            return Input.UNANSWERED, None
        if action == "admit":
            name = self.settings.unanswered_profile or ""
            if name in self.profiles:
                accept = RadiusAccept(event.session_id, event.attempt)
                policy = policies.of_profile(name, self.profiles[name])
                return Input.ACCEPTED, Granted(accept, policy, local=True)
        elif action == "reject":
            return Input.REJECTED, NO_ANSWER
        return Input.UNANSWERED, None

    def on_unanswered(self, session: Session, _detail: None) -> None:
        session.asked = False
        self.failures["unanswered"] += 1
        self._arm_retry(session)

    def on_still_unanswered(self, session: Session, _detail: None) -> None:
        session.asked = False
        if session.authorization == LOCAL:
            self._arm_retry(session)

    def _arm_retry(self, session: Session) -> None:
        wait = self.settings.auth_retry_interval * (1 + session.spread() / 4)
        self._out.append(fx.SetTimer(Timer.AUTH_RETRY, session.id, self._now + int(wait * NS)))

    # data plane

    def on_started(self, session: Session, outcome: Outcome) -> None:
        session.authorized_ns = self._now
        local = session.authorization == LOCAL
        self._apply(session, outcome, f"{NO_ANSWER}: admitted" if local else "")
        if local:
            self._arm_retry(session)
        self._account(session, fx.AccountKind.START, Counters())
        self._arm_interim(session, (1 + session.spread()) / 2)
        self._arm_session(session)
        self._follow_nat(session)

    def on_not_started(self, session: Session, outcome: Outcome) -> None:
        self.failures["data-plane"] += 1
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

    def _apply(self, session: Session, outcome: Outcome, reason: str = "") -> None:
        before = session.profile
        session.policy = outcome.policy
        self.store.reindex_profile(session, before)
        self._journal(session, "policy-apply", reason)
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

    # public addresses

    def _bind_nat(self, session: Session) -> bool:
        """Give a session its public address and ports, if it is to have them. False: none is free."""
        if session.nat is not None or not self.nat.covers(session.ip_address):
            return True
        try:
            session.nat = self.nat.take()
        except LookupError:
            self.failures["no-public-address"] += 1
            if session.refusal != EXHAUSTED:  # told once, however often it is tried
                session.refusal = EXHAUSTED
                self._journal(session, "session-update", EXHAUSTED)
                self._log("warning", "nat.pool-exhausted", session=session.id, limit=self.nat.size)
            return False
        return True

    def _release_nat(self, session: Session) -> None:
        if session.nat is not None:
            self.nat.give_back(session.nat)
            session.nat = None

    def _follow_nat(self, session: Session) -> bool:
        """Give a live session a binding, or take it away, as the configuration now says; whether there was
        something to do. A binding of an earlier pool stays: its flows live on."""
        had, covered = session.nat, self.nat.covers(session.ip_address)
        if had is None and covered and self._bind_nat(session):
            session.refusal = ""
        elif had is not None and not covered:
            self._release_nat(session)
        if session.nat == had or session.policy is None:
            return False
        self._out.append(self.start_effect(session, session.policy))
        return True

    # timers of what was granted

    def _arm_idle(self, session: Session) -> None:
        if session.idle_since and session.idle_timeout:
            deadline = session.idle_since + session.idle_timeout * NS
            self._out.append(fx.SetTimer(Timer.IDLE_TIMEOUT, session.id, deadline))
        else:
            self._out.append(fx.CancelTimer(Timer.IDLE_TIMEOUT, session.id))

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
