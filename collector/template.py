"""Samples from messages whose layout was seen before: numpy in place of protobuf. No I/O.

A target that samples the same entries again sends messages of the same length in which only numbers differ.
The first such message is read through protobuf and the places of its numbers are learnt; from then on a
message is compared with what was learnt (every octet that is not part of a number must be equal) and all
its numbers are read at once. Whatever does not match goes through protobuf, so no assumption about a
target is needed: a varint of another width changes the length or a continuation bit, and no longer matches.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from collector import decode
from collector.schema import COUNTERS
from telemetry.protocol import gnmi_pb2

COLUMNS = ("tick", *COUNTERS)
SESSION_ID = "S16"
"""How numpy has a session id: that of a SubscriberSession is 16 characters of ASCII."""

_COLUMN = {name.replace("_", "-"): number for number, name in enumerate(COLUMNS)}

MOST_TEMPLATES = 2048
"""Layouts that are remembered per target: at 200 entries each, 400,000 sessions."""

MOST_OCTETS = 64 << 20
"""Octets of the messages that they were learnt from, per target; a layout takes about three times as much."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Counter samples of one message.

    Attributes:
        time_ns: timestamp of the notification.
        sessions: session ids, 16 characters each, as an array of SESSION_ID.
        values: int64, one row per session, columns as COLUMNS.
        skipped: ticks that the target left out before this one, as they were not read in time: its
            `duplicates`.
    """

    time_ns: int
    sessions: np.ndarray
    values: np.ndarray
    skipped: int = 0

    @property
    def tick(self) -> int:
        """The newest tick among the rows."""
        return int(self.values[:, 0].max())


def newest(ticks: Sequence[Samples]) -> list[Samples]:
    """Of each session its last row, in pieces by tick, the newest tick first."""
    found = [ticks[-1]]
    for tick in reversed(ticks[:-1]):
        # mostly the sessions are the same, in the same order; who is in no later tick has ended meanwhile
        if np.array_equal(tick.sessions, found[0].sessions):
            continue
        rest = ~np.isin(tick.sessions, np.concatenate([later.sessions for later in found]))
        if rest.any():
            found.append(Samples(tick.time_ns, tick.sessions[rest], tick.values[rest]))
    return found


class _Mismatch(Exception):
    """The message is not laid out as the fast path expects."""


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """Value and end of a varint. Raises _Mismatch on one of more than ten octets."""
    value = shift = 0
    while shift < 70:
        octet = message[at]
        value |= (octet & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if octet < 0x80:
            return value, at
    raise _Mismatch


def _fields(message: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Fields of a message: number, begin and end of the content. Raises _Mismatch on other wire types."""
    while at < end:
        key, at = _varint(message, at)
        if key & 7 == 2:
            length, begin = _varint(message, at)
            at = begin + length
        elif key & 7 == 0:
            begin, (_, at) = at, _varint(message, at)
        else:
            raise _Mismatch
        yield key >> 3, begin, at


def _spans(message: bytes) -> tuple[tuple[int, int], list[tuple[int, int]], list[tuple[int, int]]]:
    """Where in a SubscribeResponse are: its timestamp, the uint_val of each update, each `duplicates`."""
    time: tuple[int, int] | None = None
    values: list[tuple[int, int]] = []
    duplicates: list[tuple[int, int]] = []
    for number, begin, end in _fields(message, 0, len(message)):
        if number != 1:
            raise _Mismatch
        for inner, inner_begin, inner_end in _fields(message, begin, end):
            if inner == 1:
                time = inner_begin, inner_end
            elif inner == 4:
                values.append(_update(message, inner_begin, inner_end, duplicates))
    if time is None:
        raise _Mismatch
    return time, values, duplicates


