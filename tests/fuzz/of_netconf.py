"""What clients say to a NETCONF server, said to a real one: session, tree and datastores behind it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import zlib
from collections.abc import Iterator, Sequence

from lxml import etree

from nbi.protocol.names import BASE_NS, CAP_BASE_10, CAP_BASE_11, CAP_PRIVATE_CANDIDATE
from tests.contract.netconf import element
from tests.fuzz.mutate import Mutator
from tests.fuzz.netconf_requests import REQUESTS, WORDS
from tests.fuzz.netconf_server import Server, Wire
from tests.fuzz.runner import Target
from tests.fuzz.shapes import Shapes

_HASHES = re.compile(r"\$[56]\$[./A-Za-z0-9=]{4,}")
_TAGS = f"{{{BASE_NS}}}rpc-error/{{{BASE_NS}}}error-tag"
_MESSAGES = f"{{{BASE_NS}}}rpc-error/{{{BASE_NS}}}error-message"
_DELIMITERS = [b"]]>]]>", b"\n##\n", b"\n#1\n", b"\n#0\n", b"\n#4294967295\n", b"\n#", b"##"]


def targets() -> Iterator[Target]:
    for name, user in (("netconf-message", "admin"), ("netconf-viewer", "viewer")):
        yield Target(name, REQUESTS, Messages(user), tokens=WORDS, slow=True, mutator=Shapes)
    conversations = [
        _hello(CAP_BASE_11) + b"".join(map(_framed, REQUESTS[:3])),
        _hello(CAP_BASE_11, CAP_PRIVATE_CANDIDATE),
        _hello(CAP_BASE_10) + b"".join(request + b"]]>]]>" for request in REQUESTS[-3:]),
    ]
    yield Target("netconf-stream", conversations, Streams("admin"), tokens=_DELIMITERS, slow=True)
    yield Target(
        "netconf-session", conversations, Streams("admin"), tokens=WORDS, slow=True, mutator=Conversations
    )


def _hello(*capabilities: str) -> bytes:
    said = "".join(f"<capability>{uri}</capability>" for uri in capabilities)
    return f"<hello xmlns='{BASE_NS}'><capabilities>{said}</capabilities></hello>]]>]]>".encode()


def _framed(message: bytes) -> bytes:
    return b"\n#%d\n%b\n##\n" % (len(message), message)


def _check(reply: etree._Element) -> None:
    """A reply has errors, or something else, and the server has not failed at it."""
    errors = len(reply.findall(f"{{{BASE_NS}}}rpc-error"))
    assert not errors or errors == len(reply), etree.tostring(reply)
    for message in reply.iterfind(_MESSAGES):
        assert "internal error" not in (message.text or ""), etree.tostring(reply)


class Messages(Server):
    """One message after the other, by turns in two sessions while they last: each is answered, or ends its
    session. The two lock each other out, kill each other, and edit the same."""

    def __init__(self, user: str) -> None:
        super().__init__(user)
        self._wires: list[Wire | None] = [None, None]
        self.reply: etree._Element | None = None

    async def hang_up(self) -> None:
        wires, self._wires = self._wires, [None, None]
        for wire in wires:
            if wire is not None:
                wire.abort()
                await asyncio.wait({wire.session.task})

    async def say(self, data: bytes) -> bool:
        if not data:
            return False
        turn = self.inputs % 2
        wire = self._wires[turn]
        if wire is None or wire.closed or wire.session.reason:
            if wire is not None:
                await wire.session.task
            wire = self._wires[turn] = await self.connect()
            private = (CAP_PRIVATE_CANDIDATE,) if self.inputs // 2 % 2 else ()
            wire.session.data_received(_hello(CAP_BASE_11, *private))
        wire.session.data_received(_framed(self._aimed(data, self._wires[1 - turn])))
        self.reply = reply = await wire.replied()
        if reply is None:
            return False
        _check(reply)
        if self.user.name != "admin":
            self._check_secrets(reply, data)
        return "malformed-message" not in (tag.text for tag in reply.iterfind(_TAGS))

    def _aimed(self, data: bytes, other: Wire | None) -> bytes:
        """With identifiers of what is there: the other session, a subscription, a lock."""
        assert self.server is not None
        held = next(iter(self.server.subscriptions.subscriptions), 1)
        lock = next((lock.id for lock in self.server.tree.datastores.partial_locks()), 1)
        for tag, number in (
            (b"id", held),
            (b"lock-id", lock),
            (b"session-id", 4 if other is None else other.session.id),
        ):
            data = re.sub(b"<%b>[14]</%b>" % (tag, tag), b"<%b>%d</%b>" % (tag, number, tag), data)
        return data

    @staticmethod
    def _check_secrets(reply: etree._Element, data: bytes) -> None:
        told = etree.tostring(reply).decode()
        for secret in (element.SECRET, *element.PASSWORDS.values(), *_HASHES.findall(told)):
            # the reply repeats attributes of the request
            assert secret not in told or secret.encode() in data, "a secret was told"


class Streams(Server):
    """Octets of a whole session, from the hello on, cut anywhere; the session ends."""

    async def say(self, data: bytes) -> bool:
        wire = await self.connect()
        session = wire.session
        chance = random.Random(zlib.crc32(data))
        at = 0
        while at < len(data):
            size = chance.choice((1, 3, 50, 500, 5_000))
            session.data_received(data[at : at + size])
            at += size
            await asyncio.sleep(0)
        session.eof_received()
        with contextlib.suppress(asyncio.CancelledError):
            await session.task
        for reply in wire.replies:
            _check(reply)
        assert session.reason, "the session did not end"
        return session.reason != "bad-hello" and session.reason != "other"


class Conversations:
    """Makes whole sessions: a hello, and some messages in the framing that was agreed on, cut into chunks
    of any size; of one in five some octets are others."""

    def __init__(self, seeds: Sequence[bytes], words: Sequence[bytes], generator: random.Random) -> None:
        self._random = generator
        self._shapes = Shapes(REQUESTS, words, generator)
        self._seeds = seeds

    def next(self) -> bytes:
        """The octets of the next session."""
        chance = self._random
        base_11 = chance.random() < 0.7
        private = (CAP_PRIVATE_CANDIDATE,) if chance.random() < 0.4 else ()
        data = _hello(CAP_BASE_11 if base_11 else CAP_BASE_10, *private)
        for _ in range(chance.randrange(1, 8)):
            message = chance.choice(REQUESTS) if chance.random() < 0.4 else self._shapes.next()
            data += self._chunks(message) if base_11 else message + b"]]>]]>"
        if chance.random() < 0.2:
            return Mutator([data, *self._seeds], _DELIMITERS, chance).next()
        return data

    def _chunks(self, message: bytes) -> bytes:
        framed, at = b"", 0
        while at < len(message):
            part = message[at : at + self._random.choice((1, 7, 100, 4_000, 20_000))]
            framed += b"\n#%d\n%b" % (len(part), part)
            at += len(part)
        return framed + b"\n##\n"
