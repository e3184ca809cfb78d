"""Messages on the bus: what their headers and bodies are. No I/O.

A body is a sequence of gNMI messages as they came (`pack`), or a JSON object. One that is too long for NATS
comes in several messages, its parts.
"""

from __future__ import annotations

import string
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from collector.decode import MAX_BIGINT, DecodeError

BEGIN = "begin"
"""A publisher has taken the BNG over. JSON: owner."""
STATE = "state"
"""What the publisher says of the target. JSON: state, error, owner, and columns of `bngs`."""
EVENTS, CONDITION = "events", "condition"
"""SubscribeResponses."""
SAMPLES = "samples"
"""JSON (stream: one subscription's name; number of the message within it, from 1 on), then
SubscribeResponses."""
BASELINE = "baseline"
"""The journal began anew or no longer holds what follows. JSON (oldest, reason), then Notifications of all
sessions; what belongs to one session may be in several."""
KINDS = (BEGIN, STATE, EVENTS, SAMPLES, CONDITION, BASELINE)

FORMAT = "1"
ID, EXPECTED = "Nats-Msg-Id", "Nats-Expected-Last-Subject-Sequence"
_FORMAT, _KIND, _AFTER, _CURSOR, _PART = (
    *("Aether-Format", "Aether-Kind", "Aether-After", "Aether-Cursor", "Aether-Part"),
)

MOST_NAME = 1024
"""Octets of a BNG's name. One that PostgreSQL cannot keep would stop the leases of all."""

MOST_PARTS = 16_384
"""Parts of a body."""
MOST_WHOLE = 256 << 20
"""Octets of a body, all parts together: a baseline of 400,000 sessions. Who reads holds it all."""
MOST_PACKED = 1 << 20
"""Messages in a body."""
MOST_HEADER = 200
"""Characters of a header: two numbers, or an id."""

_PLAIN = frozenset(string.ascii_letters + string.digits + "-_")
_LENGTH = struct.Struct(">I")


class FormatError(DecodeError):
    """A message of another form than ours, say of a newer version."""


class TooLargeError(ConnectionError):
    """What is to be published is more than a reader takes."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message, or one part of one.

    Attributes:
        kind: one of KINDS.
        id: unique: tenure of the publisher and number within it.
        after: id of the message before it on the subject, empty for the first.
        cursor: seq and time (ns) of the last event that is published, this message included.
        part, parts: which part it is of how many, from 1 on.
        body: its octets.
        seq: number within the stream, 0 while it is not stored.
        time_ns: when the server stored it, by the server's clock.
    """

    kind: str
    id: str
    after: str
    cursor: tuple[int, int]
    body: bytes = b""
    part: int = 1
    parts: int = 1
    seq: int = 0
    time_ns: int = 0

    @property
    def tenure(self) -> str:
        return tenure(self.id)

    def headers(self, expected: int) -> dict[str, str]:
        """What NATS is given: stored only behind the message of number `expected` of this subject."""
        return {
            ID: self.id,
            EXPECTED: str(expected),
            _FORMAT: FORMAT,
            _KIND: self.kind,
            _AFTER: self.after or "-",
            _CURSOR: f"{self.cursor[0]} {self.cursor[1]}",
            _PART: f"{self.part} {self.parts}",
        }


def parse(headers: Mapping[str, str] | None, body: bytes, seq: int, time_ns: int) -> Message:
    """A message as it is stored. Raises FormatError."""
    try:
        if headers is None or headers[_FORMAT] != FORMAT or headers[_KIND] not in KINDS:
            raise FormatError(f"message {seq} of the bus is of a form that this version does not know")
        cursor, (part, parts) = _two(headers[_CURSOR]), _two(headers[_PART])
        after = "" if headers[_AFTER] == "-" else _id(headers[_AFTER])
        if not 1 <= part <= parts <= MOST_PARTS or len(body) > MOST_WHOLE:
            raise ValueError
        return Message(headers[_KIND], _id(headers[ID]), after, cursor, body, part, parts, seq, time_ns)
    except (KeyError, ValueError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"message {seq} of the bus has broken headers") from None


