"""Commands of management and of RADIUS to sessions: each is answered exactly once."""

from __future__ import annotations

from bng.session import events as ev
from bng.session import policy as policies
from bng.session.base import Ending
from bng.session.lifecycle import Lifecycle
from bng.session.records import AccessLine, Session
from bng.session.settings import Policy
from bng.session.states import Input, State


class Commands(Lifecycle):
    """What may be asked of sessions."""

    def _wanted(self, token: int, session_id: str) -> Session | None:
        session = self.store.get(session_id)
        if session is None:
            self._answer(token, "data-missing", f"there is no session {session_id}")
        return session

    def _disconnect(self, event: ev.Disconnect) -> None:
        session = self._wanted(event.token, event.session_id)
        if session is not None:
            ending = Ending(event.cause, event.reason or "disconnected", event.tombstone, event.token)
            self.fire(session, Input.DISCONNECT, ending)

    def _disconnect_matching(self, event: ev.DisconnectMatching) -> None:
        if event.username is None and event.remote_id is None and event.profile is None:
            self._answer(event.token, "missing-element", "give remote-id, profile or username")
            return
        if event.username is not None:
            candidates = self._with_username(event.username)
        elif event.remote_id is not None:
            candidates = self.store.behind(event.remote_id)
        else:
            candidates = self.store.with_profile(event.profile or "")
        self.in_portions(event, candidates)

    def end_matching(self, event: ev.DisconnectMatching, session: Session) -> bool:
        """End a session if it matches, which it may no longer. Whether it did."""
        ending = Ending("Admin-Reset", event.reason or "disconnected", tombstone=True)
        return (
            event.remote_id in (None, session.line.remote_id)
            and event.profile in (None, session.profile)
            and session.state is not State.TERMINATING
            and self.fire(session, Input.DISCONNECT, ending)
        )

    def _with_username(self, username: str) -> list[Session]:
        """Sessions of a user. Agent ids may hold slashes: every way to split the name is tried."""
        found: list[Session] = []
        _, _, rest = username.partition("/")
        for position, character in enumerate(rest):
            if character == "/":
                session = self.store.on_line(AccessLine(rest[:position], rest[position + 1 :]))
                if session is not None and session.username == username:
                    found.append(session)
        return found

    def _reauthenticate(self, event: ev.Reauthenticate) -> None:
        session = self._wanted(event.token, event.session_id)
        if session is None:
            return
        if self.fire(session, Input.REAUTHENTICATE):
            self._answer(event.token)
        else:
            self._answer(event.token, "operation-failed", "the session is ending")

    def _set_policy(self, event: ev.SetPolicy) -> None:
        session = self._wanted(event.token, event.session_id)
        if session is None:
            return
        policy: Policy | None = event.policy
        if event.profile is not None:
            if event.profile not in self.profiles:
                self._answer(event.token, "invalid-value", f"there is no shaping profile {event.profile}")
                return
            policy = policies.of_profile(event.profile, self.profiles[event.profile])
        if policy is None:
            self._answer(event.token, "missing-element", "give a profile or rates")
        elif not self.fire(session, Input.SET_POLICY, (policy, event.token)):
            message = f"the session is {session.state.value}: nothing is shaped yet or any more"
            self._answer(event.token, "operation-failed", message)
