"""netconf-load: how late the server's loop is, at the 99th percentile, while 100 sessions work.

60 sessions read one of 10,000 subscriber sessions by key, five times a second each; 10 edit a shaping profile
and commit, once in two seconds each, of which one reads all 10,000 every five seconds; 30 are subscribed to
notifications, of which the element makes 50 a second. All over SSH, access control on, clients in another
process. A probe is due every 5 ms; while the loop stands still, each probe that was due meanwhile counts with
the time that it waited. The baseline is the same loop with the 100 sessions idle.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import asyncssh
import structlog
import uvloop

from bng.daemon.process import collect_seldom, hand_over_quickly
from nbi.info import Limits
from nbi.protocol.framing import Deframer
from nbi.server import NetconfServer
from tests.bench import harness
from tests.bench.loop_lag import probe
from tests.bench.netconf_get import BASE, ELEMENT, HELLO, SUBSCRIBER, load
from tests.support.setup_bench import percentile

READERS, EDITORS, SUBSCRIBERS = 60, 10, 30
RECORDS, SECONDS, IDLE_SECONDS = 10_000, 30, 10
NOTIFICATIONS = 50
SHAPING = "urn:aether:yang:aether-shaping"
NOTIFICATION = "urn:ietf:params:xml:ns:netconf:notification:1.0"


def resident() -> float:
    """MiB of memory that this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


class Client:
    """One session."""

    def __init__(self, process: asyncssh.SSHClientProcess[bytes]) -> None:
        self._process = process
        self._deframer = Deframer(1 << 30)
        self._deframer.use_chunks()

    async def message(self) -> bytes:
        """The next message."""
        while (message := self._deframer.next_message()) is None:
            data = await self._process.stdout.read(1 << 20)
            if not data:
                raise ConnectionError("the server ended a session")
            self._deframer.feed(data)
        return message

    async def rpc(self, operation: str) -> bytes:
        """A reply that is no error."""
        request = f"<rpc xmlns='{BASE}' message-id='1'>{operation}</rpc>".encode()
        self._process.stdin.write(b"\n#%d\n%b\n##\n" % (len(request), request))
        reply = await self.message()
        if b"<rpc-error>" in reply:
            raise RuntimeError(reply.decode())
        return reply


async def open_client(port: int) -> Client:
    """A session over an SSH connection of its own."""
    connection = await asyncssh.connect(
        "127.0.0.1",
        port,
        username="admin",
        password="correct horse",
        known_hosts=None,
        client_keys=None,
        agent_path=None,
        preferred_auth="password",
        config=None,
    )
    process = await connection.create_process(subsystem="netconf", encoding=None)
    process.stdin.write(HELLO)
    await process.stdout.readuntil(b"]]>]]>")
    return Client(process)


async def read(client: Client, took: list[float]) -> None:
    """Read sessions by key until cancelled."""
    while True:
        await asyncio.sleep(random.uniform(0.1, 0.3))
        key = f"{random.randrange(RECORDS):016x}"
        began = time.perf_counter()
        entry = f"<sessions xmlns='{SUBSCRIBER}'><session><id>{key}</id></session></sessions>"
        reply = await client.rpc(f"<get><filter>{entry}</filter></get>")
        took.append(time.perf_counter() - began)
        assert key.encode() in reply


async def edit(client: Client, number: int, took: list[float]) -> None:
    """Change a profile until cancelled; number 0 reads everything as well."""
    turns = 0
    while True:
        await asyncio.sleep(random.uniform(1, 3))
        rate = random.randrange(1_000_000, 1_000_000_000)
        profile = (
            f"<shaping-profiles xmlns='{SHAPING}'><profile><name>p{number}</name>"
            f"<download><rate>{rate}</rate></download><upload><rate>1000000</rate></upload></profile></shaping-profiles>"
        )
        began = time.perf_counter()
        await client.rpc(
            f"<edit-config><target><candidate/></target><config>{profile}</config></edit-config>"
        )
        await client.rpc("<commit/>")
        took.append(time.perf_counter() - began)
        turns += 1
        if number == 0 and turns % 2 == 0:
            await client.rpc(f"<get><filter><sessions xmlns='{SUBSCRIBER}'/></filter></get>")


async def listen(client: Client, counts: list[int]) -> None:
    """Take notifications until cancelled."""
    while True:
        await client.message()
        counts[0] += 1