def _update(message: bytes, at: int, end: int, duplicates: list[tuple[int, int]]) -> tuple[int, int]:
    """Where the uint_val of an update is. Written out, as a fleet that is new has a million of them."""
    value: tuple[int, int] | None = None
    while at < end:
        key, length, begin = message[at], message[at + 1], at + 2
        if length >= 0x80:
            length, begin = _varint(message, at + 1)
        if key == 0x20:  # duplicates
            duplicates.append((at + 1, begin))
            at = begin
            continue
        if key & 0x87 != 2:
            raise _Mismatch
        at = begin + length
        if key == 0x1A:  # val, which is to be one varint: `Template.read` looks at its octets
            if message[begin] != 0x18:
                raise _Mismatch
            value = begin + 1, at
    if value is None:
        raise _Mismatch
    return value


def _parsed(message: bytes) -> gnmi_pb2.Notification:
    try:
        notification: gnmi_pb2.Notification = gnmi_pb2.SubscribeResponse.FromString(message).update
    except Exception as error:  # protobuf's own DecodeError has no stable place
        raise decode.DecodeError(f"not a SubscribeResponse: {error}") from None
    return notification


def _is_session(element: gnmi_pb2.PathElem) -> bool:
    return element.name in ("session", "aether-subscriber:session")


