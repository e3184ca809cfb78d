"""loop-lag: how late the control loop is, at the 99th percentile, while 50,000 sessions live.

For a minute: a sweep over the counters of all sessions every ten seconds, each of which carried traffic; an
Interim-Update of each session every 300 s; 200 renewals a second through capture, relay and journal; a
checkpoint of all sessions every 5,000 events. A probe is due every 5 ms; while the loop stands still, each
probe that was due meanwhile counts with the time that it waited. The baseline is the same loop without
sessions.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import uvloop

from bng.daemon.control import Control
from bng.daemon.process import configure_logging, prefer_this_process
from bng.dataplane.kernel import KernelDataPlane
from bng.session import events as ev
from tests.bench import harness
from tests.support import filled_control
from tests.support.netns import Namespaces
from tests.support.setup_bench import percentile

SESSIONS, SECONDS, IDLE_SECONDS = 50_000, 60, 10
RENEWALS, INTERIM = 200, 300
PERIOD = 0.005


async def probe(seconds: float) -> list[float]:
    """Sorted seconds by which probes were late."""
    late: list[float] = []
    due, end = time.monotonic() + PERIOD, time.monotonic() + seconds
    while due < end:
        await asyncio.sleep(max(due - time.monotonic(), 0))
        now = time.monotonic()
        while due <= now:
            late.append(now - due)
            due += PERIOD
    return sorted(late)


async def renew(control: Control, count: int) -> None:
    """Renewals, spread over time and sessions, until cancelled."""
    numbers = itertools.cycle(range(count))
    for xid in itertools.count(1):
        control.outlets.from_subscriber("sub0", filled_control.renewal(next(numbers), xid), False)
        await asyncio.sleep(1 / RENEWALS)


async def interim(control: Control) -> None:
    """The timers of Interim-Updates, as they come when sessions did not all begin just now."""
    ids = itertools.cycle([session.id for session in control.machine.store])
    while True:
        control.writer.post(ev.TimerDue(ev.Timer.INTERIM, next(ids)))
        await asyncio.sleep(INTERIM / len(control.machine.store))


async def measure(
    folder: Path, count: int, seconds: int, kernel: bool
) -> tuple[list[float], list[float], str]:
    """Lateness with sessions and without, and what happened meanwhile."""
    filled_control.prepare(folder / "bng", counters=10, reconcile=15)
    plane = KernelDataPlane() if kernel else filled_control.BusyDataPlane()
    control, serving = await filled_control.start(folder / "bng", plane, interim=INTERIM)
    idle = await probe(IDLE_SECONDS)
    await filled_control.fill(control, count)
    outlets = control.writer.outlets
    assert isinstance(outlets, filled_control.InstantServers)
    await asyncio.sleep(2)
    accounts, events, sweeps = outlets.accounts, control.journal.newest, control.matrix.tick
    traffic = [asyncio.ensure_future(task) for task in (renew(control, count), interim(control))]
    late = await probe(seconds)
    for task in traffic:
        task.cancel()
    happened = (
        f"{control.matrix.tick - sweeps} sweeps, {outlets.accounts - accounts} Interim-Updates, "
        f"{control.journal.newest - events} renewals"
    )
    assert len(control.machine.store) == count
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    return late, idle, happened


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=SESSIONS)
    parser.add_argument("--seconds", type=int, default=SECONDS)
    parser.add_argument("--kernel", action="store_true", help="with the kernel's data plane")
    arguments = parser.parse_args()
    configure_logging("control")
    prefer_this_process()
    with tempfile.TemporaryDirectory() as folder, Namespaces("b", "s", "w", "m") as namespaces:
        namespaces.veth("b", "sub0", "s", "s0")
        namespaces.veth("b", "up0", "w", "w0")
        namespaces.veth("b", "dhcp0", "m", "m0")
        late, idle, happened = namespaces.inside(
            "b",
            lambda: uvloop.run(
                measure(Path(folder), arguments.sessions, arguments.seconds, arguments.kernel)
            ),
        )
    value, baseline = percentile(late, 0.99), percentile(idle, 0.99)
    harness.report(
        "loop-lag",
        round(value, 2),
        "ms",
        "the same loop without sessions",
        round(baseline, 2),
        baseline / value,
        f"p99 over {arguments.seconds} s with {arguments.sessions} sessions: median "
        f"{percentile(late, 0.5):.2f} ms, p99.9 {percentile(late, 0.999):.1f} ms, worst "
        f"{late[-1] * 1000:.1f} ms; {happened}; data plane "
        f"{'of the kernel' if arguments.kernel else 'in memory'}",
    )


if __name__ == "__main__":
    main()
