"""An element with configuration and made-up state, for the tests of the management core."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from yang.access import User
from yang.datastore.context import SchemaBuilder, load_context
from yang.datastore.model import Session
from yang.provider import OperationError, Registration
from yang.schema import Schema
from yang.tree import Tree

NETCONF = "urn:ietf:params:xml:ns:netconf:base:1.0"
NAMESPACES = {
    "nc": NETCONF,
    "yang": "urn:ietf:params:xml:ns:yang:1",
    "ab": "urn:aether:yang:aether-bng",
    "ash": "urn:aether:yang:aether-shaping",
    "asub": "urn:aether:yang:aether-subscriber",
    "aar": "urn:aether:yang:aether-access-router",
    "if": "urn:ietf:params:xml:ns:yang:ietf-interfaces",
    "ip": "urn:ietf:params:xml:ns:yang:ietf-ip",
    "ianaift": "urn:ietf:params:xml:ns:yang:iana-if-type",
    "sys": "urn:ietf:params:xml:ns:yang:ietf-system",
    "nacm": "urn:ietf:params:xml:ns:yang:ietf-netconf-acm",
    "ncm": "urn:ietf:params:xml:ns:yang:ietf-netconf-monitoring",
}
COUNTERS = ("in_octets", "out_octets", "in_packets", "out_packets", "in_discards", "out_discards")

STARTUP: dict[str, Any] = {
    "ietf-interfaces:interfaces": {
        "interface": [
            {
                "name": name,
                "type": "iana-if-type:ethernetCsmacd",
                "ietf-ip:ipv4": {"address": [{"ip": f"192.0.2.{number}", "prefix-length": 24}]},
            }
            for number, name in enumerate(("eth0", "eth1"), 1)
        ]
    },
    "aether-bng:bng": {
        "identity": {"bng-id": "bng-1", "location": "Bern & <Thun>"},
        "interfaces": {"subscriber": ["eth1"], "upstream": "eth0"},
        "aaa": {"server": [{"name": "r1", "address": "10.0.0.1", "secret": "s3cret"}]},
    },
    "aether-shaping:shaping-profiles": {
        "profile": [
            {"name": name, "download": {"rate": str(rate)}, "upload": {"rate": str(rate // 10)}}
            for name, rate in (("bronze", 1_000_000), ("gold", 100_000_000), ("silver", 50_000_000))
        ]
    },
    "aether-access-router:access-routers": {
        "access-router": [
            {"name": "an-1", "remote-id": "an-1", "address": "10.1.0.1", "subnet": ["10.9.0.0/24"]},
            {"name": "an-2", "remote-id": "an-2", "access-model": "bridged"},
        ]
    },
    "ietf-system:system": {
        "authentication": {
            "user": [
                {
                    "name": "admin",
                    "password": "$0$admin-pw",
                    "authorized-key": [{"name": "k", "algorithm": "ssh-ed25519", "key-data": "QUJD"}],
                },
                {"name": "guest", "password": "$0$guest-pw"},
            ]
        }
    },
    "ietf-netconf-acm:nacm": {
        "groups": {"group": [{"name": "admins", "user-name": ["admin"]}]},
        "rule-list": [
            {
                "name": "admins",
                "group": ["admins"],
                "rule": [{"name": "all", "module-name": "*", "access-operations": "*", "action": "permit"}],
            }
        ],
    },
}


class Record:
    """A provider's record."""

    def __init__(self, **children: Any) -> None:
        self.__dict__.update(children)


def make_session(number: int) -> Record:
    return Record(
        id=f"{number:016x}",
        access_line=Record(remote_id="an-1", circuit_id=f"1/0/{number}"),
        username=f"bng-1/an-1/1/0/{number}",
        mac_address=f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}",
        ip_address=f"100.64.{number >> 8}.{number & 255}",
        interface="eth1",
        nas_port_id=f"eth1:an-1:<{number}>&",
        status="active" if number % 2 else "idle",
        profile="gold" if number % 3 else None,
        download_rate=100_000_000,
        upload_rate=10_000_000,
        started="2026-11-21T02:00:00.123456789Z",
        last_change="2026-11-21T02:00:00Z",
        lease_expiry="2026-11-21T03:00:00Z",
        counters=Record(tick=17, **{name: number * 1000 + i for i, name in enumerate(COUNTERS)}),
    )


