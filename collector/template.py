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
from dataclasses import dataclass

import numpy as np

from collector import decode
from collector.schema import COUNTERS
from telemetry.protocol import gnmi_pb2

COLUMNS = ("tick", *COUNTERS)
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
        sessions: session ids, 16 characters each.
        values: int64, one row per session, columns as COLUMNS.
    """

    time_ns: int
    sessions: Sequence[str]
    values: np.ndarray


class _Mismatch(Exception):
    """The message is not laid out as the fast path expects."""


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """Value and end of a varint."""
    value = shift = 0
    while True:
        octet = message[at]
        value |= (octet & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if octet < 0x80:
            return value, at


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


def _update(message: bytes, begin: int, end: int, duplicates: list[tuple[int, int]]) -> tuple[int, int]:
    value: tuple[int, int] | None = None
    for number, inner_begin, inner_end in _fields(message, begin, end):
        if number == 3:
            for kind, value_begin, value_end in _fields(message, inner_begin, inner_end):
                if kind != 3:
                    raise _Mismatch
                value = value_begin, value_end
        elif number == 4:
            duplicates.append((inner_begin, inner_end))
    if value is None:
        raise _Mismatch
    return value


class Template:
    """What was learnt from one message. Raises _Mismatch when it is not one of full counter samples."""

    def __init__(self, message: bytes) -> None:
        time, values, duplicates = _spans(message)
        updates = gnmi_pb2.SubscribeResponse.FromString(message).update
        base = decode.steps(updates.prefix)
        rows: dict[str, int] = {}
        places = np.empty((len(values), 2), np.int64)
        for number, update in enumerate(updates.update):
            path = [*base, *decode.steps(update.path)]
            session = next((keys.get("id", "") for name, keys in path if name == "session"), "")
            if len(session) != 16 or path[-1][0] not in _COLUMN:
                raise _Mismatch
            places[number] = rows.setdefault(session, len(rows)), _COLUMN[path[-1][0]]
        if len(values) != len(rows) * len(COLUMNS):
            raise _Mismatch
        self.sessions = list(rows)
        self._time = time
        self._keep = np.full(len(message), 0xFF, np.uint8)
        for begin, end in (time, *values, *duplicates):
            self._keep[begin:end] = 0
        self._fixed = np.frombuffer(message, np.uint8) & self._keep
        self._groups = list(self._by_width(values, places))

    def _by_width(
        self, values: Sequence[tuple[int, int]], places: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        spans = np.array(values, np.int64)
        widths = spans[:, 1] - spans[:, 0]
        for width in np.unique(widths):
            chosen = widths == width
            yield spans[chosen, :1] + np.arange(width), places[chosen, 0], places[chosen, 1]

    def read(self, message: bytes) -> Samples | None:
        """The samples of a message of this layout, None when it is of another."""
        octets = np.frombuffer(message, np.uint8)
        if octets.size != self._fixed.size or not np.array_equal(octets & self._keep, self._fixed):
            return None
        values = np.empty((len(self.sessions), len(COLUMNS)), np.uint64)
        for index, row, column in self._groups:
            varints = octets[index]
            if (varints[:, :-1] < 0x80).any() or (varints[:, -1] >= 0x80).any():
                return None
            total = np.zeros(len(varints), np.uint64)
            for place in range(varints.shape[1]):
                total |= (varints[:, place] & np.uint8(0x7F)).astype(np.uint64) << np.uint64(7 * place)
            values[row, column] = total
        if values.max() > decode.MAX_BIGINT:
            raise decode.DecodeError("a counter does not fit into a bigint")
        time_ns, end = _varint(message, self._time[0])
        return Samples(time_ns, self.sessions, values.astype(np.int64)) if end == self._time[1] else None


class Reader:
    """Reads samples; learns layouts as they come, and forgets the ones not seen for longest."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[int, bytes], Template | None] = OrderedDict()
        self._octets = 0
        self.learnt = 0

    def read(self, message: bytes) -> Samples | None:
        """Samples of a SubscribeResponse; None when it carries none. Raises DecodeError."""
        # the first session id of the message tells the blocks of one list apart
        at = message.find(b"\x0a\x02id\x12\x10")
        key = (len(message), message[at + 6 : at + 22] if at >= 0 else b"")
        template = self._known.get(key)
        found = template.read(message) if template else None
        if found is None:
            found = self._slow(message)
            if key not in self._known or template is not None:
                self._learn(key, message)
        elif len(self._known) > MOST_TEMPLATES // 2:
            self._known.move_to_end(key)
        return found

    def _learn(self, key: tuple[int, bytes], message: bytes) -> None:
        if key not in self._known:
            self._octets += len(message)
        try:
            self._known[key] = Template(message)
            self.learnt += 1
        except (_Mismatch, IndexError):
            self._known[key] = None
        while len(self._known) > MOST_TEMPLATES or self._octets > MOST_OCTETS:
            (length, _), _ = self._known.popitem(last=False)
            self._octets -= length

    @staticmethod
    def _slow(message: bytes) -> Samples | None:
        try:
            response = gnmi_pb2.SubscribeResponse.FromString(message)
        except Exception as error:  # protobuf's own DecodeError has no stable place
            raise decode.DecodeError(f"not a SubscribeResponse: {error}") from None
        rows = {session: (tick, *values) for session, tick, values in decode.samples(response.update)}
        if not rows:
            return None
        return Samples(response.update.timestamp, list(rows), np.array(list(rows.values()), np.int64))
