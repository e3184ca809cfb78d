"""A dynamic authorization server with a clock, and requests to it."""

from __future__ import annotations

from typing import Any

from bng.aaa.coa import Address, Command, DynamicAuthorization, Reply
from bng.aaa.coa_request import Nas
from bng.aaa.coa_settings import CoaClient, CoaSettings
from bng.aaa.dictionary import load
from bng.codec import radius
from bng.codec.radius import Attribute, RadiusPacket

NS = 1_000_000_000
NOW = 1_800_000_000 * NS
SECRET = b"secret-of-radius"
SOURCE: Address = ("192.0.2.2", 40_000)
CLIENT = CoaClient("radius", "192.0.2.2", SECRET)
RELAXED = CoaClient("old", "192.0.2.3", b"another", require_message_authenticator=False)
DICTIONARY = load()
SESSION = ("Acct-Session-Id", "0123456789abcdef")

Pairs = tuple[str, str | int | bytes]


def attributes(*pairs: Pairs) -> tuple[Attribute, ...]:
    return tuple(DICTIONARY.attribute(name, value) for name, value in pairs)


def request(
    code: int, *pairs: Pairs, identifier: int = 1, secret: bytes = SECRET, more: tuple[Attribute, ...] = ()
) -> bytes:
    return radius.build_request(code, identifier, (*attributes(*pairs), *more), secret)


def unsigned(code: int, *pairs: Pairs, secret: bytes) -> bytes:
    """A request without Message-Authenticator."""
    body = radius.encode_attributes(attributes(*pairs))
    data = radius._pack(code, 1, bytes(16), body)
    return data[:4] + radius._md5(data + secret) + data[20:]


class Bench:
    """A server, its clock, and a machine that agrees."""

    def __init__(self, **changed: Any) -> None:
        changed.setdefault("clients", (CLIENT, RELAXED))
        self.server = DynamicAuthorization()
        self.server.configure(CoaSettings(**changed), Nas("bng-01", "192.0.2.1"))
        self.now = NOW
        self.executed: list[Command] = []

    def send(self, data: bytes, source: Address = SOURCE) -> Reply | Command | None:
        what = self.server.receive(data, source, self.now)
        if isinstance(what, Command):
            self.executed.append(what)
        return what

    def ask(self, code: int, *pairs: Pairs, tag: str = "", **more: Any) -> RadiusPacket:
        """The answer to a request; what is to be executed has the outcome `tag`."""
        data = request(code, *pairs, **more)
        what = self.send(data)
        if isinstance(what, Command):
            what = self.server.answer(what, tag)
        assert what is not None, self.discards
        assert what.destination == SOURCE
        return radius.verify_response(what.data, data[4:20], SECRET, demand_message_authenticator=True)

    @property
    def discards(self) -> dict[str, int]:
        return dict(next(self.server.clients).discards)

    @property
    def event(self) -> Any:
        return self.executed[-1].event


def values(packet: RadiusPacket, name: str) -> list[bytes]:
    definition = DICTIONARY.by_name[name]
    return packet.values(definition.number, definition.vendor)


def cause(packet: RadiusPacket) -> int | None:
    found = values(packet, "Error-Cause")
    return int.from_bytes(found[0], "big") if found else None
