"""netconf-isolation: how much of the rate of setting sessions up remains while a NETCONF client hammers get.

Short turns, one after the other, each with new subscribers, who leave at its end: without load; while a
client asks for everything that the BNG knows of its sessions, again as soon as it has the answer, on four
sessions; while two processes that know nothing of the BNG burn as much CPU for each request as management
and the client did, at the same priorities. On a machine that all share, the client takes CPU from
everybody. What it costs beyond that (locks, disk, command socket, caches) is the ratio of the second to
the third, the figure to go by. Ratios are of turns of one round, which begins with another kind each
time; the median of all rounds counts.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import asyncssh
import uvloop

from tests.bench import harness
from tests.bench.netconf_get import GET, HELLO
from tests.support import burner, setup_bench
from tests.support.bng_world import ADMIN, ADMIN_PASSWORD, NETCONF_PORT, World
from tests.support.dhcp_client import Subscriber
from tests.support.setup_bench import percentile

ROUNDS = 8
RUSH, STEADY = 300, 200
"""Subscribers of a turn: as fast as they are served, and then at a steady rate."""
RATE = 200
"""Subscribers a second, of the steady ones: far below what the machine can do."""
BASE = 1000
"""Sessions that are there at first."""
CLIENTS = 4
_NICE = 10
_QUIET_INTERIMS = 3600
END = b"\n##\n"
QUIET, CLIENT, BURNT = "quiet", "client", "burnt"


# The client


async def ask(counts: list[int], allowed: asyncio.Event) -> None:
    """One session that asks while allowed, until cancelled."""
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
            await allowed.wait()
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
    """Each line of standard input has it ask, or pause; each is answered with answers and octets so far."""
    counts, allowed = [0, 0], asyncio.Event()
    asking = [asyncio.ensure_future(ask(counts, allowed)) for _ in range(CLIENTS)]
    while await asyncio.to_thread(sys.stdin.readline):
        if allowed.is_set():
            allowed.clear()
        else:
            allowed.set()
            before = counts[0]
            while counts[0] < before + CLIENTS:
                await asyncio.sleep(0.01)
                for task in asking:
                    if task.done():
                        task.result()
        print(*counts, flush=True)
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)


class Client:
    """The process that asks."""

    def __init__(self, here: World) -> None:
        self._process = here.namespaces.start(
            "b", sys.executable, __file__, "--hammer",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.pid = self._process.pid

    def switch(self) -> tuple[int, int]:
        """Have it ask, or pause. (answers, octets) until then."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline().split()
        if len(line) != 2:
            raise SystemExit("the client gave up")
        return int(line[0]), int(line[1])

    def close(self) -> None:
        self._process.communicate("")


# What processes use


def used(pid: int) -> tuple[float, float]:
    """Seconds that a process was on a CPU, and that it waited for one."""
    on, waited = 0, 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # a thread that has ended
            values = (task / "schedstat").read_text().split()
            on, waited = on + int(values[0]), waited + int(values[1])
    return on / 1e9, waited / 1e9


