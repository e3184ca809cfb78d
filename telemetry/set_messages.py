"""Set's request and response, read and written piece by piece.

A request may have a hundred thousand operations: parsing it, and as many message objects for the answer,
would hold the event loop for a second. Octets of a message may be parsed in parts that end with a field, one
after the other into the same message; and what is written is octets.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import chain, repeat
from typing import Any, Final

from google.protobuf.message import DecodeError

from telemetry.errors import invalid
from telemetry.pace import Pace
from telemetry.protocol import gnmi_pb2 as pb
from telemetry.protocol.wire import LENGTH_DELIMITED, VARINT, delimited, tag, varint
from telemetry.requests import NOT_PROTOBUF

_AT_ONCE: Final = 64 * 1024
"""Octets that are parsed at a time, in about half a millisecond."""
_FIXED: Final = {1: 8, 5: 4}
"""Octets of the wire types of fixed size."""
_LONGEST: Final = 10
"""Octets of a number. Adding up one that never ends would hold the event loop for hours."""


async def read_request(octets: bytes, pace: Pace) -> pb.SetRequest:
    """The message. Raises Refused (INVALID_ARGUMENT): it is none."""
    request = pb.SetRequest()
    start = end = fields = 0
    try:
        while end < len(octets):
            end = _end_of_field(octets, end) if len(octets) - start > _AT_ONCE else len(octets)
            fields += 1
            if end - start >= _AT_ONCE or end == len(octets):
                request.MergeFromString(octets[start:end])
                start = end
                await pace.pause()
            elif fields % 256 == 0:
                await pace.pause()
    except DecodeError:
        raise invalid(NOT_PROTOBUF) from None
    return request


def _end_of_field(octets: bytes, at: int) -> int:
    """Where a field ends that begins at an offset; the end of all when that cannot be told."""
    everything = len(octets)
    try:
        head, at = _varint(octets, at)
        kind = head & 7
        if kind == LENGTH_DELIMITED:
            size, at = _varint(octets, at)
            at += size
        elif kind == VARINT:
            _, at = _varint(octets, at)
        else:
            at += _FIXED.get(kind, everything)
    except IndexError:
        return everything
    return min(at, everything)


def _varint(octets: bytes, at: int) -> tuple[int, int]:
    """A number, and where it ends. Raises IndexError: it does not, or is longer than any."""
    value = 0
    for place in range(_LONGEST):
        octet = octets[at + place]
        value |= (octet & 0x7F) << 7 * place
        if octet < 0x80:
            return value, at + place + 1
    raise IndexError(at)


class Results:
    """What is said of each operation of a request, in the order in which they are carried out."""

    def __init__(self, request: pb.SetRequest) -> None:
        kind = pb.UpdateResult
        self._parts = (
            (kind.DELETE, request.delete),
            (kind.UNION_REPLACE, request.union_replace),
            (kind.REPLACE, request.replace),
            (kind.UPDATE, request.update),
        )

    def __len__(self) -> int:
        return sum(len(part) for _, part in self._parts)

    def __iter__(self) -> Iterator[pb.UpdateResult]:
        return (pb.UpdateResult(path=path, op=op) for op, path in self._paths())

    def __getitem__(self, number: int) -> pb.UpdateResult:
        for op, part in self._parts:
            if number < len(part):
                item = part[number]
                return pb.UpdateResult(path=item if op == pb.UpdateResult.DELETE else item.path, op=op)
            number -= len(part)
        raise IndexError(number)

    def octets(self) -> Iterator[bytes]:
        """SetResponse.response, serialised, one by one."""
        ends = {op: tag(4, VARINT) + varint(op) for op, _ in self._parts}  # UpdateResult.op
        for op, path in self._paths():
            yield delimited(2, delimited(2, path.SerializeToString()) + ends[op])

    def _paths(self) -> Iterator[tuple[pb.UpdateResult.Operation, Any]]:
        return chain.from_iterable(
            zip(repeat(op), part if op == pb.UpdateResult.DELETE else (item.path for item in part))
            for op, part in self._parts
        )


async def response(request: pb.SetRequest, pace: Pace) -> bytes:
    """A serialised SetResponse: all was done."""
    pieces: list[bytes] = []
    if request.HasField("prefix"):
        pieces.append(delimited(1, request.prefix.SerializeToString()))
    some: list[bytes] = []
    for octets in Results(request).octets():
        some.append(octets)
        if len(some) == 256:
            pieces.append(b"".join(some))
            some.clear()
            await pace.pause()
    return b"".join((*pieces, *some, tag(4, VARINT), varint(time.time_ns())))