async def drive(port: int) -> None:
    """The clients: open all sessions, wait for a line, work until standard input ends, report."""
    clients = []
    for _ in range(READERS + EDITORS + SUBSCRIBERS):
        clients.append(await open_client(port))
    for client in clients[READERS + EDITORS :]:
        await client.rpc(f"<create-subscription xmlns='{NOTIFICATION}'/>")
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    gets: list[float] = []
    edits: list[float] = []
    counts = [0]
    work = [
        *(read(client, gets) for client in clients[:READERS]),
        *(edit(client, n, edits) for n, client in enumerate(clients[READERS : READERS + EDITORS])),
        *(listen(client, counts) for client in clients[READERS + EDITORS :]),
    ]
    tasks = [asyncio.ensure_future(one) for one in work]
    await asyncio.to_thread(sys.stdin.readline)
    failed = [task.exception() for task in tasks if task.done()]
    for task in tasks:
        task.cancel()
    gets.sort(), edits.sort()
    report = {
        "failed": [repr(failure) for failure in failed],
        "gets": len(gets),
        "edits": len(edits),
        "notifications": counts[0],
        "get_p99": percentile(gets, 0.99),
        "edit_p99": percentile(edits, 0.99),
    }
    print(json.dumps(report), flush=True)


async def notify(element: Any, module: Any) -> None:
    """Notifications until cancelled."""
    number = 0
    while True:
        await asyncio.sleep(1 / NOTIFICATIONS)
        number = (number + 1) % RECORDS
        event = element.journal.append("session-start", module.make_session(number), time.time_ns())
        element.tree.bus.publish(element.journal.notification(event))


Measured = tuple[list[float], list[float], dict[str, Any], float, float]
"""Lateness under load and idle, what the clients did, MiB before and growth."""


async def measure(folder: Path, seconds: int) -> Measured:
    """Have the clients work for so long."""
    module = load("netconf_element", ELEMENT)
    element = await module.open_element(folder, RECORDS)
    collect_seldom()
    server = NetconfServer(
        element.tree,
        [("127.0.0.1", 0)],
        folder / "ssh_host_ed25519_key",
        replay=element.journal,
        limits=Limits(max_sessions_per_user=128),
    )
    await server.start()
    clients = await asyncio.create_subprocess_exec(
        sys.executable,
        __file__,
        "--drive",
        str(server.ports[0]),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert clients.stdin is not None
    assert clients.stdout is not None
    assert await clients.stdout.readline() == b"ready\n"
    assert len(server.sessions) == READERS + EDITORS + SUBSCRIBERS
    idle = await probe(IDLE_SECONDS)
    before = resident()
    notifying = asyncio.ensure_future(notify(element, module))
    clients.stdin.write(b"go\n")
    await asyncio.sleep(2)
    warm = resident()
    late = await probe(seconds)
    grown = resident() - warm
    clients.stdin.write(b"stop\n")
    done = json.loads(await clients.stdout.readline())
    notifying.cancel()
    clients.stdin.close()
    await clients.wait()
    await server.stop()
    await element.tree.close()
    return late, idle, done, before, grown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=SECONDS)
    parser.add_argument("--drive", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.drive:
        uvloop.run(drive(arguments.drive))
        return
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    hand_over_quickly()
    with tempfile.TemporaryDirectory() as folder:
        late, idle, done, before, grown = uvloop.run(measure(Path(folder), arguments.seconds))
    if done["failed"]:
        raise SystemExit(f"sessions failed: {done['failed']}")
    value, baseline = percentile(late, 0.99), percentile(idle, 0.99)
    harness.report(
        "netconf-load",
        round(value, 2),
        "ms",
        "the same loop with the 100 sessions idle",
        round(baseline, 2),
        baseline / value,
        f"p99 over {arguments.seconds} s; median {percentile(late, 0.5):.2f} ms, p99.9 "
        f"{percentile(late, 0.999):.1f} ms, worst {late[-1] * 1000:.1f} ms; {done['gets']} gets (p99 "
        f"{done['get_p99']:.0f} ms at the client), {done['edits']} edits with commit "
        f"(p99 {done['edit_p99']:.0f} ms), {done['notifications']} notifications received; "
        f"memory {before:.0f} MiB, {grown:+.1f} MiB while working",
    )


if __name__ == "__main__":
    main()
