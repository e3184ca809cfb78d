"""A small element to serve over gNMI: sessions with a counter matrix, a bounded journal, health, profiles."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from yang.provider import Change, Columns, ConfigDiff, Keys, OperationError, Registration
from yang.tree import Tree

PASSWORDS = {"admin": "correct horse", "viewer": "only looking", "blind": "no counters"}
COUNTERS = ("in-octets", "out-octets", "in-packets", "out-packets", "in-discards", "out-discards", "tick")
SECRET = "radius-shared-secret"
FIRST_EVENT = 1_790_000_000_000_000_000
"""Time of event 1; each further one is a second later."""


@dataclass(slots=True)
class AccessLine:
    remote_id: str
    circuit_id: str


@dataclass(slots=True)
class Counters:
    in_octets: int
    out_octets: int
    in_packets: int
    out_packets: int
    in_discards: int
    out_discards: int
    tick: int


@dataclass(slots=True)
class Session:
    id: str
    access_line: AccessLine
    username: str
    mac_address: str
    ip_address: str
    status: str
    profile: str | None
    download_rate: int
    counters: Counters | None = None


def make_session(number: int) -> Session:
    remote, port = f"an-{number // 48:04d}", f"1/0/{number % 48}"
    return Session(
        id=f"{number:016x}",
        access_line=AccessLine(remote, port),
        username=f"bng-01/{remote}/{port}",
        mac_address=f"02:00:00:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}",
        ip_address=f"100.64.{number >> 8 & 255}.{number & 255}",
        status="active",
        profile="gold",
        download_rate=100_000_000,
    )


class Sessions:
    """Sessions whose counters grow when `sweep` is called, and that tell what changed."""

    path = "/aether-subscriber:sessions/session"

    def __init__(self, count: int) -> None:
        self.by_id = {session.id: session for session in map(make_session, range(count))}
        self.counters = {
            key: np.arange(len(COUNTERS), dtype=np.uint64) + np.uint64(1000 * number)
            for number, key in enumerate(self.by_id)
        }
        self.membership = self.tick = 1
        self.version = 0
        self.forget_changes = False
        self._changed: dict[str, int] = {}
        self.tree: Tree | None = None

    def _record(self, session: Session) -> Session:
        counters = self.counters[session.id].tolist()
        return replace(session, counters=Counters(*counters[:-1], tick=self.tick))

    def get(self, keys: Keys) -> Session | None:
        session = self.by_id.get(keys[0])
        return None if session is None else self._record(session)

    def iter(self) -> Iterable[Session]:
        return map(self._record, list(self.by_id.values()))

    def columns(self) -> Columns:
        values = np.array(list(self.counters.values()), np.uint64).reshape(-1, len(COUNTERS))
        values[:, -1] = self.tick
        leaves = [("counters", name) for name in COUNTERS]
        keys = [(key,) for key in self.counters]
        return Columns(keys, leaves, values, self.membership, self.tick, time.time_ns())

    def changes(self, since: int) -> Sequence[Change] | None:
        if self.forget_changes:
            return None
        keys = [key for key, version in self._changed.items() if version > since]
        return [Change((key,), self.get((key,)), time.time_ns()) for key in keys]

    def sweep(self, *keys: str) -> None:
        """Count something for these sessions, or for all."""
        self.tick += 1
        for key in keys or self.counters:
            self.counters[key] += np.uint64(7)

    def put(self, session: Session) -> None:
        """Add a session, or change one."""
        if session.id not in self.by_id:
            self.counters[session.id] = np.zeros(len(COUNTERS), np.uint64)
            self.membership += 1
        self.by_id[session.id] = session
        self._touch(session.id)

    def remove(self, key: str) -> None:
        """End a session."""
        del self.by_id[key], self.counters[key]
        self.membership += 1
        self._touch(key)

    def _touch(self, key: str) -> None:
        self.version += 1
        self._changed[key] = self.version
        if self.tree is not None:
            self.tree.bus.state_changed(self.path)


@dataclass(slots=True)
class Event:
    seq: int
    time: str
    type: str
    session_id: str
    username: str
    status: str = "active"
    counters: Counters | None = None


class Journal:
    """The events that are retained."""

    path = "/aether-events:events/event"

    def __init__(self, count: int, retain: int = 10_000) -> None:
        self.retain = retain
        self.events: dict[int, tuple[int, Event]] = {}
        self.newest = 0
        self.tree: Tree | None = None
        for number in range(count):
            self.append("session-start", make_session(number), FIRST_EVENT + number * 1_000_000_000)

    @property
    def oldest(self) -> int:
        return next(iter(self.events), self.newest + 1)

    def append(self, kind: str, session: Session, time_ns: int | None = None) -> int:
        """Add an event; old ones go."""
        self.newest += 1
        at = time.time_ns() if time_ns is None else time_ns
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at // 10**9)) + f".{at % 10**9:09d}Z"
        self.events[self.newest] = (at, Event(self.newest, text, kind, session.id, session.username))
        if len(self.events) > self.retain:
            del self.events[self.oldest]
        if self.tree is not None:
            self.tree.bus.state_changed(self.path)
        return self.newest

    def get(self, keys: Keys) -> Event | None:
        found = self.events.get(keys[0])
        return None if found is None else found[1]

    def iter(self) -> Iterable[Event]:
        return [event for _, event in self.events.values()]

    def read(self, first: int, limit: int) -> Sequence[Event]:
        if first < self.oldest:
            raise LookupError(first)
        wanted = range(first, min(first + limit, self.newest + 1))
        return [self.events[number][1] for number in wanted]

    def time_of(self, record: Event) -> int:
        return self.events[record.seq][0]

    def seek(self, time_ns: int) -> int:
        if self.oldest > 1 and time_ns < self.events[self.oldest][0]:
            raise LookupError(time_ns)
        later = (number for number, (at, _) in self.events.items() if at >= time_ns)
        return next(later, self.newest + 1)


@dataclass(slots=True)
class Bounds:
    oldest_seq: int
    newest_seq: int


class JournalBounds:
    path = "/aether-events:events/journal"

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def get(self, keys: Keys) -> Bounds:
        return Bounds(self._journal.oldest, self._journal.newest)

    def iter(self) -> Iterable[Bounds]:
        return [self.get(())]


@dataclass(slots=True)
class Summary:
    total: int
    started_total: int


class SessionSummary:
    """State that does not tell when it changes."""

    path = "/aether-subscriber:summary"

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def get(self, keys: Keys) -> Summary:
        return Summary(len(self._sessions.by_id), 12345678901)

    def iter(self) -> Iterable[Summary]:
        return [self.get(())]


class Profiles:
    """Agrees to every configuration but one that has a profile named ``refused``."""

    async def prepare(self, diff: ConfigDiff) -> ConfigDiff:
        profiles = diff.new.get("aether-shaping:shaping-profiles", {}).get("profile", [])
        if any(profile["name"] == "refused" for profile in profiles):
            raise OperationError("resource-denied", "the data plane has no room for profile refused")
        return diff

    async def commit(self, token: ConfigDiff) -> None:
        pass

    async def abort(self, token: ConfigDiff) -> None:
        pass


@dataclass
class Element:
    """What the tree is given, and the tree."""

    sessions: Sessions
    journal: Journal
    tree: Tree = field(init=False)
    _numbers: Any = field(default_factory=itertools.count)

    async def open(self, state_dir: Path) -> None:
        """Open the tree with this element's providers and `startup`."""
        state = [self.sessions, self.journal, JournalBounds(self.journal), SessionSummary(self.sessions)]
        file = state_dir / "startup.json"
        file.write_text(json.dumps(startup()))
        self.tree = await Tree.open(Registration(state=state, config=[Profiles()]), state_dir, startup=file)
        self.sessions.tree = self.journal.tree = self.tree


