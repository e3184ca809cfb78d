"""The socket of dynamic authorization, on loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from bng.aaa import coa_shell
from bng.aaa.coa_request import Nas
from bng.aaa.coa_settings import CoaClient, CoaSettings, parse
from bng.aaa.coa_shell import CoaShell
from bng.codec import radius
from bng.codec.radius import Code, RadiusPacket
from bng.session.events import Event
from tests.unit.bng.aaa.coa_bench import SECRET, SESSION, request
from yang.provider import OperationError

SETTINGS = CoaSettings(port=0, clients=(CoaClient("local", "127.0.0.1", SECRET),))
NAS = Nas("bng-01", "127.0.0.1")


class Bench:
    """A server whose commands end as `error` says, once `gate` is open."""

    def __init__(self) -> None:
        self.shell = CoaShell(self.carry)
        self.events: list[Event] = []
        self.error: OperationError | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.client.bind(("127.0.0.1", 0))
        self.client.setblocking(False)

    async def carry(self, make: Callable[[int], Event]) -> None:
        self.events.append(make(len(self.events) + 1))
        await self.gate.wait()
        if self.error is not None:
            raise self.error

    def listen(self, interface: str | None = "lo", address: str | None = "127.0.0.1") -> None:
        self.shell.configure(SETTINGS, NAS, interface, address)

    @property
    def address(self) -> Any:
        assert self.shell._socket is not None
        return self.shell._socket.getsockname()

    async def ask(self, data: bytes) -> RadiusPacket:
        self.client.sendto(data, self.address)
        answer = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.client, 4096), 10)
        return radius.verify_response(answer, data[4:20], SECRET, demand_message_authenticator=True)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    made.shell.close()
    made.client.close()


async def test_requests_are_carried_out_and_answered(bench: Bench) -> None:
    bench.listen()
    assert (await bench.ask(request(40, SESSION))).code == Code.DISCONNECT_ACK
    assert (await bench.ask(request(43, SESSION, ("Filter-Id", "gold")))).code == Code.COA_ACK
    assert (await bench.ask(request(43, SESSION, identifier=2))).code == Code.COA_NAK
    assert [event.token for event in bench.events] == [1, 2]  # type: ignore[union-attr]
    bench.error = OperationError("data-missing", "no session matches")
    assert (await bench.ask(request(40, SESSION, identifier=3))).code == Code.DISCONNECT_NAK
    assert bench.shell.statistics() == {
        "listening": True,
        "unknown_clients": 0,
        "client": [
            {
                "name": "local",
                "disconnect_requests": 2,
                "coa_requests": 2,
                "acks": 2,
                "naks": 2,
                "duplicates": 0,
                "discards": 0,
            }
        ],
    }


async def test_the_answer_waits_for_the_deed(bench: Bench) -> None:
    bench.listen()
    bench.gate.clear()
    asking = asyncio.ensure_future(bench.ask(request(40, SESSION)))
    while not bench.events:
        await asyncio.sleep(0.001)
    assert not asking.done()
    bench.gate.set()
    assert (await asking).code == Code.DISCONNECT_ACK


async def test_a_flood_is_read_in_portions(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coa_shell, "_PER_WAKE", 4)
    bench.listen()
    bad = request(40, SESSION, secret=b"guessed")
    for _ in range(20):
        bench.client.sendto(bad, bench.address)
    bench.shell._drain()
    (client,) = bench.shell.protocol.clients
    assert sum(client.discards.values()) == 4
    assert bench.shell._resume is not None, "the loop has its turn before more is read"
    assert (await bench.ask(request(40, SESSION))).code == Code.DISCONNECT_ACK
    assert client.discards == {"wrong Request-Authenticator": 20}
    for _ in range(8):
        bench.client.sendto(bad, bench.address)
    bench.shell._drain()
    bench.listen(None)  # while it rests
    assert bench.shell._resume is None


async def test_it_follows_the_uplink(bench: Bench) -> None:
    assert not bench.shell.listening
    bench.listen(None, None)
    assert not bench.shell.listening
    bench.listen("no-such-link", "127.0.0.1")
    assert not bench.shell.listening
    bench.listen("lo", "192.0.2.77")  # not ours, yet
    bench.shell.follow()
    assert not bench.shell.listening
    bench.listen()
    before = bench.address
    bench.shell.follow()
    assert bench.address == before, "nothing has changed"
    bench.listen("lo", "127.0.0.2")
    assert bench.address[0] == "127.0.0.2"
    bench.shell.configure(replace(SETTINGS, enabled=False), NAS, "lo", "127.0.0.1")
    assert not bench.shell.listening
    bench.shell.configure(replace(SETTINGS, clients=()), NAS, "lo", "127.0.0.1")
    assert not bench.shell.listening


async def test_an_interface_that_was_made_anew(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the same name and address, and another index: the socket of the old one would hear nothing."""
    bench.listen()
    before = bench.shell._socket
    monkeypatch.setattr(socket, "if_nametoindex", lambda name: 77)
    bench.shell.follow()
    assert bench.shell.listening
    assert bench.shell._socket is not before


async def test_who_went_away_meanwhile(bench: Bench) -> None:
    """Closed before the deed is done: nobody can be answered, nothing fails."""
    bench.listen()
    bench.gate.clear()
    bench.client.sendto(request(40, SESSION), bench.address)
    while not bench.events:
        await asyncio.sleep(0.001)
    bench.listen(None)
    bench.gate.set()
    while bench.shell._commands:
        await asyncio.sleep(0.001)
    assert next(bench.shell.protocol.clients).acks == 1
    bench.listen()
    bench.gate.clear()
    bench.client.sendto(request(40, SESSION, identifier=2), bench.address)
    while len(bench.events) < 2:
        await asyncio.sleep(0.001)
    bench.shell.close()
    while bench.shell._commands:
        await asyncio.sleep(0.001)


async def test_what_the_network_refuses_is_lost(bench: Bench) -> None:
    bench.listen()
    bench.shell._send(coa_shell.Reply(("255.255.255.255", 9), b"x"))
    assert bench.shell.listening


def test_settings_of_the_model() -> None:
    assert parse({}) == CoaSettings()
    assert not CoaSettings().serves
    values = {
        "enabled": True,
        "port": 1700,
        "event-timestamp-window": 60,
        "require-event-timestamp": True,
        "rate-limit": 7,
        "client": [
            {"name": "a", "address": "192.0.2.2", "secret": "s"},
            {"name": "b", "address": "192.0.2.3", "secret": "t", "require-message-authenticator": False},
        ],
    }
    assert parse(values) == CoaSettings(
        True,
        1700,
        60,
        True,
        7,
        (CoaClient("a", "192.0.2.2", b"s"), CoaClient("b", "192.0.2.3", b"t", False)),
    )
