"""netconf-sessions: NETCONF sessions over SSH set up per second.

Each is a TCP connection of its own: key exchange, login by password, subsystem, both hellos, the reply to a
get-config of one leaf, close-session. The baseline is what SSH alone costs with the same library, client,
algorithms and host key (Ed25519): login, subsystem, one line there and back, close; the password is compared
with a constant and there is no NETCONF.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import asyncssh
import uvloop

from nbi.ssh import options
from tests.bench import harness
from tests.bench.netconf_get import BASE, HELLO, server
from tests.support.setup_bench import percentile

SESSIONS, AT_ONCE = 400, 4
PASSWORD = "correct horse"
GET = (
    f"<rpc xmlns='{BASE}' message-id='1'><get-config><source><running/></source><filter>"
    "<bng xmlns='urn:aether:yang:aether-bng'><identity><bng-id/></identity></bng></filter></get-config></rpc>"
).encode()
CLOSE = f"<rpc xmlns='{BASE}' message-id='2'><close-session/></rpc>".encode()


def chunk(message: bytes) -> bytes:
    return b"\n#%d\n%b\n##\n" % (len(message), message)


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[asyncssh.SSHClientProcess[bytes]]:
    """A subsystem of a new connection."""
    async with asyncssh.connect(
        "127.0.0.1",
        port,
        username="admin",
        password=PASSWORD,
        known_hosts=None,
        client_keys=None,
        agent_path=None,
        preferred_auth="password",
        server_host_key_algs=["ssh-ed25519"],
        config=None,
    ) as connection:
        yield await connection.create_process(subsystem="netconf", encoding=None)


async def netconf(port: int) -> None:
    """One session, from its connection to its end."""
    async with connected(port) as process:
        process.stdin.write(HELLO)
        await process.stdout.readuntil(b"]]>]]>")
        process.stdin.write(chunk(GET))
        assert b"bng-01" in await process.stdout.readuntil(b"\n##\n")
        process.stdin.write(chunk(CLOSE))
        assert b"<ok/>" in await process.stdout.readuntil(b"\n##\n")


async def bare(port: int) -> None:
    """The same without NETCONF."""
    async with connected(port) as process:
        process.stdin.write(b"there\n")
        assert await process.stdout.readuntil(b"\n") == b"there\n"


async def rate(port: int, one: object, count: int) -> tuple[float, list[float]]:
    """(per second, sorted seconds that each took)."""
    took: list[float] = []
    left = iter(range(count))

    async def work() -> None:
        for _ in left:
            began = time.perf_counter()
            await one(port)  # type: ignore[operator]
            took.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return count / (time.perf_counter() - began), sorted(took)


async def serve_bare(host_key: str) -> None:
    """The server of the baseline; prints its port and ends with its standard input."""

    class Server(asyncssh.SSHServer):
        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return (username, password) == ("admin", PASSWORD)

    async def echo(process: asyncssh.SSHServerProcess[bytes]) -> None:
        process.stdout.write(await process.stdin.readline())
        process.exit(0)

    class Owner:
        class limits:
            login_timeout = keepalive_interval = 30

    given = options(Owner, [asyncssh.read_private_key(host_key)])  # type: ignore[arg-type]
    acceptor = await asyncssh.listen("127.0.0.1", 0, server_factory=Server, process_factory=echo, **given)
    print(acceptor.get_port(), flush=True)
    await asyncio.to_thread(sys.stdin.read)


@contextlib.contextmanager
def bare_server(host_key: Path) -> Iterator[int]:
    """The port of the baseline's server."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--bare", str(host_key)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=SESSIONS)
    parser.add_argument("--bare", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.bare:
        uvloop.run(serve_bare(arguments.bare))
        return
    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as port:
        key = Path(folder) / "ssh_host_ed25519_key"
        with bare_server(key) as plain:
            uvloop.run(rate(port, netconf, 20))
            uvloop.run(rate(plain, bare, 20))
            baseline, _ = uvloop.run(rate(plain, bare, arguments.sessions))
            value, took = uvloop.run(rate(port, netconf, arguments.sessions))
    harness.report(
        "netconf-sessions",
        round(value, 1),
        "sessions/s",
        "SSH alone by the same library: login, subsystem, one line there and back",
        round(baseline, 1),
        value / baseline,
        f"{arguments.sessions} sessions, {AT_ONCE} at once, password checked against SHA-512 crypt; "
        f"connection to close: median {percentile(took, 0.5):.1f} ms, p99 {percentile(took, 0.99):.1f} ms; "
        "asyncssh client in one process, server in another",
    )


if __name__ == "__main__":
    main()
