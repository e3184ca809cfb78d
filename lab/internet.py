"""The host that plays the Internet: HTTP that sends as much as is asked for, and DNS that knows every name.

``python -m lab.internet ADDRESS PORT``: HTTP on ADDRESS:PORT, DNS on ADDRESS:53 over UDP.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import struct
import sys
from collections.abc import AsyncIterator
from ipaddress import IPv4Address
from typing import cast

import structlog

from lab.logs import configure_logging

log = structlog.get_logger()

MAX_SIZE = 10 << 30
"""Octets of the largest download."""

_CHUNK = b"\0" * 65536
_REQUEST_TIMEOUT = 10.0
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_TTL = 60
_TYPE_A = 1
_CLASS_IN = 1


def requested_size(target: str) -> int | None:
    """Octets that a path asks for: ``/10M``, ``/512K``, ``/1000``; None for any other path."""
    match = re.fullmatch(r"/(\d{1,12})([KMG]?)", target)
    if match is None:
        return None
    return min(int(match[1]) * _UNITS[match[2]], MAX_SIZE)


def dns_answer(query: bytes, address: IPv4Address) -> bytes | None:
    """The answer to a query of one question: ``address`` for any name's A, nothing for other types.

    None for what is not such a query (RFC 1035, section 4).
    """
    if len(query) < 12:
        return None
    identity, flags, questions = struct.unpack_from("!HHH", query)
    if flags & 0xF800 or questions != 1:  # an answer, or not a standard query
        return None
    position = 12
    while position < len(query) and query[position] != 0:
        if query[position] > 63:
            return None
        position += query[position] + 1
    end = position + 5
    if end > len(query):
        return None
    kind, class_ = struct.unpack_from("!HH", query, position + 1)
    known = kind == _TYPE_A and class_ == _CLASS_IN
    header = struct.pack("!HHHHHH", identity, 0x8580 | (flags & 0x0100), 1, int(known), 0, 0)
    record = struct.pack("!HHHIH", 0xC00C, _TYPE_A, _CLASS_IN, _TTL, 4) + address.packed if known else b""
    return header + query[12:end] + record


class _Dns(asyncio.DatagramProtocol):
    def __init__(self, address: IPv4Address) -> None:
        self._address = address
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = dns_answer(data, self._address)
        if answer is not None and self._transport is not None:
            self._transport.sendto(answer, addr)


async def _serve_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _REQUEST_TIMEOUT)
        words = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        method, target = (words[0], words[1]) if len(words) == 3 else ("", "")
        async for part in _response(method, target):
            writer.write(part)
            await writer.drain()
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def _response(method: str, target: str) -> AsyncIterator[bytes]:
    if method not in ("GET", "HEAD"):
        yield b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        return
    size = requested_size(target)
    page = b"" if size is not None else b"This is the lab's Internet. /10M sends ten mebioctets.\n"
    length = len(page) if size is None else size
    kind = "text/plain" if size is None else "application/octet-stream"
    yield (
        f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    ).encode()
    if method == "HEAD":
        return
    if size is None:
        yield page
        return
    while size > 0:
        yield _CHUNK[:size]
        size -= len(_CHUNK)


async def serve(address: IPv4Address, port: int) -> None:
    """Serve until SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    server = await asyncio.start_server(_serve_http, str(address), port, limit=16384)
    transport, _ = await loop.create_datagram_endpoint(lambda: _Dns(address), local_addr=(str(address), 53))
    log.info("internet.ready", address=str(address), http_port=port)
    await stop.wait()
    server.close()
    transport.close()


def main() -> int:
    """1 when the address or a port cannot be used."""
    if len(sys.argv) != 3:
        print("usage: python -m lab.internet ADDRESS PORT", file=sys.stderr)
        return 2
    configure_logging()
    try:
        asyncio.run(serve(IPv4Address(sys.argv[1]), int(sys.argv[2])))
    except (OSError, ValueError) as error:
        print(f"the Internet host cannot serve: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
