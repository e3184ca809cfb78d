"""Call home: the element dials, and is the server all the same."""

from __future__ import annotations

import asyncio
import threading

import asyncssh
import pytest
from ncclient import manager

from nbi.callhome import CallHome, Client, Endpoint
from tests.support.ports import free_port
from tests.support.waiting import until

TIMEOUT = 20


def client(*ports: int, name: str = "oss", **options: float) -> Client:
    endpoints = tuple(Endpoint(f"e{port}", "127.0.0.1", port) for port in ports)
    return Client(name, endpoints, **{"min_wait": 0.02, "max_wait": 0.1, **options})


class Caught(asyncssh.SSHClient):
    """The client's side of one connection."""


async def listen(caught: asyncio.Queue, host_key=None, password: str = "correct horse"):
    """asyncssh as a client that is called."""
    known = ([host_key.convert_to_public()], [], []) if host_key is not None else None

    async def arrived(connection: asyncssh.SSHClientConnection) -> None:
        await caught.put(connection)

    def accept(connection: asyncssh.SSHClientConnection) -> None:
        accepting.append(asyncio.ensure_future(arrived(connection)))

    accepting: list[asyncio.Future] = []
    return await asyncssh.listen_reverse(
        "127.0.0.1",
        0,
        acceptor=accept,
        username="admin",
        password=password,
        known_hosts=known,
        client_keys=None,
        config=None,
    )


@pytest.fixture
async def dialling(serve, host_key):
    """The calls of a server, and it."""
    served = await serve(host_key=host_key, failure_delay=0.0)
    return served.server.call_home, served


def state(home: CallHome, name: str = "oss"):
    return home.states[name]


async def greeting(connection: asyncssh.SSHClientConnection) -> bytes:
    process = await connection.create_process(subsystem="netconf", encoding=None)
    return await process.stdout.readuntil(b"]]>]]>")


async def test_it_calls_and_calls_again_after_each_session(dialling, host_key):
    home, served = dialling
    caught: asyncio.Queue = asyncio.Queue()
    listener = await listen(caught, asyncssh.read_private_key(host_key))
    await home.configure([client(listener.get_port())])
    for number in (1, 2):
        connection = await asyncio.wait_for(caught.get(), TIMEOUT)
        assert b"<session-id>" in await greeting(connection)
        assert state(home).status == "connected"
        assert state(home).attempts == number
        assert state(home).last_connected
        session = next(iter(served.server.sessions.values()))
        assert session.info.peer == "127.0.0.1"
        connection.close()
    assert state(home).failures == 0
    # who is not configured any more is not called any more
    connection = await asyncio.wait_for(caught.get(), TIMEOUT)
    await greeting(connection)
    await home.configure([])
    await asyncio.wait_for(connection.wait_closed(), TIMEOUT)
    assert not home.states
    listener.close()


async def test_an_unchanged_client_keeps_its_connection(dialling):
    home, _ = dialling
    caught: asyncio.Queue = asyncio.Queue()
    listener = await listen(caught)
    calling = client(listener.get_port())
    await home.configure([calling])
    connection = await asyncio.wait_for(caught.get(), TIMEOUT)
    await greeting(connection)
    await home.configure([calling, client(free_port(), name="other")])
    assert state(home).attempts == 1
    assert not connection.is_closed()
    listener.close()


async def test_the_next_endpoint_is_tried(dialling):
    home, _ = dialling
    caught: asyncio.Queue = asyncio.Queue()
    listener = await listen(caught)
    await home.configure([client(free_port(), listener.get_port())])
    await greeting(await asyncio.wait_for(caught.get(), TIMEOUT))
    assert (state(home).attempts, state(home).failures) == (2, 1)
    assert state(home).endpoint == f"e{listener.get_port()}"
    listener.close()


async def test_the_last_error_is_a_reason_without_numbers(dialling):
    home, _ = dialling
    await home.configure([client(free_port())])
    await until(lambda: state(home).failures >= 1)
    assert state(home).last_error.startswith("Connect"), state(home).last_error


async def test_wrong_password_is_no_way_in(dialling):
    home, _ = dialling
    caught: asyncio.Queue = asyncio.Queue()
    listener = await listen(caught, password="wrong")
    await home.configure([client(listener.get_port())])
    await until(lambda: state(home).failures >= 2)
    assert state(home).last_connected == 0
    assert state(home).last_error
    listener.close()


async def test_peers_that_are_none(dialling):
    """One that says nothing, one that closes, one that talks rubbish, the element itself: each is given up
    after the time for a login, and called less and less often; nobody else notices."""
    home, served = dialling
    served.limit(login_timeout=0.5)

    async def silent(reader, writer):
        await reader.read(-1)

    async def closing(reader, writer):
        writer.close()

    async def rubbish(reader, writer):
        writer.write(b"HTTP/1.1 400 Bad Request\r\n" * 1000)

    servers = [await asyncio.start_server(peer, "127.0.0.1", 0) for peer in (silent, closing, rubbish)]
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    ports.append(served.server.ports[0])
    await home.configure([client(port, name=f"peer{number}") for number, port in enumerate(ports)])
    await until(lambda: all(each.failures >= 2 for each in home.states.values()))
    assert all(each.last_error for each in home.states.values())
    assert len(served.server.admission.connections) <= 1
    for server in servers:
        server.close()
    await home.stop()
    await until(lambda: not served.server.admission.connections)
    assert (
        await (await served.client()).rpc("<get-config><source><running/></source></get-config>")
    ) is not None


async def test_a_client_that_logs_in_and_does_nothing(dialling):
    home, served = dialling
    served.limit(hello_timeout=0.5)
    caught: asyncio.Queue = asyncio.Queue()
    listener = await listen(caught)
    await home.configure([client(listener.get_port())])
    await asyncio.wait_for(caught.get(), TIMEOUT)
    await until(lambda: state(home).failures >= 1)
    assert state(home).last_error == "the client opened no NETCONF session"
    listener.close()


async def test_waiting_doubles_up_to_its_bound(dialling, monkeypatch):
    home, _ = dialling
    waits: list[float] = []
    original = asyncio.sleep

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await original(0)

    monkeypatch.setattr("nbi.callhome.asyncio.sleep", sleep)
    monkeypatch.setattr("yang.calls.random.uniform", lambda low, high: 1.0)
    await home.configure([client(free_port(), min_wait=1, max_wait=10)])
    async with asyncio.timeout(TIMEOUT):
        while len(waits) < 6:
            await original(0.005)
    await home.stop()
    assert [wait for wait in waits if wait >= 1][:6] == [1, 2, 4, 8, 10, 10]


async def test_ncclient_is_called(dialling):
    home, _ = dialling
    port = free_port()
    told: list[str] = []

    def answer() -> None:
        with manager.call_home(
            host="127.0.0.1",
            port=port,
            username="admin",
            password="correct horse",
            hostkey_verify=False,
            allow_agent=False,
            look_for_keys=False,
            timeout=TIMEOUT,
        ) as called:
            told.append(called.get_config(source="running").data_xml)

    thread = threading.Thread(target=answer)
    thread.start()
    await home.configure([client(port)])
    await asyncio.to_thread(thread.join, TIMEOUT)
    assert "bng-01" in told[0]
