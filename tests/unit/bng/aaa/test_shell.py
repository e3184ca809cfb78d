"""The sockets around the client, against a server on loopback."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from structlog.testing import capture_logs

from bng.aaa.accounting import Record
from bng.aaa.client import AaaClient, Answer
from bng.aaa.settings import AaaSettings, Server
from bng.aaa.shell import AaaShell
from bng.codec import radius
from bng.codec.radius import Code
from bng.session.effects import AccountKind
from bng.session.events import Counters, RadiusAccept, RadiusUnanswered
from tests.support.waiting import until
from tests.unit.bng.aaa.client_bench import account, ask

SECRET = b"secret"


class _Server(asyncio.DatagramProtocol):
    """Answers every request after the first `silent` ones."""

    def __init__(self, silent: int = 0) -> None:
        self.silent = silent
        self.codes: list[int] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        request = radius.verify_request(data, SECRET)
        self.codes.append(request.code)
        if len(self.codes) <= self.silent:
            return
        code = Code.ACCESS_ACCEPT if request.code == 1 else Code.ACCOUNTING_RESPONSE
        reply = radius.build_response(code, request.identifier, request.authenticator, (), SECRET)
        self.transport.sendto(reply, addr)  # type: ignore[attr-defined]


async def _started(
    server: _Server, timeout: int = 30_000, retries: int = 1
) -> tuple[AaaShell, list[Answer], asyncio.Event]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: server, local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    one = Server("one", "127.0.0.1", SECRET, port, port, timeout=timeout, retries=retries)
    client = AaaClient(AaaSettings("bng-01", "192.0.2.9", "line", (one,), source_ports=2))
    answers: list[Answer] = []
    came = asyncio.Event()

    def deliver(new: list[Answer]) -> None:
        answers.extend(new)
        came.set()

    shell = AaaShell(client, deliver)
    await shell.start("127.0.0.1")
    return shell, answers, came


async def test_an_answer_after_a_retransmission() -> None:
    server = _Server(silent=1)
    shell, answers, came = await _started(server, timeout=100, retries=10)
    shell.authenticate(ask())
    await asyncio.wait_for(came.wait(), 30)
    assert [type(answer) for answer in answers] == [RadiusAccept]
    assert server.codes[:2] == [1, 1]
    shell.close()


async def test_silence() -> None:
    shell, answers, came = await _started(_Server(silent=99), timeout=20)
    shell.authenticate(ask())
    await asyncio.wait_for(came.wait(), 30)
    assert [type(answer) for answer in answers] == [RadiusUnanswered]
    shell.close()


async def test_nobody_listens() -> None:
    """Whatever ICMP says: the timer decides."""
    one = Server("one", "127.0.0.1", SECRET, 1, 1, timeout=20, retries=1)
    came = asyncio.Event()
    shell = AaaShell(AaaClient(AaaSettings("b", "192.0.2.9", "line", (one,))), lambda answers: came.set())
    await shell.start("127.0.0.1")
    shell.authenticate(ask())
    await asyncio.wait_for(came.wait(), 30)
    shell.close()


async def test_accounting_is_drained_in_order() -> None:
    server = _Server()
    shell, _, _ = await _started(server)
    shell.accounting_on("0a")
    shell.account(account(AccountKind.START), Counters())
    shell.accounting_off("0a")
    assert await shell.drain(30)
    assert server.codes == [4, 4, 4]
    shell.close()


async def test_drain_gives_up() -> None:
    shell, _, _ = await _started(_Server(silent=99), timeout=30_000)
    shell.account(account(AccountKind.START), Counters())
    assert not await shell.drain(0.05)
    shell.close()
    for n in (1, 2):
        shell.account(account(AccountKind.STOP, n), Counters())  # closed: kept, not sent, no error


async def test_more_source_ports_are_used_when_they_are_open() -> None:
    shell, _, _ = await _started(_Server())
    settings = shell.client.settings
    shell.configure(replace(settings, source_ports=4))
    assert shell.client.settings.source_ports == 2
    shell.configure(replace(settings, source_ports=5))
    await until(lambda: shell.client.settings.source_ports == 5)
    shell.configure(replace(settings, source_ports=1))
    assert shell.client.settings.source_ports == 1
    shell.configure(replace(settings, source_ports=9))
    shell.close()


async def test_an_address_that_went_away_leaves_the_ports_that_are_there() -> None:
    shell, _, _ = await _started(_Server())
    shell._local_address = "192.0.2.200"
    shell.configure(replace(shell.client.settings, source_ports=4))
    assert shell._opening is not None
    await shell._opening
    assert shell.client.settings.source_ports == 2
    shell.close()


async def test_what_the_network_reports_is_said_once_in_a_while() -> None:
    shell, _, _ = await _started(_Server())
    with capture_logs() as said:
        for _ in range(5):
            shell.refused(OSError("unreachable"))
        shell._reported = (-1000.0, 5)
        shell._ports[0].get_protocol().error_received(OSError("unreachable"))  # type: ignore[attr-defined]
    assert [(line["event"], line["reports"]) for line in said] == [("radius.icmp", 1), ("radius.icmp", 5)]
    shell.close()


async def test_accounting_is_gone_on_with() -> None:
    server = _Server()
    shell, _, _ = await _started(server)
    shell.client.backlog.add(Record("0" * 16, AccountKind.START, time.time_ns()))
    shell.resume()
    assert await shell.drain(10)
    interim = replace(account(AccountKind.INTERIM, at=time.time_ns()), counters=Counters())
    shell.restore(interim, Counters())
    assert await shell.drain(10)
    assert server.codes == [4, 4]
    shell.close()
