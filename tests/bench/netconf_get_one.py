"""netconf-get-one: milliseconds for a NETCONF get of one session by its key, among 10,000.

Measured behind OpenSSH's client, which waits without polling, with access control on. The baseline is the
same client and the same octets both ways with a server that only sends them: what SSH alone takes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import netconf_get as get
import uvloop


def request(number: int) -> bytes:
    """The get of one session."""
    return (
        f"<rpc xmlns='{get.BASE}' message-id='1'><get><filter><sessions xmlns='{get.SUBSCRIBER}'>"
        f"<session><id>{number:016x}</id></session></sessions></filter></get></rpc>"
    ).encode()


class Echo(asyncssh.SSHServer, asyncssh.SSHServerSession[bytes]):
    """Answers whatever ends like a request with the same number of octets."""

    size = 0

    def begin_auth(self, username: str) -> bool:
        return False

    def session_requested(self) -> Echo:
        return Echo()

    def subsystem_requested(self, subsystem: str) -> bool:
        return True

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._channel = chan

    def session_started(self) -> None:
        self._channel.write(b"]]>]]>")

    def data_received(self, data: bytes, datatype: int | None) -> None:
        if data.endswith(get.END):
            self._channel.write(b"x" * (Echo.size - len(get.END)) + get.END)


async def echo(size: int) -> None:
    """Serve until standard input ends."""
    Echo.size = size
    key = asyncssh.generate_private_key("ssh-ed25519")
    server = await asyncssh.listen("127.0.0.1", 0, server_factory=Echo, server_host_keys=[key], encoding=None)
    print(server.get_port(), flush=True)
    await asyncio.to_thread(sys.stdin.read)


@contextlib.contextmanager
def echo_server(size: int) -> Iterator[int]:
    """The port of a server that answers with so many octets."""
    arguments = [sys.executable, __file__, "--echo", str(size)]
    process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(30)


def measure(port: int, key: Path, rounds: int) -> tuple[list[float], bytes]:
    """Milliseconds of each request, and the last reply."""
    client = get.OpenSsh(port, key)
    try:
        results = [client.request(request(number % get.SESSIONS)) for number in range(rounds)]
    finally:
        client.close()
    return [milliseconds for milliseconds, _ in results], results[-1][1]


def main() -> None:
    """Measure both and print the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--echo", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.echo:
        uvloop.run(echo(arguments.echo))
        return
    harness = get.load("harness", Path(__file__).with_name("harness.py"))
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder) / "key"
        with get.server(Path(folder)) as (port, _):
            times, reply = measure(port, key, arguments.rounds)
        with echo_server(len(reply)) as port:
            base, _ = measure(port, key, arguments.rounds)
    if len(get.unframe(reply).findall(f".//{{{get.SUBSCRIBER}}}session")) != 1:
        raise SystemExit("the reply has not one session")
    value, baseline = statistics.median(times), statistics.median(base)
    harness.report(
        "netconf-get-one",
        round(value, 3),
        "ms",
        "as many octets both ways over SSH, from a server that only sends them",
        round(baseline, 3),
        baseline / value,
        f"one of {get.SESSIONS} sessions, {len(reply)} octets, NACM on; OpenSSH client in another process; "
        f"median of {arguments.rounds}, best {min(times):.3f}, 99th percentile "
        f"{statistics.quantiles(times, n=100)[98]:.3f}",
    )


if __name__ == "__main__":
    main()
