"""Netlink messages and a connection to exchange them with the kernel.

Only what is done per session, or many times, comes this way: classes, map elements, neighbours. The kernel
handles a request while it is being sent, so that all answers are there when `send` returns and nothing here
ever waits.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

Octets: TypeAlias = bytes | bytearray | memoryview

ROUTE = 0
NETFILTER = 12

REQUEST, ACK, ECHO, DUMP = 0x1, 0x4, 0x8, 0x300
REPLACE, EXCL, CREATE = 0x100, 0x200, 0x400

NLMSG_ERROR, NLMSG_DONE = 2, 3

HEADER = struct.Struct("=IHHII")
"""nlmsghdr: length, type, flags, sequence, port."""
_ATTRIBUTE = struct.Struct("=HH")
_STATUS = struct.Struct("=i")
_DONE_SIZE = 20
_NESTED = 0x8000
_TYPE_MASK = 0x3FFF

_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
_SOL_NETLINK, _NETLINK_CAP_ACK = 270, 10

_BUFFER = 4 << 20
_CHUNK_OCTETS = 160_000
_CHUNK_MESSAGES = 128
"""Bounds of what is sent at once: requests must fit into the smallest send buffer that an unprivileged
user may have, and their answers into the smallest receive buffer."""
_READ = 1 << 18

NETFILTER_SUBSYSTEM = 10
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded to four octets."""
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + bytes(-len(value) & 3)


def nested(kind: int, value: bytes) -> bytes:
    """An attribute that holds attributes."""
    return _ATTRIBUTE.pack(4 + len(value), kind | _NESTED) + value


def attributes(data: Octets, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int, int]]:
    """Walk over attributes: (kind, offset of the value, end of the value). Stops at what is malformed."""
    end = len(data) if end is None else end
    while start + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, start)
        if length < 4 or start + length > end:
            return
        yield kind & _TYPE_MASK, start + 4, start + length
        start += (length + 3) & ~3


def attribute_map(data: Octets, start: int = 0, end: int | None = None) -> dict[int, tuple[int, int]]:
    """Attributes by kind: where each value is. Of repeated kinds the last."""
    return {kind: (first, last) for kind, first, last in attributes(data, start, end)}


def messages(data: Octets) -> Iterator[tuple[int, int, int, int]]:
    """Walk over messages: (type, sequence, offset of the payload, end)."""
    at = 0
    while at + 16 <= len(data):
        length, kind, _, sequence, _ = HEADER.unpack_from(data, at)
        if length < 16 or at + length > len(data):
            return
        yield kind, sequence, at + 16, at + length
        at += (length + 3) & ~3


@dataclass(frozen=True, slots=True)
class Message:
    """A request: its type, its flags besides REQUEST and ACK, its payload."""

    kind: int
    flags: int
    payload: bytes


@dataclass(slots=True)
class Replies:
    """What came back.

    Attributes:
        errors: number of the message in the request → errno.
        data: the other messages, as they came.
        order: sequence number of the first message: sequence - order is the number in the request.
    """

    errors: dict[int, int] = field(default_factory=dict)
    data: bytearray = field(default_factory=bytearray)
    order: int = 0


