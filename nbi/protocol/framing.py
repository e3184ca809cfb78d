"""Framing of NETCONF messages over a byte stream (RFC 6242 section 4).

Base 1.0 ends each message with ``]]>]]>``. Base 1.1 cuts it into chunks:
``\\n#<size>\\n<octets>`` … ``\\n##\\n``.
"""

from __future__ import annotations

import re

END_OF_MESSAGE = b"]]>]]>"
END_OF_CHUNKS = b"\n##\n"
MAX_CHUNK = 65536 - len(b"\n#65528\n")
"""Largest chunk we write: clients that search a chunk again at every read are slow on larger ones. With its
header it fills two SSH packets of the size that OpenSSH takes."""

_MAX_HEADER = len(b"\n#4294967295\n")
_CHUNK_HEADER = re.compile(rb"\n#(?:([1-9][0-9]{0,9})|(#))\n")
_MAX_CHUNK_SIZE = 4294967295
_HEADER_PREFIX = re.compile(rb"\n(?:#(?:#|[1-9][0-9]{0,9})?)?")


class FramingError(Exception):
    """The byte stream can no longer be cut into messages: the session has to end."""


class MessageTooBig(FramingError):
    """A message grew past the limit; what follows of it is not read."""


class Deframer:
    """Cuts a byte stream into messages; starts as base 1.0.

    Args:
        max_message: largest accepted message in octets, framing excluded.
    """

    def __init__(self, max_message: int) -> None:
        self.max_message = max_message
        self._buffer = bytearray()
        self._message = bytearray()
        self._chunked = False
        self._scanned = 0
        self._chunk_left = 0

    @property
    def buffered(self) -> int:
        """Octets held that no returned message contained."""
        return len(self._buffer) + len(self._message)

    def use_chunks(self) -> None:
        """From the next octet on, the stream is in base 1.1 framing."""
        self._chunked = True
        self._scanned = 0

    def feed(self, data: bytes) -> None:
        """Take what the transport received."""
        self._buffer += data

    def next_message(self) -> bytes | None:
        """The next whole message, or None until more octets are fed.

        Raises:
            FramingError: a chunk header is malformed.
            MessageTooBig: the message exceeds the limit.
        """
        return self._next_chunked() if self._chunked else self._next_delimited()

    def _next_delimited(self) -> bytes | None:
        # A delimiter may have begun in what was scanned before.
        start = max(0, self._scanned - len(END_OF_MESSAGE) + 1)
        end = self._buffer.find(END_OF_MESSAGE, start)
        if end < 0:
            self._scanned = len(self._buffer)
            if self._scanned > self.max_message + len(END_OF_MESSAGE):
                raise MessageTooBig(self._too_big())
            return None
        if end > self.max_message:
            raise MessageTooBig(self._too_big())
        message = bytes(self._buffer[:end])
        del self._buffer[: end + len(END_OF_MESSAGE)]
        self._scanned = 0
        return message

    def _next_chunked(self) -> bytes | None:
        while True:
            if self._chunk_left:
                taken = self._buffer[: self._chunk_left]
                self._message += taken
                self._chunk_left -= len(taken)
                del self._buffer[: len(taken)]
                if self._chunk_left:
                    return None
            size = self._read_header()
            if size is None:
                return None
            if size == 0:
                message = bytes(self._message)
                self._message.clear()
                return message
            self._chunk_left = size

    def _read_header(self) -> int | None:
        """Size of the chunk that begins here, 0 at the end of a message, None if the header is cut off."""
        header = _CHUNK_HEADER.match(self._buffer)
        if header is None:
            head = bytes(self._buffer[:_MAX_HEADER])
            if not head or (len(head) < _MAX_HEADER and _HEADER_PREFIX.fullmatch(head)):
                return None
            raise FramingError("a chunk header must be '\\n#<1 to 4294967295>\\n' or '\\n##\\n'")
        if header[2]:
            if not self._message:
                raise FramingError("a message must have at least one chunk")
            del self._buffer[: header.end()]
            return 0
        size = int(header[1])
        if size > _MAX_CHUNK_SIZE:
            raise FramingError(f"chunk size {size} is larger than {_MAX_CHUNK_SIZE}")
        if len(self._message) + size > self.max_message:
            raise MessageTooBig(self._too_big())
        del self._buffer[: header.end()]
        return size

    def _too_big(self) -> str:
        return f"the message is larger than the {self.max_message} octets that this server accepts"


class Framer:
    """Writes messages in the framing that both sides agreed on; starts as base 1.0."""

    def __init__(self) -> None:
        self._chunked = False

    def use_chunks(self) -> None:
        """From the next message on, write base 1.1 framing."""
        self._chunked = True

    def part(self, data: bytes | bytearray | memoryview) -> bytes:
        """The next part of a message, framed; empty for empty data."""
        if not self._chunked:
            return bytes(data)
        if len(data) <= MAX_CHUNK:
            return b"\n#%d\n%b" % (len(data), bytes(data)) if data else b""
        view = memoryview(data)
        return b"".join(self.part(view[at : at + MAX_CHUNK]) for at in range(0, len(view), MAX_CHUNK))

    def end(self) -> bytes:
        """What ends a message."""
        return END_OF_CHUNKS if self._chunked else END_OF_MESSAGE

    def message(self, data: bytes) -> bytes:
        """A whole message, framed."""
        return self.part(data) + self.end()