class Template:
    """What was learnt from one message. Raises _Mismatch when it is not one of full counter samples."""

    def __init__(self, message: bytes) -> None:
        time, values, duplicates = _spans(message)
        updates = _parsed(message)
        base = next((e.key["id"] for e in updates.prefix.elem if _is_session(e)), "")
        rows: dict[str, int] = {}
        places = np.empty((len(values), 2), np.int64)
        for number, update in enumerate(updates.update):
            elements = update.path.elem
            session = next((e.key["id"] for e in elements if _is_session(e)), base)
            column = _COLUMN.get(elements[-1].name.rpartition(":")[2])
            if column is None or not decode.is_session(session):
                raise _Mismatch
            places[number] = rows.setdefault(session, len(rows)), column
        numbers = places[:, 0] * len(COLUMNS) + places[:, 1]
        if not rows or len(updates.update) != len(values):
            raise _Mismatch
        # one that is there twice stands for another one that is not: each place exactly once
        if not np.array_equal(np.sort(numbers), np.arange(len(rows) * len(COLUMNS))):
            raise _Mismatch
        self.sessions = np.array(list(rows), SESSION_ID)
        self._time = time
        self._duplicates = duplicates[0] if duplicates else None
        self._size = len(message)
        keep = np.full(self._size, 0xFF, np.uint8)
        for begin, end in (time, *values, *duplicates):
            keep[begin:end] = 0
        self._keep = _words(keep.tobytes())
        self._fixed = _words(message) & self._keep
        self._groups = list(self._by_width(values, numbers))

    def _by_width(
        self, values: Sequence[tuple[int, int]], places: np.ndarray
    ) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Width of varints, where they begin in the message, and where they belong in the values."""
        spans = np.array(values, np.int64)
        widths = spans[:, 1] - spans[:, 0]
        for width in np.unique(widths):
            chosen = widths == width
            if width > 10:
                raise _Mismatch
            yield int(width), spans[chosen, 0], places[chosen]

    def read(self, message: bytes) -> Samples | None:
        """The samples of a message of this layout, None when it is of another."""
        if len(message) != self._size:
            return None
        words = _words(message)
        if not np.array_equal(words & self._keep, self._fixed):
            return None
        values = np.empty(len(self.sessions) * len(COLUMNS), np.uint64)
        for width, begins, places in self._groups:
            numbers = _varints(words, begins, width)
            if numbers is None:
                return None
            values[places] = numbers
        if values.max() > decode.MAX_BIGINT:
            raise decode.DecodeError("a counter does not fit into a bigint")
        time_ns = _number(message, self._time)
        skipped = _number(message, self._duplicates) if self._duplicates else 0
        if time_ns is None or skipped is None:
            return None
        return Samples(time_ns, self.sessions, values.view(np.int64).reshape(-1, len(COLUMNS)), skipped)


def _number(message: bytes, span: tuple[int, int]) -> int | None:
    """The varint that begins and ends there, None if it does not."""
    try:
        value, end = _varint(message, span[0])
    except (_Mismatch, IndexError):
        return None
    return value if end == span[1] else None


def _words(message: bytes) -> np.ndarray:
    """A message as words of eight octets, with at least one word of zeros after its end."""
    return np.frombuffer(message + bytes(16 - len(message) % 8), "<u8")


def _varints(words: np.ndarray, begins: np.ndarray, width: int) -> np.ndarray | None:
    """The varints of `width` octets that begin at these octets; None if one has another width."""
    octets = words.size * 8
    low: np.ndarray = np.ndarray((octets - 7,), "<u8", words, 0, (1,))[begins]
    if width < 8:
        low &= np.uint64((1 << 8 * width) - 1)
    continued = 0x8080808080808080 & ((1 << 8 * min(8, width - 1)) - 1)
    if ((low & np.uint64(0x8080808080808080)) != np.uint64(continued)).any():
        return None
    # the inverse of `telemetry.encoder.spread`: ever larger groups of bits are moved together
    word = np.uint64
    low = (low & word(0x7F007F007F007F00)) >> word(1) | low & word(0x007F007F007F007F)
    low = (low & word(0x3FFF00003FFF0000)) >> word(2) | low & word(0x00003FFF00003FFF)
    low = (low & word(0x0FFFFFFF00000000)) >> word(4) | low & word(0x0FFFFFFF)
    if width > 8:
        high = np.ndarray((octets - 1,), "<u2", words, 0, (1,))[begins + 8].astype(word)
        if width == 9:
            high &= word(0xFF)
        if ((high & word(0x8080)) != word(0x80 * (width - 9))).any():
            return None
        low |= (high & word(0x7F)) << word(56) | (high >> word(8)) << word(63)
    return low


def _key(message: bytes) -> tuple[int, bytes]:
    """What tells layouts apart: the size, and the first session id, by which blocks of one list differ."""
    at = message.find(b"\x0a\x02id\x12\x10")
    return len(message), message[at + 6 : at + 22] if at >= 0 else b""


class Reader:
    """Reads samples; learns layouts as they come, and forgets the ones not seen for longest.

    Attributes:
        learnt: layouts that were learnt.
        known: whether the last message had a layout that was learnt before; one that had not takes long.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[int, bytes], Template | None] = OrderedDict()
        self._octets = 0
        self.learnt = 0
        self.known = False

    def knows(self, message: bytes) -> bool:
        """Whether a message seems to have a layout that was learnt: then it is read in a moment."""
        return self._known.get(_key(message)) is not None

    def read(self, message: bytes) -> Samples | None:
        """Samples of a SubscribeResponse; None when it carries none. Raises DecodeError."""
        key = _key(message)
        template = self._known.get(key)
        found = template.read(message) if template else None
        self.known = found is not None
        if found is None:
            if key not in self._known or template is not None:
                template = self._learn(key, message)
                found = template.read(message) if template else None
            return found or self._slow(message)
        self._known.move_to_end(key)
        return found

    def _learn(self, key: tuple[int, bytes], message: bytes) -> Template | None:
        learnt: Template | None = None
        with suppress(_Mismatch, IndexError):
            learnt = Template(message)
            self.learnt += 1
        if key not in self._known:
            self._octets += len(message)
        self._known[key] = learnt
        while len(self._known) > MOST_TEMPLATES or self._octets > MOST_OCTETS:
            (length, _), _ = self._known.popitem(last=False)
            self._octets -= length
        return learnt

    @staticmethod
    def _slow(message: bytes) -> Samples | None:
        update = _parsed(message)
        rows = {session: (tick, *values) for session, tick, values in decode.samples(update)}
        if not rows:
            return None
        sessions = np.array(list(rows), SESSION_ID)
        skipped = update.update[0].duplicates
        return Samples(update.timestamp, sessions, np.array(list(rows.values()), np.int64), skipped)
