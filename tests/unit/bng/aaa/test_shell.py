"""The sockets around the client, against a server on loopback."""

from __future__ import annotations

import asyncio

from bng.aaa.client import AaaClient, Answer
from bng.aaa.settings import AaaSettings, Server
from bng.aaa.shell import AaaShell
from bng.codec import radius
from bng.codec.radius import Code
from bng.session.effects import AccountKind
from bng.session.events import Counters, RadiusAccept, RadiusUnanswered
from tests.unit.bng.aaa.test_client import account, ask

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


async def _started(server: _Server, timeout: int = 100) -> tuple[AaaShell, list[Answer], asyncio.Event]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: server, local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    one = Server("one", "127.0.0.1", SECRET, port, port, timeout=timeout, retries=1)
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
    shell, answers, came = await _started(server)
    shell.authenticate(ask())
    await asyncio.wait_for(came.wait(), 10)
    assert [type(answer) for answer in answers] == [RadiusAccept]
    assert server.codes == [1, 1]
    shell.close()


async def test_silence() -> None:
    shell, answers, came = await _started(_Server(silent=99), timeout=20)
    shell.authenticate(ask())
    await asyncio.wait_for(came.wait(), 10)
    assert [type(answer) for answer in answers] == [RadiusUnanswered]
    shell.close()


async def test_nobody_listens() -> None:
    """Whatever ICMP says: the timer decides."""
    one = Server("one", "127.0.0.1", SECRET, 1, 1, timeout=20, retries=1)
    came = asyncio.Event()
    shell = AaaShell(AaaClient(AaaSettings("b", "192.0.2.9", "line", (one,))), lambda answers: came.set())
    await shell.start("127.0.0.1")
    shell.authenticate(ask())
    await asyncio.wait_for(came.wait(), 10)
    shell.close()


async def test_accounting_is_drained_in_order() -> None:
    server = _Server()
    shell, _, _ = await _started(server)
    shell.accounting_on("0a")
    shell.account(account(AccountKind.START), Counters())
    shell.accounting_off("0a")
    assert await shell.drain(10)
    assert server.codes == [4, 4, 4]
    shell.close()


async def test_drain_gives_up() -> None:
    shell, _, _ = await _started(_Server(silent=99), timeout=30_000)
    shell.account(account(AccountKind.START), Counters())
    assert not await shell.drain(0.05)
    shell.close()
    shell.account(account(AccountKind.STOP), Counters())  # closed: kept, not sent, no error