class Connection:
    """A netlink socket in the network namespace that the caller is in. Not for two threads at a time."""

    def __init__(self, protocol: int) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._socket.bind((0, 0))
        for forced, plain in ((_SO_SNDBUFFORCE, socket.SO_SNDBUF), (_SO_RCVBUFFORCE, socket.SO_RCVBUF)):
            try:
                self._socket.setsockopt(socket.SOL_SOCKET, forced, _BUFFER)
            except OSError:
                self._socket.setsockopt(socket.SOL_SOCKET, plain, _BUFFER)
        with contextlib.suppress(OSError):
            self._socket.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
        self._sequence = 0
        self._buffer = bytearray(_READ)
        self._view = memoryview(self._buffer)

    def close(self) -> None:
        self._socket.close()

    def request(self, requests: Sequence[Message]) -> Replies:
        """Carry requests out one after the other; the fault of one does not stop the others."""
        replies = Replies(order=self._sequence + 1)
        at = 0
        while at < len(requests):
            parts: list[bytes] = []
            size, first = 0, self._sequence + 1
            while at < len(requests) and len(parts) < _CHUNK_MESSAGES and size < _CHUNK_OCTETS:
                parts.append(self._encode(requests[at], 0))
                size += len(parts[-1])
                at += 1
            # Errors come unasked; the last one's acknowledgement tells that the kernel got to the end.
            kind, flags = struct.unpack_from("=HH", parts[-1], 4)
            parts[-1] = parts[-1][:4] + struct.pack("=HH", kind, flags | ACK) + parts[-1][8:]
            self._exchange(b"".join(parts), first, replies)
        return replies

    def one(self, request: Message) -> bytearray:
        """Carry one request out. Raises OSError."""
        replies = self.request([request])
        _raise(replies.errors.get(0, 0))
        return replies.data

    def transaction(self, requests: Sequence[Message]) -> Replies:
        """Carry nftables requests out, all or none. Errors are those of the messages at fault; number -1
        stands for the transaction as a whole."""
        if not requests:
            return Replies()
        self._sequence += 1
        begin = self._sequence
        replies = Replies(order=begin + 1)
        edge = struct.pack("=BBH", 0, 0, socket.htons(NETFILTER_SUBSYSTEM))
        parts = [HEADER.pack(16 + len(edge), _BATCH_BEGIN, REQUEST, begin, 0) + edge]
        last = len(requests) - 1
        parts += [self._encode(request, ACK if at == last else 0) for at, request in enumerate(requests)]
        self._sequence += 1
        parts.append(HEADER.pack(16 + len(edge), _BATCH_END, REQUEST, self._sequence, 0) + edge)
        self._exchange(b"".join(parts), begin, replies)
        return replies

    def dump(self, kind: int, payload: bytes) -> bytearray:
        """Read all of a table, as messages one after the other. Raises OSError. What changes meanwhile may be
        missing or appear twice."""
        data = bytearray()
        for part in self.walk(kind, payload):
            data += part
        return data

    def walk(self, kind: int, payload: bytes) -> Iterator[memoryview]:
        """The same, some messages at a time; each part is good until the next is asked for, and all must be
        asked for."""
        self._sequence += 1
        self._socket.send(HEADER.pack(16 + len(payload), kind, REQUEST | DUMP, self._sequence, 0) + payload)
        while True:
            size = self._socket.recv_into(self._buffer)
            _, kind, _, sequence, _ = HEADER.unpack_from(self._buffer, 0)
            if sequence != self._sequence:
                continue
            if kind == NLMSG_ERROR:
                _raise(-_STATUS.unpack_from(self._buffer, 16)[0])
            yield self._view[:size]
            if self._is_end(size):
                _raise(-_STATUS.unpack_from(self._buffer, size - 4)[0])
                return

    def _is_end(self, size: int) -> bool:
        """Whether the last message of the datagram in the buffer is NLMSG_DONE."""
        length, kind, _, sequence, _ = HEADER.unpack_from(self._buffer, size - _DONE_SIZE)
        if (length, kind, sequence) != (_DONE_SIZE, NLMSG_DONE, self._sequence):
            return False
        # It looks like one; it is one if a message begins there.
        return any(start - 16 == size - _DONE_SIZE for _, _, start, _ in messages(self._view[:size]))

    def _encode(self, request: Message, extra: int) -> bytes:
        self._sequence += 1
        return (
            HEADER.pack(
                16 + len(request.payload), request.kind, REQUEST | request.flags | extra, self._sequence, 0
            )
            + request.payload
        )

    def _exchange(self, data: bytes, first: int, replies: Replies) -> None:
        """Send, then collect what the kernel has answered meanwhile. `first` is the sequence number of the
        first message: what answers an older one is skipped."""
        self._socket.send(data)
        acknowledged = lost = False
        while True:
            try:
                size = self._socket.recv_into(self._buffer, 0, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            except OSError as fault:
                if fault.errno != errno.ENOBUFS:
                    raise
                lost = True
                continue
            _, kind, _, sequence, _ = HEADER.unpack_from(self._buffer, 0)
            if sequence < first:
                continue
            if kind == NLMSG_ERROR:
                acknowledged = True
                code = -_STATUS.unpack_from(self._buffer, 16)[0]
                if code:
                    replies.errors.setdefault(sequence - replies.order, code)
            else:
                replies.data += self._view[:size]
        if lost:
            _raise(errno.ENOBUFS)
        if not acknowledged:
            raise OSError(errno.EIO, "the kernel did not answer a netlink request")


def _raise(code: int) -> None:
    if code:
        raise OSError(code, os.strerror(code))
