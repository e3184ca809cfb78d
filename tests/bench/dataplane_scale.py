"""dataplane-scale: 50,000 sessions into the kernel, in a rush, and what it then takes to keep them there.

Sessions start in batches, as the writer's loop has them, while a thread makes classes ahead, as the control
plane has it. The baseline is the same with one HTB per interface, for as many sessions as it takes in a
portion of the time: its rate falls with every session, so it is measured at the end of that portion.

    python tests/bench/dataplane_scale.py [--sessions 50000] [--baseline 10000]
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

from bng.dataplane.base import Change, DataPlaneConfig, Rates, Start, Stop
from bng.dataplane.kernel import KernelDataPlane
from bng.dataplane.shards import FLAT
from tests.bench import harness
from tests.support import subscriber_net as net

SESSIONS, BASELINE = 50_000, 10_000
BATCH = 32
LAST = 1_000
"""Sessions at the end of the baseline's portion whose rate is taken."""
PLAN, OTHER = Rates(100_000_000, 50_000_000), Rates(20_000_000, 10_000_000)
CONFIG = DataPlaneConfig(("acc0",), "wan0")


@dataclass
class Figures:
    """Of one number of sessions: microseconds per session, milliseconds for the rest."""

    start: float = 0.0
    stop: float = 0.0
    change: float = 0.0
    sweep: float = 0.0
    audit: float = 0.0
    adopt: float = 0.0

    def __str__(self) -> str:
        return (
            f"start {self.start:.0f} µs, stop {self.stop:.0f}, change {self.change:.0f}; "
            f"sweep {self.sweep:.0f} ms, audit {self.audit:.0f}, adoption {self.adopt:.0f}"
        )


@dataclass
class Rush:
    """How the building went.

    Attributes:
        seconds: for all.
        at: seconds after so many sessions.
        longest: seconds of the longest batch on the loop.
    """

    seconds: float = 0.0
    at: dict[int, float] = field(default_factory=dict)
    longest: float = 0.0


def session(number: int) -> Start:
    mac, ip = net.subscriber_mac(number), net.subscriber_ip(number)
    return Start(number, f"{number:016x}", "acc0", mac, ip, PLAN)


@contextmanager
def growing(plane: KernelDataPlane) -> Iterator[None]:
    """Classes are made ahead, in a thread, as long as sessions come."""
    ended = threading.Event()

    def grow() -> None:
        while not ended.is_set():
            ended.wait(0.002 if plane.grow() else 0.1)

    thread = threading.Thread(target=grow)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def start(plane: KernelDataPlane, numbers: range) -> None:
    failed = [result for result in plane.start([session(number) for number in numbers]) if result.error]
    if failed:
        raise SystemExit(str(failed[0]))


def build(plane: KernelDataPlane, first: int, count: int, rush: Rush) -> None:
    """Start sessions up to a number of them, one batch after the other."""
    began = time.perf_counter() - rush.seconds
    with growing(plane):
        for at in range(first, count, BATCH):
            before = time.perf_counter()
            start(plane, range(at, min(at + BATCH, count)))
            rush.longest = max(rush.longest, time.perf_counter() - before)
            rush.at[at] = time.perf_counter() - began
            time.sleep(0)
    rush.seconds = time.perf_counter() - began


def milliseconds(work: Callable[[], object], times: int = 3) -> float:
    """The median of some runs."""
    taken = []
    for _ in range(times):
        before = time.perf_counter()
        work()
        taken.append(time.perf_counter() - before)
    return 1000 * statistics.median(taken)


def take(plane: KernelDataPlane, count: int) -> tuple[KernelDataPlane, Figures]:
    """Measure with so many sessions. The plane that has adopted them all goes on."""
    figures, each = Figures(), 500
    some = range(count - each, count)
    stops = [Stop(number, f"{number:016x}") for number in some]

    def singly(work: Callable[[int], object]) -> float:
        before = time.perf_counter()
        for at in range(each):
            work(at)
        return 1e6 * (time.perf_counter() - before) / each

    figures.change = singly(lambda at: plane.change([Change(some[at], OTHER)]))
    figures.stop = singly(lambda at: plane.stop([stops[at]]))
    figures.start = singly(lambda at: plane.start([session(some[at])]))
    figures.sweep = milliseconds(plane.sweep)
    if (swept := int(plane.sweep().valid.sum())) != count:
        raise SystemExit(f"{swept} of {count} sessions were swept")
    figures.audit = milliseconds(plane.audit, 1)
    plane.close()
    adopted = KernelDataPlane()

    def adopt() -> None:
        adopted.open(CONFIG)
        if len(adopted.installed()) != count:
            raise SystemExit(f"{len(adopted.installed())} of {count} sessions were adopted")

    figures.adopt = milliseconds(adopt, 1)
    return adopted, figures


def one_htb(count: int) -> float:
    """Sessions per second at the end of a portion with one HTB per interface."""
    with net.World():
        plane, rush = KernelDataPlane(layout=FLAT), Rush()
        plane.open(CONFIG)
        build(plane, 0, count, rush)
        plane.close(remove=True)
    marks = sorted(rush.at)
    first = next(mark for mark in marks if mark >= count - LAST)
    return (marks[-1] - first) / (rush.at[marks[-1]] - rush.at[first])


def measure(sessions: int, baseline: int) -> None:
    with net.World():
        plane, rush = KernelDataPlane(), Rush()
        plane.open(CONFIG)
        build(plane, 0, baseline, rush)
        plane, few = take(plane, baseline)
        build(plane, baseline, sessions, rush)
        plane, many = take(plane, sessions)
        plane.close(remove=True)
    rate = sessions / rush.seconds
    flat = one_htb(baseline)
    harness.report(
        name="dataplane-scale",
        value=round(rate, 1),
        unit="sessions/s",
        baseline=f"one HTB per interface, sessions {baseline - LAST} to {baseline}, falling further",
        baseline_value=round(flat, 1),
        ratio=rate / flat,
        conditions=(
            f"{sessions} sessions with gate, source guard, neighbour and two classes each "
            f"in {rush.seconds:.1f} s, batches of {BATCH}, the longest {1000 * rush.longest:.0f} ms; "
            f"with {baseline}: {few}; "
            f"with {sessions}: {many}; starts, stops and changes one at a time"
        ),
    )


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=SESSIONS)
    parser.add_argument("--baseline", type=int, default=BASELINE)
    arguments = parser.parse_args()
    measure(arguments.sessions, arguments.baseline)


if __name__ == "__main__":
    main()