def children(pid: int) -> list[int]:
    """Processes that one started."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@dataclass
class Load:
    """What there was of it so far.

    Attributes:
        server, client: seconds of CPU that management and the client took.
        gets, octets: answers.
        burnt: seconds of CPU in the turns without the client.
    """

    server: float = 0.0
    client: float = 0.0
    gets: int = 0
    octets: int = 0
    burnt: float = 0.0

    @property
    def each(self) -> tuple[float, float]:
        return self.server / self.gets, self.client / self.gets


class Bench:
    """A BNG, the client and what it took."""

    def __init__(self, here: World) -> None:
        self.here = here
        self.client = Client(here)
        self.load = Load()

    @contextmanager
    def quiet(self) -> Iterator[None]:
        yield

    @contextmanager
    def asking(self) -> Iterator[None]:
        """While the client asks."""
        management = self.here.pid("management")
        answers, octets = self.client.switch()
        server, client = used(management)[0], used(self.client.pid)[0]
        yield
        self.load.server += used(management)[0] - server
        self.load.client += used(self.client.pid)[0] - client
        more_answers, more_octets = self.client.switch()
        self.load.gets += more_answers - answers
        self.load.octets += more_octets - octets

    @contextmanager
    def burning(self) -> Iterator[None]:
        """While others use the CPU that it and management would."""
        management = self.here.pid("management")
        process = subprocess.Popen(
            [sys.executable, burner.__file__, *(str(each) for each in self.load.each), str(CLIENTS),
             str(os.getpriority(os.PRIO_PROCESS, management)), str(os.sched_getscheduler(management)),
             str(_NICE)]
        )  # fmt: skip
        try:
            setup_bench.wait_for("the burner runs", lambda: used(process.pid)[0] > 0.1, 20)
            pids = [process.pid, *children(process.pid)]
            before = sum(used(pid)[0] for pid in pids)
            yield
            self.load.burnt += sum(used(pid)[0] for pid in pids) - before
        finally:
            process.kill()
            process.wait()

    def turn(self, beside: Callable[[], Any], first: int) -> Turn:
        """Set subscribers up beside a load."""
        control = self.here.pid("control")
        with beside():
            on, waited = used(control)
            rushing = [Subscriber(first + number) for number in range(RUSH)]
            rate, _ = setup_bench.set_up(self.here, rushing)
            on, waited = used(control)[0] - on, used(control)[1] - waited
            before = setup_bench.newest(self.here)
            steady = [Subscriber(first + RUSH + number) for number in range(STEADY)]
            bound = self.here.subscribers.arrive(steady, RATE)
            if bound != STEADY:
                raise SystemExit(f"{bound} of {STEADY} got an address")
        setup_bench.active_since(self.here, [each.circuit_id for each in steady], before + 1)
        setup_bench.release(self.here, [*rushing, *steady])
        took = [subscriber.bound - subscriber.began for subscriber in steady]
        return Turn(rate, on / RUSH, waited / RUSH, took)


@dataclass
class Turn:
    """What came of one.

    Attributes:
        rate: sessions per second.
        cpu, waited: seconds of control per session: on a CPU, and waiting for one.
        took: seconds from DISCOVER to ACK.
    """

    rate: float
    cpu: float
    waited: float
    took: list[float]


def told(turns: list[Turn]) -> str:
    """Of one kind, in words."""
    took = sorted(each for turn in turns for each in turn.took)
    cpu, waited = (
        statistics.median(values) for values in zip(*((t.cpu, t.waited) for t in turns), strict=True)
    )
    rate = statistics.median(turn.rate for turn in turns)
    return (
        f"{rate:.0f} sessions/s, of control {1e6 * cpu:.0f} µs of CPU for each and {1e6 * waited:.0f} µs of "
        "waiting for a CPU; DISCOVER to ACK median "
        f"{percentile(took, 0.5):.2f} and p99 {percentile(took, 0.99):.2f} ms"
    )


def measure(here: World, rounds: int) -> tuple[dict[str, list[Turn]], Load]:
    """All turns."""
    here.attach(*range(20))
    setup_bench.set_up(here, range(20, BASE))
    bench = Bench(here)
    kinds = {QUIET: bench.quiet, CLIENT: bench.asking, BURNT: bench.burning}
    turns: dict[str, list[Turn]] = {kind: [] for kind in kinds}
    first = BASE
    bench.turn(bench.asking, first)  # to know what a request takes
    for number in range(rounds):
        names = list(kinds)
        for kind in names[number % 3 :] + names[: number % 3]:
            first += RUSH + STEADY
            turns[kind].append(bench.turn(kinds[kind], first))
    bench.client.close()
    setup_bench.accounting_starts(here, first + RUSH + STEADY)
    return turns, bench.load


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--hammer", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.hammer:
        # The client stands for one on another machine: it takes what the others leave.
        os.nice(_NICE)
        uvloop.run(hammer())
        return
    rounds = arguments.rounds
    with setup_bench.running(interims=_QUIET_INTERIMS) as here:
        turns, load = measure(here, rounds)

    def ratio(kind: str) -> float:
        pairs = zip(turns[CLIENT], turns[kind], strict=True)
        return statistics.median(beside.rate / other.rate for beside, other in pairs)

    server, client = load.each
    harness.report(
        "netconf-isolation",
        round(statistics.median(turn.rate for turn in turns[CLIENT]), 1),
        "sessions/s",
        "beside as much CPU burnt by processes that ask nothing, at the same priorities",
        round(statistics.median(turn.rate for turn in turns[BURNT]), 1),
        ratio(BURNT),
        f"ratio to the rate without load {ratio(QUIET):.2f}; {rounds} rounds of a turn each, {RUSH} "
        f"subscribers as fast as they are served ({setup_bench.WINDOW} at once), then {STEADY} at {RATE} a "
        f"second; without load: {told(turns[QUIET])}; beside the client: {told(turns[CLIENT])}; beside burnt "
        f"CPU: {told(turns[BURNT])}; a get of all sessions took {1e3 * server:.0f} ms of management's CPU, "
        f"{1e3 * client:.0f} ms of the client's, {load.octets / load.gets / 1e6:.1f} MB; {load.gets} gets "
        f"with {load.server + load.client:.1f} s of CPU, burnt {load.burnt:.1f} s; "
        f"the client at nice {_NICE}; "
        f"{setup_bench.SERVERS}",
    )


if __name__ == "__main__":
    main()
