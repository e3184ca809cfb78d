"""What hostile clients cost an element in a process of its own: memory, and what they held when they died."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from nbi.protocol.names import BASE_NS
from tests.contract.netconf.test_netconf_ssh import chunk
from tests.support.waiting import PATIENCE, wait_for

HELLO = (
    f"<hello xmlns='{BASE_NS}'><capabilities><capability>urn:ietf:params:netconf:base:1.1</capability>"
    "</capabilities></hello>]]>]]>"
).encode()
OK = b"<ok/>"


def rss(element) -> int:
    """Resident memory of the element, in octets."""
    pages = int(Path(f"/proc/{element.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class Client:
    """A client on the element's unix socket, that reads only when it is told to."""

    def __init__(self, element) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(str(element.folder / "state" / "netconf.sock"))
        self.socket.sendall(HELLO)
        self.until(b"]]>]]>")

    def until(self, end: bytes) -> bytes:
        """What is received up to these octets, or to the end of the stream."""
        received = b""
        while end not in received:
            data = self.socket.recv(1 << 20)
            if not data:
                break
            received += data
        return received

    def ask(self, operation: str) -> bytes:
        """The reply to an operation."""
        self.socket.sendall(chunk(f"<rpc xmlns='{BASE_NS}' message-id='1'>{operation}</rpc>".encode()))
        return self.until(b"\n##\n")


@pytest.fixture
def bystander(element) -> Iterator[Client]:
    """Somebody else, who is answered before and after."""
    client = Client(element)
    assert OK in client.ask("<discard-changes/>")
    yield client
    began = time.monotonic()
    assert OK in client.ask("<discard-changes/>")
    assert time.monotonic() - began < 5 * PATIENCE
    client.socket.close()


def test_a_hundred_megabytes(element, bystander):
    """In one chunk, in many, and without any end."""
    before = rss(element)
    piece = b"x" * (1 << 16)
    for header, each in ((b"\n#104857600\n", b""), (b"", b"\n#65536\n")):
        client = Client(element)
        peak = 0
        try:
            client.socket.sendall(header)
            for number in range(1600):
                client.socket.sendall(each + piece)
                if number % 100 == 0:
                    peak = max(peak, rss(element))
        except (BrokenPipeError, ConnectionResetError):
            pass
        peak = max(peak, rss(element))
        assert peak - before < 40 << 20
        with suppress(ConnectionResetError):  # what it still sent to the closed session came back as that
            assert b"too-big" in client.until(b"\n##\n")
        client.socket.close()


def test_replies_that_nobody_reads(element, bystander):
    """Every session has asked for everything a hundred times."""
    before = rss(element)
    clients = [Client(element) for _ in range(20)]
    for client in clients:
        client.socket.sendall(chunk(f"<rpc xmlns='{BASE_NS}' message-id='1'><get/></rpc>".encode()) * 100)
    for _ in range(20):
        assert OK in bystander.ask("<discard-changes/>")
    assert rss(element) - before < 100 << 20
    for client in clients:
        client.socket.close()


def test_a_killed_client_holds_nothing(element, bystander):
    program = (
        "import sys, time\nfrom tests.contract.netconf.test_netconf_hostile import Client\n"
        "from types import SimpleNamespace\nfrom pathlib import Path\n"
        "client = Client(SimpleNamespace(folder=Path(sys.argv[1])))\n"
        "for name in ('running', 'candidate'):\n"
        "    assert b'<ok/>' in client.ask(f'<lock><target><{name}/></target></lock>')\n"
        "print('locked', flush=True)\ntime.sleep(60)\n"
    )
    arguments = [sys.executable, "-c", program, str(element.folder)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "locked\n"
        assert b"lock-denied" in bystander.ask("<lock><target><running/></target></lock>")
        os.kill(process.pid, signal.SIGKILL)
    running = "<lock><target><running/></target></lock>"
    wait_for("the lock is free", lambda: OK in bystander.ask(running))
    assert OK in bystander.ask("<lock><target><candidate/></target></lock>")
    for name in ("running", "candidate"):
        assert OK in bystander.ask(f"<unlock><target><{name}/></target></unlock>")