@dataclass
class ListProvider:
    """State of a list; counts what it is asked for."""

    path: str
    records: dict[tuple[Any, ...], Any]
    gets: list[tuple[Any, ...]] = field(default_factory=list)
    iterations: int = 0

    def get(self, keys: tuple[Any, ...]) -> Any:
        self.gets.append(keys)
        return self.records.get(keys)

    def iter(self) -> Any:
        self.iterations += 1
        return list(self.records.values())


@dataclass
class Handler:
    """A config handler that notes what it is told, and refuses when asked to."""

    calls: list[tuple[str, Any]] = field(default_factory=list)
    refuse: OperationError | None = None

    async def prepare(self, diff: Any) -> Any:
        self.calls.append(("prepare", diff))
        if self.refuse is not None:
            raise self.refuse
        return len(self.calls)

    async def commit(self, token: Any) -> None:
        self.calls.append(("commit", token))

    async def abort(self, token: Any) -> None:
        self.calls.append(("abort", token))


@dataclass
class Element:
    """A tree with its providers and some ways to use it."""

    tree: Tree
    sessions: ListProvider
    handler: Handler
    folder: Path
    admin: User
    guest: User
    operations: list[Any]

    def filter(self, inner: str) -> Any:
        return self.tree.select_subtree(element("filter", inner))

    def xml(self, selection: Any, user: User | None = None, **options: Any) -> str:
        pieces = list(self.tree.read_xml(selection, user or self.admin, **options))
        assert all(len(piece) <= 65536 for piece in pieces)
        return b"".join(pieces).decode()

    def get(self, inner: str, user: User | None = None, **options: Any) -> str:
        """The reply to a subtree filter."""
        return self.xml(self.filter(inner), user, **options)

    async def edit(self, inner: str, session: Session | None = None, **options: Any) -> None:
        session = session or Session(1, self.admin)
        await self.tree.datastores.edit(session, "candidate", element("config", inner), **options)

    async def commit(self, session: Session | None = None, **options: Any) -> Any:
        return await self.tree.datastores.commit(session or Session(1, self.admin), **options)


def element(name: str, inner: str) -> etree._Element:
    declared = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in NAMESPACES.items())
    return etree.fromstring(f"<nc:{name} {declared}>{inner}</nc:{name}>")


@pytest.fixture(scope="session")
def schema() -> Schema:
    return SchemaBuilder(load_context()).build()


@pytest.fixture
def make_element() -> Callable[[str, str], etree._Element]:
    return element


@pytest.fixture
def session_count() -> int:
    return 5


@pytest.fixture
async def net(tmp_path: Path, session_count: int) -> AsyncIterator[Element]:
    """An element that has just started, with five sessions."""
    sessions = ListProvider(
        "/aether-subscriber:sessions/session",
        {(f"{n:016x}",): make_session(n) for n in range(1, session_count + 1)},
    )
    profiles = ListProvider(
        "/aether-shaping:shaping-profiles/profile",
        {(name,): Record(sessions_using=count) for name, count in (("gold", 3), ("silver", 0))},
    )
    routers = ListProvider(
        "/aether-access-router:access-routers/access-router",
        {("an-1",): Record(state=Record(reachability="up", active_sessions=5))},
    )
    interfaces = ListProvider(
        "/ietf-interfaces:interfaces/interface",
        {
            (name,): Record(
                admin_status="up",
                oper_status="up",
                if_index=int(name[3:]) + 1,
                statistics=Record(discontinuity_time="2026-11-21T00:00:00Z", in_octets=2**63),
            )
            for name in ("eth0", "eth1")
        },
    )
    handler = Handler()
    calls: list[Any] = []

    async def disconnect(keys: Any, members: Any, user: str) -> dict[str, Any] | None:
        calls.append((keys, dict(members), user))
        return {"disconnected": 2} if not keys else None

    startup = tmp_path / "startup.json"
    startup.write_text(json.dumps(STARTUP))
    tree = await Tree.open(
        Registration(
            state=[sessions, profiles, routers, interfaces],
            config=[handler],
            operations={
                "/aether-subscriber:sessions/session/disconnect": disconnect,
                "/aether-subscriber:disconnect-sessions": disconnect,
            },
        ),
        tmp_path / "state",
        startup,
    )
    yield Element(tree, sessions, handler, tmp_path, User("admin"), User("guest"), calls)
    await tree.close()
