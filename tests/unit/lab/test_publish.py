"""Publishing ports: the copy is whole in both directions, and a service that is away is no trouble."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from lab.publish import Forward, Publisher, dump_forwards, listening_socket, load_forwards


@pytest.fixture
async def echo() -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = await reader.read(-1)  # until the client says that it has ended
        writer.write(data[::-1])
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def published(port: int) -> tuple[asyncio.Task[None], int]:
    sock = listening_socket("127.0.0.1", 0)
    forward = Forward("127.0.0.1", 0, "127.0.0.1", port)
    task = asyncio.create_task(Publisher().serve([(sock, forward)]))
    return task, sock.getsockname()[1]


async def test_data_passes_whole_and_so_does_its_end(echo: int) -> None:
    task, port = await published(echo)
    data = bytes(range(256)) * 4096
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    writer.write_eof()
    assert await asyncio.wait_for(reader.read(-1), 10) == data[::-1]
    writer.close()
    task.cancel()


async def test_a_service_that_is_away_closes_the_connection() -> None:
    with listening_socket("127.0.0.1", 0) as unused:
        closed = unused.getsockname()[1]
    task, port = await published(closed)
    for _ in range(3):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await asyncio.wait_for(reader.read(-1), 10) == b""
        writer.close()
    assert not task.done()
    task.cancel()


def test_the_file_goes_round() -> None:
    forwards = [Forward("127.0.0.1", 1, "198.18.0.1", 2)]
    assert load_forwards(dump_forwards("ns", forwards)) == ("ns", forwards)
    with pytest.raises((ValueError, KeyError, TypeError)):
        load_forwards('{"namespace": "x", "forwards": [{"port": 1}]}')
