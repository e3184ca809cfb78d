"""A RADIUS client with a clock, and a server that is a function."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from bng.aaa.client import AaaClient, Answer
from bng.aaa.dictionary import load
from bng.aaa.requests import Datagram
from bng.aaa.settings import AaaSettings, Server
from bng.codec import radius
from bng.codec.radius import Attribute, Code, RadiusPacket
from bng.session.effects import Account, AccountKind, AskRadius
from bng.session.events import Counters

NS = 1_000_000_000
START = 1_800_000_000 * NS
ONE = Server("one", "192.0.2.1", b"secret-1", timeout=1000, retries=2, priority=1, status_server=False)
TWO = Server("two", "192.0.2.2", b"secret-2", timeout=1000, retries=1, priority=2, status_server=False)
SECRETS = {"192.0.2.1": b"secret-1", "192.0.2.2": b"secret-2"}


def ask(number: int = 1, attempt: int = 1) -> AskRadius:
    return AskRadius(
        f"{number:016x}", attempt, "bng-01/node-a/1", "02:00:00:00:00:01", "100.64.0.1", "sub0:node-a:1"
    )


def account(kind: AccountKind, number: int = 1, at: int = START) -> Account:
    cause = "Lost-Carrier" if kind is AccountKind.STOP else None
    return Account(
        kind, f"{number:016x}", 0, 1, "bng-01/node-a/1", "02:00:00:00:00:01", "100.64.0.1",
        "sub0:node-a:1", (b"c",), 60, None, cause, at,
    )  # fmt: skip


class Bench:
    """A client, its clock, and what it sent."""

    def __init__(self, *servers: Server, **settings: Any) -> None:
        self.settings = AaaSettings("bng-01", "192.0.2.9", "line", servers or (ONE, TWO), **settings)
        self.client = AaaClient(self.settings, random.Random(1))
        self.now = START
        self.answers: list[Answer] = []

    def ask(self, number: int = 1, attempt: int = 1) -> list[Datagram]:
        self.answers += self.client.authenticate(ask(number, attempt), self.now)
        return self.client.to_send()

    def account(self, kind: AccountKind, number: int = 1) -> list[Datagram]:
        self.client.account(account(kind, number, self.now), Counters(in_octets=5), self.now)
        return self.client.to_send()

    def reply(
        self,
        datagram: Datagram,
        code: int | None = None,
        attributes: tuple[Attribute, ...] = (),
        change: Callable[[bytes], bytes] = lambda data: data,
        **options: bool,
    ) -> list[Datagram]:
        """Let the server answer; what the client sends next comes back."""
        request = radius.parse(datagram.data)
        if code is None:
            access = request.code == Code.ACCESS_REQUEST
            code = Code.ACCESS_ACCEPT if access else Code.ACCOUNTING_RESPONSE
        data = radius.build_response(
            code,
            request.identifier,
            request.authenticator,
            attributes,
            SECRETS[datagram.destination[0]],
            **options,
        )
        self.now += NS // 1000
        self.answers += self.client.receive(change(data), datagram.destination, datagram.source, self.now)
        return self.client.to_send()

    def wait(self) -> list[Datagram]:
        """Until the next timer."""
        deadline = self.client.next_timer()
        assert deadline is not None
        self.now = max(self.now, deadline)
        self.answers += self.client.handle_timer(self.now)
        return self.client.to_send()


def seen(datagram: Datagram) -> RadiusPacket:
    """A request as its server sees it, verified."""
    return radius.verify_request(datagram.data, SECRETS[datagram.destination[0]])


def texts(packet: RadiusPacket, name: str) -> list[bytes]:
    definition = load().by_name[name]
    return packet.values(definition.number, definition.vendor)


def number(packet: RadiusPacket, name: str) -> int:
    (value,) = texts(packet, name)
    return int.from_bytes(value, "big")
