"""netconf-isolation: how much of the rate of setting sessions up remains while a NETCONF client hammers get.

Subscribers attach as in session-setup, while a client asks for everything that the BNG knows of its sessions,
again as soon as it has the answer, on four sessions. The baseline is the mean of the same before and after.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import asyncssh
import uvloop

from tests.bench import harness
from tests.bench.netconf_get import GET, HELLO
from tests.support import setup_bench
from tests.support.bng_world import ADMIN, ADMIN_PASSWORD, NETCONF_PORT, World

SUBSCRIBERS, CLIENTS = 1000, 4
_SETTLE = 1.0
_NICE = 10
END = b"\n##\n"


async def ask(counts: list[int]) -> None:
    """One session that asks until cancelled."""
    async with asyncssh.connect(
        "127.0.0.1",
        NETCONF_PORT,
        username=ADMIN,
        password=ADMIN_PASSWORD,
        known_hosts=None,
        client_keys=None,
        agent_path=None,
        config=None,
    ) as connection:
        process = await connection.create_process(subsystem="netconf", encoding=None)
        process.stdin.write(HELLO)
        await process.stdout.readuntil(b"]]>]]>")
        while True:
            process.stdin.write(b"\n#%d\n%b\n##\n" % (len(GET), GET))
            tail = b""
            while not tail.endswith(END):
                data = await process.stdout.read(1 << 18)
                if not data:
                    raise ConnectionError("the server ended a session")
                counts[1] += len(data)
                tail = (tail + data)[-len(END) :]
            counts[0] += 1


async def hammer() -> None:
    """All sessions, until standard input ends; prints a line when they are open, and what came at the end."""
    counts = [0, 0]
    asking = [asyncio.ensure_future(ask(counts)) for _ in range(CLIENTS)]
    while counts[0] < CLIENTS:
        await asyncio.sleep(0.01)
        for task in asking:
            if task.done():
                task.result()
    print("hammering", flush=True)
    began, before = time.perf_counter(), tuple(counts)
    await asyncio.to_thread(sys.stdin.read)
    seconds = time.perf_counter() - began
    print((counts[0] - before[0]) / seconds, (counts[1] - before[1]) / seconds, flush=True)
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)


def hammered(here: World, numbers: range) -> tuple[float, float, float]:
    """(sessions per second, gets per second, octets per second) while the client asks."""
    client = here.namespaces.start(
        "b",
        sys.executable,
        __file__,
        "--hammer",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert client.stdout.readline() == "hammering\n"
    sessions, _ = setup_bench.set_up(here, numbers)
    assert client.poll() is None, "the client gave up"
    output, _ = client.communicate("")
    gets, octets = output.split()
    return sessions, float(gets), float(octets)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subscribers", type=int, default=SUBSCRIBERS)
    parser.add_argument("--hammer", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.hammer:
        # The client stands for one on another machine: it takes what the others leave.
        os.nice(_NICE)
        uvloop.run(hammer())
        return
    count = arguments.subscribers
    with setup_bench.running() as here:
        here.attach(*range(3 * count, 3 * count + 20))
        before, _ = setup_bench.set_up(here, range(count))
        under, gets, octets = hammered(here, range(count, 2 * count))
        time.sleep(_SETTLE)
        after, _ = setup_bench.set_up(here, range(2 * count, 3 * count))
        setup_bench.accounting_starts(here, 3 * count + 20)
    quiet = (before + after) / 2
    harness.report(
        "netconf-isolation",
        round(under, 1),
        "sessions/s",
        "the same without the client, mean of before and after",
        round(quiet, 1),
        under / quiet,
        f"{gets:.1f} gets of all sessions a second ({octets / 1e6:.1f} MB/s) on {CLIENTS} NETCONF sessions; "
        f"{count} subscribers each time, {setup_bench.WINDOW} at once; before {before:.0f}, "
        f"after {after:.0f}; "
        f"the client at nice {_NICE} on the same cores; {setup_bench.SERVERS}",
    )


if __name__ == "__main__":
    main()
