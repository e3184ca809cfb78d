"""What all parts of the session machine stand on: its state, the table, and how effects are made."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from bng.session import effects as fx
from bng.session.accounting import accounting_of
from bng.session.events import (
    Counters,
    DisconnectMatching,
    Operation,
    ProfileChanged,
    RadiusAccept,
    SettingsChanged,
)
from bng.session.nat import NatAllocator
from bng.session.records import AccessLine, Binding, Session, to_event
from bng.session.relay import Relay
from bng.session.settings import Policy, Profile, Settings
from bng.session.states import TABLE, Input, State
from bng.session.store import Store
from bng.session.told import Told

WorkEvent = ProfileChanged | DisconnectMatching | SettingsChanged
"""What may have something to be done to many sessions."""

PORTION = 100
"""Sessions that one event changes at one go; with their data plane effects a few milliseconds."""


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
    """An Access-Accept and the policy that it stands for; local when no server sent it."""

    accept: RadiusAccept
    policy: Policy
    local: bool = False


class Outcome(NamedTuple):
    """What the data plane said. error is empty when it worked."""

    operation: Operation
    policy: Policy
    token: int
    error: str


class Work:
    """Something to be done to many sessions, in portions.

    Attributes:
        event: what asked for it, and says what is done to each.
        sessions: ids of those that are left; who is gone meanwhile is passed over.
        count: how many it was done to so far.
    """

    __slots__ = ("count", "event", "sessions")

    def __init__(self, event: WorkEvent, sessions: deque[str]) -> None:
        self.event = event
        self.sessions = sessions
        self.count = 0


Fired = tuple[Session, Input, State, Any]
"""What the table did for an input: to which session, the input, the state before it (the session has the one
after it), and what the handler got."""


class Base(ABC):
    """The state of the session machine. `authorization` and `lifecycle` have the handlers of the table.

    Attributes:
        settings, profiles: the configuration in force.
        store: all sessions.
        relay: DHCP exchanges and statistics.
        nat: public addresses and port blocks.
        started_total, rejected_total: since this object was made.
        failures: sessions that could not be set up, by cause, since then.
        tombstones: by access line.
        fired, drop: what the table did for the last event, and why its packet was dropped ("" if it was not).
    """

    def __init__(
        self, settings: Settings, profiles: Mapping[str, Profile], *, sequence: int, now: int
    ) -> None:
        self.settings = settings
        self.profiles = dict(profiles)
        self.store = Store(settings.max_sessions, max(1, now // 1_000_000))
        self.relay = Relay(settings)
        self.relay.admission.know(
            lambda line: self.store.on_line(line) is not None,
            lambda mac: self.store.has_mac(mac),
            lambda remote: remote in self.settings.routers or self.store.count_behind(remote) > 0,
        )
        self.nat = NatAllocator(settings.nat)
        self.started_total = 0
        self.rejected_total = 0
        self.failures: Counter[str] = Counter()
        self.tombstones: dict[AccessLine, Tombstone] = {}
        self._sequence = sequence
        self._starting: dict[AccessLine, Binding] = {}
        self._waiting: dict[str, list[AccessLine]] = {}  # terminating session → lines that wait for it
        self._ended: OrderedDict[AccessLine, int] = OrderedDict()
        self._now = now
        self._out: list[fx.Effect] = []
        self._told = Told()
        self._work: deque[Work] = deque()
        self._pending_deadline: int | None = None  # of the DHCP exchanges
        self.fired: list[Fired] = []
        self.drop = ""

    def full(self, line: AccessLine) -> str:
        """Which limit keeps one more session from starting on a line; empty when none does."""
        if self.store.full:
            return "max-sessions"
        limit = self.settings.max_sessions_per_access_router
        if limit is not None and self.store.count_behind(line.remote_id) >= limit:
            return "max-sessions-per-access-router"
        return ""

    def fire_pending(self, what: Input, detail: Any) -> None:
        """The same for what has no session yet: an exchange or a binding."""
        getattr(self, TABLE[State.PENDING, what].handler)(detail)

    def fire(self, session: Session, what: Input, detail: Any = None) -> bool:
        """Look the table up and do what it says. False: it says nothing for this state."""
        row = TABLE.get((session.state, what))
        if row is None:
            return False
        self.fired.append((session, what, session.state, detail))
        if row.state is not session.state:
            self.store.set_state(session, row.state)
            session.last_change_ns = self._now
        getattr(self, row.handler)(session, detail)
        return True

    def in_portions(self, event: WorkEvent, sessions: Iterable[Session]) -> None:
        """Do to many sessions what an event asks for: to the first at once, to the others as
        `events.Continue` comes."""
        self._work.append(Work(event, deque(session.id for session in sessions)))
        if len(self._work) == 1:
            self.go_on()
        else:
            self._out.append(fx.Continue())

    def go_on(self) -> None:
        """Do the next portion of the work that is left."""
        left = PORTION
        while self._work:
            work = self._work[0]
            while work.sessions and left:
                left -= 1
                session = self.store.get(work.sessions.popleft())
                if session is not None:
                    work.count += self.work_on(work.event, session)
            if work.sessions:
                self._out.append(fx.Continue())
                return
            self._work.popleft()
            self.work_done(work.event, work.count)

    @abstractmethod
    def work_on(self, event: WorkEvent, session: Session) -> bool:
        """Do what an event asks for to one session. Whether there was something to do."""

    @abstractmethod
    def work_done(self, event: WorkEvent, count: int) -> None:
        """It was done to all."""

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
        self._out.append(accounting_of(session, kind, counters, cause, self._now))

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
