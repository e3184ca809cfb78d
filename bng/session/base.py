"""What all parts of the session machine stand on: its state, the table, and how effects are made."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

from bng.session import effects as fx
from bng.session.events import Counters, Operation, RadiusAccept
from bng.session.nat import NatAllocator
from bng.session.records import AccessLine, Binding, Session, to_event
from bng.session.relay import Relay
from bng.session.settings import Policy, Profile, Settings
from bng.session.states import TABLE, Input
from bng.session.store import Store


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


class Base:
    """The state of the session machine. `authorization` and `lifecycle` have the handlers of the table.

    Attributes:
        settings, profiles: the configuration in force.
        store: all sessions.
        relay: DHCP exchanges and statistics.
        nat: public addresses and port blocks.
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
        self.nat = NatAllocator(settings.nat)
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
