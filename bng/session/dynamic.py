"""Dynamic authorization (RFC 5176): what RADIUS wants of sessions while they live.

Error tags of the answers, which `bng.aaa.coa` turns into Error-Causes: ``data-missing``: no session matches,
or it is ending; ``operation-not-supported``: several match; ``invalid-value``; ``resource-denied``: nothing
is shaped yet; ``operation-failed``: the data plane refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bng.session import events as ev
from bng.session import policy as policies
from bng.session.base import Ending, Outcome
from bng.session.commands import Commands
from bng.session.records import AccessLine, Session
from bng.session.settings import Policy, Profile, Settings
from bng.session.states import Input, State


class Dynamic(Commands):
    """Disconnect, change, reauthenticate: by whatever names the session."""

    def __init__(
        self, settings: Settings, profiles: Mapping[str, Profile], *, sequence: int, now: int
    ) -> None:
        super().__init__(settings, profiles, sequence=sequence, now=now)
        self._changes: dict[int, ev.ChangeSelected] = {}  # token → what the data plane is at

    def _answer(self, token: int, error_tag: str = "", message: str = "", **output: Any) -> None:
        # a token is answered exactly once: what was kept for it goes then
        self._changes.pop(token, None)
        super()._answer(token, error_tag, message, **output)

    # which session

    def _selected(self, token: int, selector: ev.Selector) -> Session | None:
        """The one session that is meant; None when that was answered with an error."""
        found = [s for s in self._candidates(selector) if _matches(selector, s)]
        # while a line or an address changes hands there is one that ends, and one that is meant
        found = [s for s in found if s.state is not State.TERMINATING] or found
        if len(found) == 1:
            return found[0]
        if found:
            self._answer(token, "operation-not-supported", f"{len(found)} sessions match, not one")
        else:
            self._answer(token, "data-missing", "no session matches")
        return None

    def _candidates(self, selector: ev.Selector) -> Iterable[Session]:
        """Few sessions among which are all that match, by the criterion that tells most."""
        match selector:
            case ev.Selector(session_id=str(session_id)):
                return _one(self.store.get(session_id))
            case ev.Selector(ip_address=str(address)):
                return _one(self.store.with_ip(address))
            case ev.Selector(remote_id=str(remote), circuit_id=str(circuit)):
                return _one(self.store.on_line(AccessLine(remote, circuit)))
            case ev.Selector(username=str(name)):
                return self._with_username(name)
            case ev.Selector(nas_port_id=str(port)):
                return self._on_port(port)
            case ev.Selector(mac_address=str(mac)):
                return self.store.with_mac(mac)
            case ev.Selector(circuit_id=str(circuit)):
                return self.store.with_circuit(circuit)
            case ev.Selector(remote_id=str(remote)):
                return self.store.behind(remote)
        return ()

    def _on_port(self, nas_port_id: str) -> Iterable[Session]:
        """Agent ids may hold colons, the name of an interface does not: every way to split is tried."""
        _, _, rest = nas_port_id.partition(":")
        for position, character in enumerate(rest):
            if character == ":":
                yield from _one(self.store.on_line(AccessLine(rest[:position], rest[position + 1 :])))

    # what is wanted of it

    def _disconnect_selected(self, event: ev.DisconnectSelected) -> None:
        session = self._selected(event.token, event.selector)
        if session is not None:
            reason = event.reason or "disconnected by RADIUS"
            self.fire(session, Input.DISCONNECT, Ending("Admin-Reset", reason, True, event.token))

    def _reauthenticate_selected(self, event: ev.ReauthenticateSelected) -> None:
        session = self._selected(event.token, event.selector)
        if session is None:
            return
        if self.fire(session, Input.REAUTHENTICATE, event.state):
            self._answer(event.token)
        else:
            self._answer(event.token, "data-missing", "the session is ending")

    def _change_selected(self, event: ev.ChangeSelected) -> None:
        session = self._selected(event.token, event.selector)
        if session is None:
            return
        policy = self._policy_of(event.accept)
        if isinstance(policy, str):
            self._answer(event.token, "invalid-value", policy)
            return
        if policy is None:
            fired = self.fire(session, Input.SET_TERMS, event)
        else:
            self._changes[event.token] = event
            fired = self.fire(session, Input.SET_POLICY, (policy, event.token))
        if not fired:
            tag = "data-missing" if session.state is State.TERMINATING else "resource-denied"
            message = f"the session is {session.state.value}: nothing is shaped yet or any more"
            self._answer(event.token, tag, message)

    def _policy_of(self, accept: ev.RadiusAccept) -> Policy | str | None:
        """The policy that is wanted, None for the present one, or what is wrong with it."""
        speeds = (
            accept.download_kbps,
            accept.upload_kbps,
            accept.download_burst_kbit,
            accept.upload_burst_kbit,
        )
        if not accept.filter_ids and speeds == (None, None, None, None):
            return None
        if accept.filter_ids and not any(name in self.profiles for name in accept.filter_ids):
            return f"there is no shaping profile {accept.filter_ids[0]}"
        return policies.of_accept(accept, self.profiles)

    # handlers of the table

    def on_changed(self, session: Session, outcome: Outcome) -> None:
        change = self._changes.get(outcome.token)
        if change is None:
            super().on_changed(session, outcome)
            return
        session.last_change_ns = self._now
        self._set_terms(session, change.accept)
        self._apply(session, outcome, change.reason)
        self._answer(outcome.token)

    def on_set_terms(self, session: Session, change: ev.ChangeSelected) -> None:
        session.last_change_ns = self._now
        self._set_terms(session, change.accept)
        self._journal(session, "session-update", change.reason)
        self._answer(change.token)

    def _set_terms(self, session: Session, accept: ev.RadiusAccept) -> None:
        if accept.session_timeout is not None:
            session.session_timeout = policies.timeout_of(accept.session_timeout)
            self._arm_session(session)
        if accept.idle_timeout is not None:
            session.idle_timeout = policies.timeout_of(accept.idle_timeout)
            self._arm_idle(session)
        if accept.interim_interval is not None:
            session.interim = policies.interim_of(accept)
            self._arm_interim(session)


def _one(session: Session | None) -> tuple[Session, ...]:
    return () if session is None else (session,)


def _matches(selector: ev.Selector, session: Session) -> bool:
    line = session.line
    return (
        selector.session_id in (None, session.id)
        and selector.username in (None, session.username)
        and selector.ip_address in (None, session.ip_address)
        and selector.mac_address in (None, session.mac_address)
        and selector.nas_port_id in (None, session.nas_port_id)
        and selector.circuit_id in (None, line.circuit_id)
        and selector.remote_id in (None, line.remote_id)
    )
