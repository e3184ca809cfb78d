"""The RADIUS client against a real FreeRADIUS."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bng.aaa.client import AaaClient
from bng.aaa.settings import AaaSettings, Server
from bng.aaa.shell import AaaShell
from bng.session.effects import Account, AccountKind, AskRadius
from bng.session.events import Counters, RadiusAccept, RadiusReject, RadiusUnanswered
from tests.support.ports import free_port
from tests.support.servers import SECRET, configure_radius, radius_command
from tests.support.waiting import until, wait_for

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(shutil.which("freeradius") is None, reason="FreeRADIUS is not installed"),
]
USERS = """
"bng-01/node-a/1/0/1" Cleartext-Password := "line"
\tFilter-Id = "gold", Class = 0x626c7565, Acct-Interim-Interval = 300

"bng-01/node-a/1/0/2" Cleartext-Password := "line"
\tOSS-Download-Speed = 50000, OSS-Upload-Speed = 20000, OSS-Download-Burst = 80

"bng-01/node-a/1/0/3" Auth-Type := Reject
\tReply-Message = "service suspended"
"""


@pytest.fixture(scope="module")
def freeradius(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int, int]]:
    """A server with a users file; its folder and its two ports."""
    folder = tmp_path_factory.mktemp("freeradius")
    auth, acct = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_DGRAM)
    configure_radius(folder, address="127.0.0.1", clients="127.0.0.1", auth=auth, acct=acct)
    (folder / "users").write_text(USERS)
    log = folder / "radius.log"
    process = subprocess.Popen(radius_command(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for("FreeRADIUS is ready", lambda: log.exists() and "Ready to process" in log.read_text())
        yield folder, auth, acct
    finally:
        process.terminate()
        process.wait(10)


def _settings(freeradius: tuple[Path, int, int], **server: object) -> AaaSettings:
    _, auth, acct = freeradius
    fields = {"timeout": 10_000, "retries": 2, **server}
    one = Server("radius", "127.0.0.1", SECRET.encode(), auth, acct, **fields)  # type: ignore[arg-type]
    return AaaSettings("bng-01", "192.0.2.1", "line", (one,))


def _ask(port: int, attempt: int = 1) -> AskRadius:
    circuit = f"1/0/{port}"
    return AskRadius(
        f"{port:016x}",
        attempt,
        f"bng-01/node-a/{circuit}",
        "02:00:00:00:00:01",
        "100.64.0.10",
        f"sub0:node-a:{circuit}",
    )


async def _answers(settings: AaaSettings, *asks: AskRadius) -> tuple[dict, AaaClient]:
    client = AaaClient(settings)
    answers: dict = {}
    shell = AaaShell(client, lambda new: answers.update({(a.session_id, a.attempt): a for a in new}))
    await shell.start("127.0.0.1")
    try:
        for ask in asks:
            shell.authenticate(ask)
        await until(lambda: len(answers) >= len(asks), 30)
    finally:
        shell.close()
    return answers, client


async def test_accept_with_filter_id(freeradius: tuple[Path, int, int]) -> None:
    answers, client = await _answers(_settings(freeradius), _ask(1))
    (answer,) = answers.values()
    assert isinstance(answer, RadiusAccept)
    assert answer.filter_ids == ("gold",)
    assert answer.classes == (b"blue",)
    assert answer.interim_interval == 300
    (server,) = client.servers
    assert server.up
    assert (server.requests, server.timeouts) == (1, 0)
    assert server.latency > 0


async def test_vendor_speeds(freeradius: tuple[Path, int, int]) -> None:
    answers, _ = await _answers(_settings(freeradius), _ask(2))
    (answer,) = answers.values()
    assert isinstance(answer, RadiusAccept)
    assert (answer.download_kbps, answer.upload_kbps) == (50000, 20000)
    assert (answer.download_burst_kbit, answer.upload_burst_kbit) == (80, None)


async def test_reject_says_why(freeradius: tuple[Path, int, int]) -> None:
    answers, _ = await _answers(_settings(freeradius), _ask(3), _ask(99))
    assert {type(answer) for answer in answers.values()} == {RadiusReject}
    assert answers[_ask(3).session_id, 1].message == "service suspended"


async def test_a_wrong_secret_is_never_believed(freeradius: tuple[Path, int, int]) -> None:
    settings = _settings(freeradius, timeout=100, retries=1)
    wrong = AaaSettings(
        settings.nas_identifier,
        settings.nas_ip_address,
        settings.user_password,
        (Server("radius", "127.0.0.1", b"wrong", settings.servers[0].auth_port, timeout=100, retries=1),),
    )
    answers, _ = await _answers(wrong, _ask(1))
    (answer,) = answers.values()
    assert isinstance(answer, RadiusUnanswered)


async def test_two_thousand_in_flight(freeradius: tuple[Path, int, int]) -> None:
    asks = [_ask(1, attempt) for attempt in range(2000)]
    answers, client = await _answers(_settings(freeradius, timeout=1000, retries=20), *asks)
    assert all(isinstance(answer, RadiusAccept) for answer in answers.values())
    assert client.in_flight == 0


async def test_silent_servers_are_found_back_by_status_server(freeradius: tuple[Path, int, int]) -> None:
    settings = _settings(freeradius)
    client = AaaClient(settings)
    (server,) = client.servers
    for service in server.services:
        for _ in range(3):
            service.failed(0)
    shell = AaaShell(client, lambda answers: None)
    await shell.start("127.0.0.1")
    try:
        shell.configure(settings)
        await until(lambda: server.up)
    finally:
        shell.close()
    assert server.requests == 0
    assert all(service.latency > 0 for service in server.services)
    assert not client.discarded


async def test_accounting_arrives(freeradius: tuple[Path, int, int]) -> None:
    folder, _, _ = freeradius
    client = AaaClient(_settings(freeradius))
    shell = AaaShell(client, lambda answers: None)
    await shell.start("127.0.0.1")
    now = time.time_ns()
    try:
        shell.accounting_on("00000000")
        for kind, cause in ((AccountKind.START, None), (AccountKind.STOP, "User-Request")):
            account = Account(
                kind, "feedfacecafebeef", 0, 1, "bng-01/node-a/1/0/1", "02:00:00:00:00:01",
                "100.64.0.10", "sub0:node-a:1/0/1", (b"blue",), 61, None, cause, now,
            )  # fmt: skip
            shell.account(account, Counters(in_octets=(3 << 32) + 5, out_octets=7))
        assert await shell.drain(10)
    finally:
        shell.close()
    written = (folder / "detail").read_text()
    records = [r for r in written.split("\n\n") if "feedfacecafebeef" in r]
    assert "Acct-Status-Type = Accounting-On" in written
    assert ["Acct-Status-Type = Start" in r for r in records] == [True, False]
    stop = records[1]
    for line in (
        "Acct-Status-Type = Stop",
        "Acct-Input-Octets = 5",
        "Acct-Input-Gigawords = 3",
        "Acct-Output-Octets = 7",
        "Acct-Session-Time = 61",
        "Acct-Terminate-Cause = User-Request",
        "Class = 0x626c7565",
        'NAS-Identifier = "bng-01"',
        "NAS-Port-Type = Ethernet",
        "Framed-IP-Address = 100.64.0.10",
    ):
        assert line in stop
