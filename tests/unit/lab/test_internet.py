"""The host that plays the Internet."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.dns import DNS, DNSQR

from lab.internet import MAX_SIZE, _serve_http, dns_answer, requested_size

ADDRESS = IPv4Address("203.0.113.10")


@pytest.mark.parametrize(
    ("target", "size"),
    [
        ("/0", 0),
        ("/1000", 1000),
        ("/512K", 512 << 10),
        ("/10M", 10 << 20),
        ("/999999999999G", MAX_SIZE),
        ("/", None),
        ("/-1", None),
        ("/1T", None),
        ("/../etc/passwd", None),
        ("10M", None),
    ],
)
def test_size_of_a_path(target: str, size: int | None) -> None:
    assert requested_size(target) == size


def test_every_name_has_the_address() -> None:
    query = bytes(DNS(id=77, rd=1, qd=DNSQR(qname="www.example.com", qtype="A")))
    answer = DNS(dns_answer(query, ADDRESS))
    assert (answer.id, answer.qr, answer.rcode, answer.ancount) == (77, 1, 0, 1)
    assert answer.an[0].rdata == str(ADDRESS) and answer.an[0].rrname == b"www.example.com."


def test_other_types_have_no_record() -> None:
    query = bytes(DNS(id=1, qd=DNSQR(qname="www.example.com", qtype="AAAA")))
    answer = DNS(dns_answer(query, ADDRESS))
    assert (answer.rcode, answer.ancount) == (0, 0)


@given(st.binary(max_size=80))
def test_noise_gets_no_answer_or_a_whole_one(noise: bytes) -> None:
    answer = dns_answer(noise, ADDRESS)
    assert answer is None or (len(answer) >= 12 and answer[:2] == noise[:2])


def test_answers_are_not_answered() -> None:
    query = bytes(DNS(id=1, qr=1, qd=DNSQR(qname="a.b")))
    assert dns_answer(query, ADDRESS) is None
    assert dns_answer(struct.pack("!6H", 1, 0, 1, 0, 0, 0) + b"\xc0\x0c\0\1\0\1", ADDRESS) is None


@pytest.mark.parametrize(
    ("request_", "head", "length"),
    [
        (b"GET /300K HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 200", 300 << 10),
        (b"HEAD /300K HTTP/1.1\r\n\r\n", b"HTTP/1.1 200", 0),
        (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200", 55),
        (b"POST / HTTP/1.1\r\n\r\n", b"HTTP/1.1 405", 0),
        (b"\x00\xff\r\n\r\n", b"HTTP/1.1 405", 0),
    ],
)
async def test_http(request_: bytes, head: bytes, length: int) -> None:
    server = await asyncio.start_server(_serve_http, "127.0.0.1", 0, limit=16384)
    async with server:
        host, port = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(request_)
        answer = await asyncio.wait_for(reader.read(-1), 10)
        writer.close()
    assert answer.startswith(head)
    assert len(answer.partition(b"\r\n\r\n")[2]) == length


async def test_http_head_without_end_is_closed() -> None:
    server = await asyncio.start_server(_serve_http, "127.0.0.1", 0, limit=16384)
    async with server:
        host, port = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"x" * 40000)
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(-1), 10) == b""
        writer.close()