def _two(text: str) -> tuple[int, int]:
    """The numbers of a header, each as PostgreSQL has room for it. Raises ValueError."""
    if len(text) > MOST_HEADER:
        raise ValueError
    first, second = map(int, text.split())
    if not 0 <= first <= MAX_BIGINT or not -MAX_BIGINT <= second <= MAX_BIGINT:
        raise ValueError
    return first, second


def _id(text: str) -> str:
    if not 0 < len(text) <= MOST_HEADER or not text.isascii() or not text.isprintable():
        raise ValueError
    return text


def tenure(identity: str) -> str:
    """The tenure in the id of a message."""
    return identity.rpartition(".")[0]


def token(bng_id: str) -> str:
    """A BNG's name as one token of a subject: what is no letter, digit, - or _ is = and two hex digits."""
    return "".join(chr(octet) if chr(octet) in _PLAIN else f"={octet:02X}" for octet in bng_id.encode())


def is_name(text: str) -> bool:
    """Whether PostgreSQL can keep this as a BNG's name."""
    try:
        return 0 < len(text.encode()) <= MOST_NAME and "\0" not in text
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can have
        return False


def name(of_token: str) -> str:
    """The BNG of a token. Raises ValueError if it is none of `token`."""
    head, *rest = of_token.split("=")
    octets = head.encode() + b"".join(bytes.fromhex(part[:2]) + part[2:].encode() for part in rest)
    found = octets.decode()
    if not is_name(found) or token(found) != of_token:
        raise ValueError(f"no name of a BNG: {of_token[:100]!r}")
    return found


def pack(messages: Sequence[bytes]) -> bytes:
    """Octet strings in one. Raises TooLargeError."""
    if len(messages) > MOST_PACKED:
        raise TooLargeError(f"{len(messages)} messages are too many for one of the bus")
    return b"".join(part for message in messages for part in (_LENGTH.pack(len(message)), message))


def unpack(body: bytes) -> list[bytes]:
    """The octet strings of `pack`. Raises FormatError."""
    found: list[bytes] = []
    at = 0
    while at < len(body):
        if at + _LENGTH.size > len(body):
            raise FormatError("a body on the bus is cut off")
        (length,) = _LENGTH.unpack_from(body, at)
        at += _LENGTH.size
        if at + length > len(body):
            raise FormatError("a body on the bus is cut off")
        if len(found) == MOST_PACKED:
            raise FormatError(f"a body on the bus has more than {MOST_PACKED} messages")
        found.append(body[at : at + length])
        at += length
    return found


def groups(messages: Sequence[bytes], most: int) -> Iterator[Sequence[bytes]]:
    """Messages in order, in groups whose packed form has at most so many octets, or is one message."""
    group: list[bytes] = []
    size = 0
    for message in messages:
        if group and size + _LENGTH.size + len(message) > most:
            yield group
            group, size = [], 0
        group.append(message)
        size += _LENGTH.size + len(message)
    if group:
        yield group


class Assembler:
    """Joins parts. What was not complete when another message began is dropped: its publisher died, and the
    next one goes on from before it."""

    def __init__(self) -> None:
        self._parts: list[Message] = []
        self._octets = 0

    def add(self, message: Message) -> Message | None:
        """The whole message, with the last part's place, when this was its last part. Raises FormatError when
        it is too large."""
        if message.part == 1:
            self._parts, self._octets = [], 0
        elif not self._follows(message):
            self._parts = []
            return None
        self._octets += len(message.body)
        if self._octets > MOST_WHOLE:
            self._parts = []
            raise FormatError(
                f"message {message.seq} of the bus ends one of more than {MOST_WHOLE >> 20} MiB"
            )
        if message.part < message.parts:
            self._parts.append(message)
            return None
        body = b"".join([*(part.body for part in self._parts), message.body])
        self._parts = []
        return Message(
            *(message.kind, message.id, message.after, message.cursor, body),
            seq=message.seq,
            time_ns=message.time_ns,
        )

    def _follows(self, message: Message) -> bool:
        if len(self._parts) != message.part - 1:
            return False
        last = self._parts[-1]
        return (last.id, last.kind, last.parts) == (message.after, message.kind, message.parts)