def _rule(name: str, action: str, **what: str) -> Mapping[str, str]:
    return {"name": name, "action": action, **what}


def startup() -> dict[str, Any]:
    """The configuration that the element starts with."""
    everything = _rule("everything", "permit", **{"module-name": "*"})
    no_secrets = _rule("no-secrets", "deny", path="/aether-bng:bng/aaa/server/secret")
    no_counters = _rule("no-counters", "deny", path="/aether-subscriber:sessions/session/counters")
    no_usernames = _rule("no-usernames", "deny", path="/aether-events:events/event/username")
    return {
        "aether-bng:bng": {
            "identity": {"bng-id": "bng-01"},
            "aaa": {"server": [{"name": "radius-1", "address": "192.0.2.10", "secret": SECRET}]},
        },
        "aether-shaping:shaping-profiles": {
            "profile": [
                {"name": name, "download": {"rate": "100000000"}, "upload": {"rate": "20000000"}}
                for name in ("gold", "silver")
            ]
        },
        "ietf-system:system": {
            "authentication": {
                "user-authentication-order": ["local-users"],
                "user": [{"name": name, "password": f"$0${word}"} for name, word in PASSWORDS.items()],
            }
        },
        "ietf-netconf-acm:nacm": {
            "read-default": "permit",
            "write-default": "deny",
            "groups": {"group": [{"name": name, "user-name": [name]} for name in PASSWORDS]},
            "rule-list": [
                {"name": "admin", "group": ["admin"], "rule": [no_secrets, everything]},
                {"name": "blind", "group": ["blind"], "rule": [no_counters, no_usernames]},
            ],
        },
    }
