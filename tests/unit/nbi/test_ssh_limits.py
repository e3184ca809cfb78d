"""What SSH clients may take: sessions, guesses, connections, time."""

from __future__ import annotations

import asyncio
import itertools
import time

import asyncssh
import pytest

from tests.unit.nbi.ssh_client import NC, connect, logs_in, string

MSG_IGNORE = 2
MSG_USERAUTH_REQUEST = 50


async def test_too_many_sessions_of_a_user_are_refused_with_the_reason(serve, host_key):
    served = await serve(host_key=host_key, max_sessions=4, max_sessions_per_user=2)
    port = served.server.ports[0]
    async with connect(port, password="correct horse") as connection:
        for _ in range(2):
            await connection.create_process(subsystem="netconf", encoding=None)
        with pytest.raises(asyncssh.ChannelOpenError, match="max-sessions-per-user"):
            await connection.create_process(subsystem="netconf", encoding=None)
        async with connect(port, "viewer", password="only looking") as other:
            for _ in range(2):
                await other.create_process(subsystem="netconf", encoding=None)
            with pytest.raises(asyncssh.ChannelOpenError, match=r"max-sessions\)"):
                await other.create_process(subsystem="netconf", encoding=None)


async def test_guesses_that_do_not_wait_for_the_answer_count(serve, host_key):
    """A client that takes its guess back by sending the next one has guessed all the same."""
    served = await serve(host_key=host_key, failure_delay=30.0, max_login_failures=3)
    sent = 0

    class Hasty(asyncssh.SSHClient):
        def connection_made(self, conn):
            self.conn = conn

        def password_auth_requested(self):
            nonlocal sent
            sent += 1
            asyncio.get_running_loop().call_later(0.05, self.again)
            return f"wrong {sent}"

        def again(self):
            self.conn.try_next_auth(next_method=False)

    with pytest.raises((asyncssh.DisconnectError, asyncssh.ConnectionLost), match=r"too many|lost"):
        await connect(served.server.ports[0], client_factory=Hasty, preferred_auth="password", password=None)
    assert sent < 20, "some more may be on their way"


async def test_many_user_names_on_one_connection(serve, host_key):
    """Each costs the server more than it costs the client to ask which methods there are for him."""
    served = await serve(host_key=host_key, max_login_failures=3)

    class Asking(asyncssh.SSHClient):
        task = None

        def connection_made(self, conn):
            self.conn = conn

        async def password_auth_requested(self):
            self.task = self.task or asyncio.ensure_future(self.ask())
            await asyncio.Event().wait()

        async def ask(self):
            for number in range(20):
                texts = (f"user{number}", "ssh-connection", "none")
                self.conn.send_packet(MSG_USERAUTH_REQUEST, *(string(text.encode()) for text in texts))
                await asyncio.sleep(0.01)

    with pytest.raises(asyncssh.DisconnectError, match="too many authentication failures"):
        await connect(served.server.ports[0], client_factory=Asking)


async def test_wrong_passwords_are_answered_later_and_later(serve, host_key):
    served = await serve(host_key=host_key, failure_delay=0.05, max_login_failures=4)
    times = []

    class Guesser(asyncssh.SSHClient):
        def password_auth_requested(self):
            times.append(time.monotonic())
            return "wrong"

    with pytest.raises(asyncssh.DisconnectError, match="too many authentication failures"):
        await connect(served.server.ports[0], client_factory=Guesser)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert len(times) == 4
    assert all(gap >= 0.05 * number for number, gap in enumerate(gaps, start=1)), gaps


async def test_strangers_that_say_nothing_are_bounded_and_dismissed(serve, host_key):
    served = await serve(host_key=host_key, max_logins_per_peer=3, login_timeout=2)
    port = served.server.ports[0]
    silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(4)]
    answers = [await asyncio.wait_for(reader.read(), 30) for reader, _ in silent]
    assert [answer.startswith(b"SSH-2.0-") for answer in answers] == [True, True, True, False]
    for _, writer in silent:
        writer.close()
    served.limit(login_timeout=30)
    assert await logs_in(port, password="correct horse")


async def test_no_packet_is_sent_for_nothing(serve, host_key):
    """asyncssh's padding before each packet is kept back: a reply is one packet."""
    served = await serve(host_key=host_key)
    async with connect(served.server.ports[0], password="correct horse") as connection:
        process = await connection.create_process(subsystem="netconf", encoding=None)
        await process.stdout.readuntil(b"]]>]]>")
        ignored: list[int] = []
        connection._packet_handlers = dict(connection._packet_handlers)
        connection._packet_handlers[MSG_IGNORE] = lambda *packet: ignored.append(1) or True
        capability = "<capability>urn:ietf:params:netconf:base:1.0</capability>"
        get = f"<rpc xmlns='{NC}' message-id='1'><get><filter/></get></rpc>]]>]]>"
        hello = f"<hello xmlns='{NC}'><capabilities>{capability}</capabilities></hello>]]>]]>"
        process.stdin.write((hello + get * 3).encode())
        for _ in range(3):
            await process.stdout.readuntil(b"]]>]]>")
        assert not ignored


async def test_an_idle_session_ends_but_not_a_subscriber(serve):
    served = await serve()
    idle, subscriber = await served.client(), await served.client()
    await subscriber.ok("<create-subscription xmlns='urn:ietf:params:xml:ns:netconf:notification:1.0'/>")
    served.limit(idle_timeout=0.1)
    for client in (idle, subscriber):
        await client.ok("<discard-changes/>")  # from now on it waits for the next request for so long
    assert await idle.ended()
    assert subscriber.session_id in served.server.sessions
    ended = await subscriber.notification()
    assert ended.findtext(".//{*}termination-reason") == "timeout"
