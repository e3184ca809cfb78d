"""What one SSH client can make the server hold, beyond its sessions."""

from __future__ import annotations

import asyncio

import asyncssh
import pytest

from nbi.backpressure import MAX_DEFERRED, MAX_UNREAD, Backpressure
from nbi.protocol.names import BASE_NS
from tests.unit.nbi.ssh_client import connect, logs_in

CAPABILITIES = "<capabilities><capability>urn:ietf:params:netconf:base:1.0</capability></capabilities>"
HELLO = f"<hello xmlns='{BASE_NS}'>{CAPABILITIES}</hello>]]>]]>"
GET = f"<rpc xmlns='{BASE_NS}' message-id='1'><get/></rpc>]]>]]>"
PATIENCE = 20


async def until(condition) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.01)


async def session(connection, window: int = 1 << 21):
    process = await connection.create_process(subsystem="netconf", encoding=None, window=window)
    await process.stdout.readuntil(b"]]>]]>")
    return process


def servers_end(served) -> asyncssh.SSHServerConnection:
    (connection,) = served.server.admission.connections
    return connection


async def test_a_client_with_a_large_window_that_does_not_read(serve, host_key):
    """The window is the client's to choose; what waits below it is bounded all the same."""
    served = await serve(sessions=500, host_key=host_key, stall_timeout=0.3)
    async with connect(served.server.ports[0], password="correct horse") as connection:
        process = await session(connection, window=1 << 31)
        own = servers_end(served)
        connection._transport.pause_reading()
        process.stdin.write((HELLO + GET * 100).encode())
        largest = 0

        def ended() -> bool:
            nonlocal largest
            if own._transport is not None:
                largest = max(largest, own._transport.get_write_buffer_size())
            return not served.server.sessions

        await until(ended)
        assert 0 < largest < 1 << 20
        connection.abort()


async def test_a_key_exchange_that_does_not_end(serve, host_key):
    """What would be sent meanwhile is not kept for ever: the session waits, and ends."""
    served = await serve(sessions=500, host_key=host_key, stall_timeout=0.3)
    async with connect(served.server.ports[0], password="correct horse") as connection:
        process = await session(connection, window=1 << 31)
        own = servers_end(served)
        process.stdin.write(HELLO.encode())
        await until(lambda: next(iter(served.server.sessions.values()))._connection.open)
        process.stdin.write((GET * 100).encode())
        own._kex_complete = False  # as of a client that says KEXINIT and nothing more
        largest = 0

        def ended() -> bool:
            nonlocal largest
            largest = max(largest, sum(len(part) for _, parts in own._deferred_packets for part in parts))
            return not served.server.sessions

        await until(ended)
        assert 0 < largest < 1 << 20
        connection.abort()


class Unread:
    """A connection, and its transport, of which nobody reads what they are given."""

    def __init__(self) -> None:
        self._transport = self
        self._deferred_packets: list[object] = []
        self.held = 0
        self.dropped = False

    def send_packet(self, _: int, *args: bytes, handler: object = None) -> None:
        assert handler is None
        self.held += sum(map(len, args))

    def set_write_buffer_limits(self, high: int) -> None:
        assert high < MAX_UNREAD

    def get_write_buffer_size(self) -> int:
        return self.held

    def is_closing(self) -> bool:
        return self.dropped

    def abort(self) -> None:
        self.dropped = True


def test_who_asks_on_and_reads_no_answer_is_dropped():
    """Answers to requests, and to packets that nobody knows, wait for no window; nobody has to log in."""
    connection = Unread()
    Backpressure(connection, "192.0.2.1")
    while not connection.dropped:
        connection.send_packet(3, bytes(100_000))
        assert connection.held <= MAX_UNREAD + 100_000
    assert connection.held > MAX_UNREAD


def test_who_ends_no_key_exchange_is_dropped():
    connection = Unread()
    Backpressure(connection, "192.0.2.1")
    while not connection.dropped:
        connection._deferred_packets.append((99, ()))
        connection.send_packet(99)
    assert len(connection._deferred_packets) == MAX_DEFERRED + 1


async def test_the_environment_of_a_client_is_not_kept(serve, host_key):
    served = await serve(sessions=1, host_key=host_key)
    async with connect(served.server.ports[0], password="correct horse") as connection:
        env = {f"NAME{number}": "x" * 1_000 for number in range(20)}
        process = await connection.create_process(subsystem="netconf", encoding=None, env=env)
        await process.stdout.readuntil(b"]]>]]>")
        (channel,) = servers_end(served)._channels.values()
        assert not channel.get_environment_bytes()


async def test_channels_that_become_no_session_are_closed(serve, host_key):
    served = await serve(sessions=1, host_key=host_key, hello_timeout=0.5)
    async with connect(served.server.ports[0], password="correct horse") as connection:
        used = await session(connection)
        used.stdin.write(HELLO.encode())

        idle = asyncssh.channel.SSHClientChannel(
            connection, connection._loop, "strict", None, "strict", 1 << 21, 1 << 15
        )
        await idle._open(b"session")
        idle._session = asyncssh.SSHClientSession()
        await until(lambda: len(servers_end(served)._channels) == 1)
        assert served.server.sessions, "the session beside it goes on"


async def test_connections_of_a_user_are_bounded(serve, host_key):
    """Those without a session too: they would keep all others out."""
    served = await serve(sessions=1, host_key=host_key, max_sessions=3, max_sessions_per_user=2)
    port = served.server.ports[0]
    async with (
        connect(port, password="correct horse"),
        connect(port, password="correct horse"),
    ):
        with pytest.raises(
            (asyncssh.DisconnectError, asyncssh.ConnectionLost), match=r"max-sessions-per-user|lost"
        ):
            async with connect(port, password="correct horse") as third:
                await third.wait_closed()
                raise asyncssh.ConnectionLost("lost")
        assert len(served.server.admission.connections) == 2
        assert await logs_in(port, "viewer", password="only looking")
