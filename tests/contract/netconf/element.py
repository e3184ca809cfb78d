"""A small element to serve: sessions, a journal, profiles to configure, operations to invoke.

Run as a program it listens until its standard input ends, after it has printed one line of JSON:
``{"port": …, "unix": …, "host_key": …}``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
import uvloop

from bng.daemon.process import collect_seldom
from nbi.info import Limits
from nbi.server import MODULES_DIR, NetconfServer
from nbi.subscriptions import event_time
from yang.access import User
from yang.provider import Change, ConfigDiff, Keys, Notification, OperationError, Registration
from yang.tree import Tree

PASSWORDS = {"admin": "correct horse", "viewer": "only looking"}
SECRET = "radius-shared-secret"
HISTORY = 200
"""Events in the journal before the element starts."""
HISTORY_TIME = 1_790_000_000_000_000_000
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


@dataclass(slots=True)
class Session:
    """A session with 20 leaves."""

    id: str
    access_line: AccessLine
    username: str
    mac_address: str
    ip_address: str
    interface: str
    status: str
    profile: str
    download_rate: int
    upload_rate: int
    started: str
    last_change: str
    lease_expiry: str
    counters: Counters


def make_session(number: int) -> Session:
    remote, port = f"an-{number // 48:04d}", f"1/0/{number % 48}"
    return Session(
        id=f"{number:016x}",
        access_line=AccessLine(remote, port),
        username=f"bng-01/{remote}/{port}" + ("<&>" if number % 100 == 7 else ""),
        mac_address=f"02:00:00:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}",
        ip_address=f"100.64.{number >> 8 & 255}.{number & 255}",
        interface="eth1",
        status="idle" if number % 5 == 0 else "active",
        profile="gold",
        download_rate=100_000_000,
        upload_rate=20_000_000,
        started="2026-11-21T02:00:00Z",
        last_change="2026-11-21T02:00:01Z",
        lease_expiry="2026-11-22T02:00:00Z",
        counters=Counters(
            number * 1_000_003, number * 9_000_001, number * 701, number * 6_007, 0, number % 13
        ),
    )


class Sessions:
    path = "/aether-subscriber:sessions/session"

    def __init__(self, count: int) -> None:
        self.by_id = {session.id: session for session in map(make_session, range(count))}
        self.changed: list[str] = []
        self.reads = 0

    @property
    def version(self) -> int:
        return len(self.changed)

    def changes(self, since: int) -> Sequence[Change]:
        return [Change((id_,), self.by_id.get(id_), 0) for id_ in dict.fromkeys(self.changed[since:])]

    def get(self, keys: Keys) -> Session | None:
        return self.by_id.get(keys[0])

    def iter(self) -> Iterable[Session]:
        self.reads += 1
        return list(self.by_id.values())


@dataclass(slots=True)
class Event:
    seq: int
    time: str
    type: str
    session_id: str
    username: str
    reason: str | None = None


class Journal:
    """The journal in memory, with the notifications that its events are."""

    path = "/aether-events:events/event"

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.times: list[int] = []

    @property
    def log(self) -> Journal:
        return self

    @property
    def oldest(self) -> int:
        return 1

    @property
    def newest(self) -> int:
        return len(self.events)

    def append(self, kind: str, session: Session, time_ns: int, reason: str | None = None) -> Event:
        self.times.append(time_ns)
        event = Event(len(self.times), event_time(time_ns), kind, session.id, session.username, reason)
        self.events.append(event)
        return event

    def get(self, keys: Keys) -> Event | None:
        return self.events[keys[0] - 1] if 0 < keys[0] <= len(self.events) else None

    def iter(self) -> Iterable[Event]:
        return tuple(self.events)

    def read(self, first: int, limit: int) -> Sequence[Event]:
        return self.events[first - 1 : first - 1 + limit]

    def time_of(self, record: Event) -> int:
        return self.times[record.seq - 1]

    def seek(self, time_ns: int) -> int:
        return next((n + 1 for n, at in enumerate(self.times) if at >= time_ns), len(self.times) + 1)

    def notification(self, record: Event) -> Notification | None:
        if record.type not in ("session-start", "session-stop"):
            return None
        return Notification(f"/aether-subscriber:{record.type}", record, self.time_of(record), record.seq)


class Profiles:
    """Agrees to every configuration but one that has a profile named ``refused``."""

    def __init__(self) -> None:
        self.committed: list[ConfigDiff] = []

    async def prepare(self, diff: ConfigDiff) -> ConfigDiff:
        profiles = diff.new.get("aether-shaping:shaping-profiles", {}).get("profile", [])
        if any(profile["name"] == "refused" for profile in profiles):
            raise OperationError(
                "resource-denied",
                "the data plane has no room for profile refused",
                path="/aether-shaping:shaping-profiles/profile[name='refused']",
            )
        return diff

    async def commit(self, token: ConfigDiff) -> None:
        self.committed.append(token)

    async def abort(self, token: ConfigDiff) -> None:
        pass


@dataclass
class Element:
    """Everything that the tree is given, and the tree."""

    sessions: Sessions
    journal: Journal = field(default_factory=Journal)
    profiles: Profiles = field(default_factory=Profiles)
    invoked: list[tuple[Keys, Mapping[str, Any], str]] = field(default_factory=list)
    tree: Tree = field(init=False)

    def registration(self) -> Registration:
        return Registration(
            state=[self.sessions, self.journal],
            config=[self.profiles],
            operations={
                "/aether-subscriber:sessions/session/disconnect": self.disconnect,
                "/aether-subscriber:disconnect-sessions": self.disconnect_sessions,
            },
        )

    def touch(self, session_id: str) -> None:
        """A session began, ended, or is different now."""
        self.sessions.changed.append(session_id)
        self.tree.bus.state_changed(self.sessions.path)

    def end(self, session: Session, reason: str | None) -> None:
        del self.sessions.by_id[session.id]
        self.touch(session.id)
        event = self.journal.append("session-stop", session, time.time_ns(), reason)
        notification = self.journal.notification(event)
        assert notification is not None
        self.tree.bus.publish(notification)

    async def disconnect(self, keys: Keys, input: Mapping[str, Any], user: str) -> None:
        self.invoked.append((keys, input, user))
        self.end(self.sessions.by_id[keys[0]], input.get("reason"))

    async def disconnect_sessions(self, keys: Keys, input: Mapping[str, Any], user: str) -> Mapping[str, Any]:
        self.invoked.append((keys, input, user))
        if not input:
            raise OperationError("missing-element", "at least one criterion must be given")
        ending = [s for s in self.sessions.iter() if s.access_line.remote_id == input.get("remote-id")]
        for session in ending:
            self.end(session, input.get("reason"))
        return {"disconnected": len(ending)}


def startup(public_key: tuple[str, str] | None = None) -> dict[str, Any]:
    """The configuration that the element starts with."""
    users: list[dict[str, Any]] = [
        {"name": name, "password": f"$0${password}"} for name, password in PASSWORDS.items()
    ]
    if public_key is not None:
        algorithm, data = public_key
        users[0]["authorized-key"] = [{"name": "test", "algorithm": algorithm, "key-data": data}]
    return {
        "aether-bng:bng": {
            "identity": {"bng-id": "bng-01"},
            "aaa": {"server": [{"name": "radius-1", "address": "192.0.2.10", "secret": SECRET}]},
        },
        "aether-shaping:shaping-profiles": {
            "profile": [{"name": "gold", "download": {"rate": "100000000"}, "upload": {"rate": "20000000"}}]
        },
        "ietf-system:system": {
            "authentication": {"user-authentication-order": ["local-users"], "user": users}
        },
        "ietf-netconf-acm:nacm": {
            "enable-nacm": True,
            "read-default": "permit",
            "write-default": "deny",
            "exec-default": "permit",
            "groups": {
                "group": [
                    {"name": "administrators", "user-name": ["admin"]},
                    {"name": "viewers", "user-name": ["viewer"]},
                ]
            },
            "rule-list": [
                {
                    "name": "administrators",
                    "group": ["administrators"],
                    "rule": [
                        {
                            "name": "no-secrets",
                            "path": "/aether-bng:bng/aaa/server/secret",
                            "access-operations": "read",
                            "action": "deny",
                        },
                        {"name": "everything", "module-name": "*", "action": "permit"},
                    ],
                },
                {
                    "name": "viewers",
                    "group": ["viewers"],
                    "rule": [
                        {
                            "name": "no-operations",
                            "module-name": "aether-subscriber",
                            "rpc-name": "disconnect-sessions",
                            "access-operations": "exec",
                            "action": "deny",
                        }
                    ],
                },
            ],
        },
    }


async def open_element(state_dir: Path, sessions: int, public_key: tuple[str, str] | None = None) -> Element:
    """The element with its tree, and with a past in its journal."""
    element = Element(Sessions(sessions))
    for number in range(HISTORY):
        time_ns = HISTORY_TIME + number * 1_000_000_000
        element.journal.append("session-start", make_session(number), time_ns)
    file = state_dir / "startup.json"
    file.write_text(json.dumps(startup(public_key)))
    element.tree = await Tree.open(element.registration(), state_dir, startup=file, module_dirs=[MODULES_DIR])
    return element


async def serve(arguments: argparse.Namespace) -> None:
    """Serve until standard input ends."""
    state_dir = Path(arguments.state_dir)
    algorithm, _, data = arguments.public_key.partition(" ")
    element = await open_element(state_dir, arguments.sessions, (algorithm, data) if data else None)
    collect_seldom()
    host_key = state_dir / "ssh_host_ed25519_key"
    server = NetconfServer(
        element.tree,
        [("127.0.0.1", 0)],
        host_key,
        unix_path=state_dir / "netconf.sock",
        unix_user=User("admin"),
        replay=element.journal,
        limits=Limits(
            max_message=arguments.max_message,
            stall_timeout=arguments.stall_timeout,
            max_sessions_per_user=128,
            failure_delay=0.02,
        ),
        files_dir=state_dir / "files",
    )
    await server.start()
    print(json.dumps({"port": server.ports[0], "unix": str(state_dir / "netconf.sock")}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop()
    await element.tree.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--state-dir", required=True)
    parser.add_argument("--sessions", type=int, default=100)
    parser.add_argument("--public-key", default="")
    parser.add_argument("--max-message", type=int, default=4 * 1024 * 1024)
    parser.add_argument("--stall-timeout", type=float, default=60.0)
    parser.add_argument("--uvloop", action="store_true")
    options = parser.parse_args()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if options.uvloop else None) as runner:
        runner.run(serve(options))
