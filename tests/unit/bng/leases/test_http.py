"""A control agent that is slow, lies, or is none."""

from __future__ import annotations

import asyncio
import base64
import time
from email.utils import formatdate

import pytest

from bng.config import LeaseApi
from bng.leases import http as client_module
from bng.leases.http import LeaseClient, Life
from bng.leases.lease import LeaseError
from tests.support.fake_kea import NS, FakeKea, http, lease


def client(kea: FakeKea, page_size: int = 10) -> LeaseClient:
    return LeaseClient(LeaseApi("127.0.0.1", kea.port, "bng", "secret", page_size))


async def test_pages_over_one_connection() -> None:
    async with FakeKea() as kea:
        kea.leases = [lease(number) for number in range(1, 26)]
        asked = client(kea)
        first = await asked.page("start")
        second = await asked.page("10.0.1.10")
        third = await asked.page("10.0.1.20")
        assert [len(page.leases) for page in (first, second, third)] == [10, 10, 5]
        assert [page.last for page in (first, second, third)] == [False, False, True]
        assert kea.connections == 1
        assert kea.authorization == "basic " + base64.b64encode(b"bng:secret").decode().lower()
        assert kea.commands[0]["arguments"] == {"from": "start", "limit": 10}
        assert asked.latency > 0
        asked.close()


async def test_a_connection_that_the_server_closes_is_made_again() -> None:
    async with FakeKea() as kea:
        kea.answers = [http([{"result": 3}], "200 OK", "Connection: close")] * 2
        asked = client(kea)
        assert (await asked.page("start")).last
        assert (await asked.page("start")).last
        assert kea.connections == 2
        asked.close()


async def test_life() -> None:
    async with FakeKea() as kea:
        asked = client(kea)
        kea.life = (7, 100, 40)
        life = await asked.life()
        assert life is not None
        assert life.pid == 7
        assert abs(life.started - (time.monotonic() - 40)) < 5
        kea.life = None
        assert await asked.life() is None
        asked.close()


async def test_a_life_that_is_not_told() -> None:
    async with FakeKea() as kea:
        kea.answers = [http([{"result": 0, "arguments": {"pid": "7"}}]), http([{"result": 1, "text": "no"}])]
        asked = client(kea)
        assert await asked.life() is None
        with pytest.raises(LeaseError, match="result 1: no"):
            await asked.life()
        asked.close()


async def test_without_a_username() -> None:
    async with FakeKea() as kea:
        asked = LeaseClient(LeaseApi("127.0.0.1", kea.port, "", "", 10))
        assert (await asked.page("start")).last
        assert kea.authorization == ""
        asked.close()


@pytest.mark.parametrize(
    ("later", "same"), [(Life(1, 101), True), (Life(1, 130), False), (Life(2, 100), False)]
)
def test_a_life_that_goes_on(later: Life, same: bool) -> None:
    assert Life(1, 100).goes_on(later) is same


async def test_the_servers_clock() -> None:
    async with FakeKea() as kea:
        body = [{"result": 3}]
        asked = client(kea)
        for behind, expected in ((0, 0), (600, 600), (10 * 86400, 0)):
            date = formatdate(time.time() - behind, usegmt=True)
            kea.answers = [http(body, "200 OK", f"Date: {date}")]
            ahead = (await asked.page("start")).ahead
            # of the server's time the fraction is cut off, and it has passed on by the time it is read
            assert (ahead == 0) if not expected else (0 <= ahead / NS - expected < 60)
        kea.answers = [http(body, "200 OK", "Date: tomorrow")]
        assert (await asked.page("start")).ahead == 0
        asked.close()


async def drip(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    for _ in range(1000):
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.01)


async def silence(_writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


async def half(writer: asyncio.StreamWriter) -> None:
    writer.write(http([{"result": 0}])[:-3])


async def hang_up(_writer: asyncio.StreamWriter) -> None:
    return


async def chatter(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)
        await writer.drain()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (http(b"", "401 Unauthorized"), "username or password is refused"),
        (http(b"", "500 Oops"), "HTTP status 500"),
        (http(b"{"), "not JSON"),
        (http([]), "not one of Kea's"),
        (http([{"result": 1, "text": "no"}]), "result 1: no"),
        (http([{"result": 0, "arguments": {"leases": {}}}]), "without a list"),
        (http([{"result": 3, "arguments": {"leases": [{}]}}]), "there are none"),
        (http(b" " * (client_module.MAX_OCTETS + 1)), "longer than"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 9000 + b"\r\n", "not HTTP"),
        (half, "not HTTP"),
        (hang_up, "closed the connection"),
        (drip, "no answer within"),
        (silence, "no answer within"),
        (chatter, "longer than|no answer within"),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
async def test_what_is_no_answer(answer: object, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "DEADLINE", 0.3)
    async with FakeKea() as kea:
        kea.answers = [answer]  # type: ignore[list-item]
        asked = client(kea)
        with pytest.raises(LeaseError, match=says):
            await asked.page("start")
        kea.leases = [lease(1)]
        assert len((await asked.page("start")).leases) == 1, "and the next command works"
        asked.close()


async def test_nobody_listens() -> None:
    async with FakeKea() as kea:
        asked = client(kea)
    with pytest.raises(LeaseError):
        await asked.page("start")
