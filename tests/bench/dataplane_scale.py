"""dataplane-scale: what it takes to have tens of thousands of sessions in the kernel, and to keep them there.

First the classes are made, ahead of the sessions, as `prepared-sessions` has it: what each takes grows
with how many there are on the machine (`bng.dataplane.shards` says why), so the figures are a curve. Then
the sessions start, in batches, as the writer's loop has them. The baseline is a rush whose classes a
thread makes as it comes, for as many sessions as it takes in a portion of the time; its rate falls with
every session, so it is that at the end of the portion.

    python tests/bench/dataplane_scale.py [--sessions 20000] [--baseline 5000]

The classes of 50,000 sessions take some five times as long to make as those of 20,000.
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
from tests.bench import harness
from tests.support import subscriber_net as net

SESSIONS, BASELINE = 20_000, 5_000
MARKS = (1_000, 5_000, 10_000, 20_000, 30_000, 40_000, 50_000)
"""Sessions at which it is told what making classes takes."""
BATCH = 32
LAST = 1_000
"""Sessions at the end of the baseline's portion whose rate is taken."""
PLAN, OTHER = Rates(100_000_000, 50_000_000), Rates(20_000_000, 10_000_000)
NEWEST = 500
"""Sessions below such a mark for whose classes the time is taken."""
CONFIG = DataPlaneConfig(("acc0",), "wan0")


def prepared(sessions: int) -> DataPlaneConfig:
    """With classes made ahead for so many."""
    return DataPlaneConfig(("acc0",), "wan0", reserve=sessions)


@dataclass
class Made:
    """How classes were made.

    Attributes:
        seconds: of the CPU, for all.
        each: microseconds of the CPU for the two classes of a session, when there were so many.
        longest: milliseconds of the longest batch, with the lock of all network configuration.
    """

    seconds: float = 0.0
    each: dict[int, float] = field(default_factory=dict)
    longest: float = 0.0

    def __str__(self) -> str:
        curve = ", ".join(f"{each:.0f} at {mark:,}" for mark, each in self.each.items())
        return (
            f"{self.seconds:.1f} s of CPU, µs for each session {curve}; longest batch {self.longest:.1f} ms"
        )


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


def make_classes(plane: KernelDataPlane, sessions: int) -> Made:
    """Have the classes of so many sessions made, and nothing else."""
    made = Made()

    def make(end: int) -> float:
        """Up to those of so many. Seconds of CPU."""
        plane.open(prepared(end))
        began = time.thread_time()
        more = True
        while more:
            before = time.thread_time()
            more = plane.grow()
            made.longest = max(made.longest, 1000 * (time.thread_time() - before))
        made.seconds += time.thread_time() - began
        return time.thread_time() - began

    for mark in sorted({*(mark for mark in MARKS if mark < sessions), sessions}):
        make(mark - NEWEST)
        made.each[mark] = 1e6 * make(mark) / NEWEST
    return made


def rush(count: int) -> float:
    """Sessions per second at the end of a rush of so many whose classes are made as it comes."""
    with net.World():
        plane, went = KernelDataPlane(), Rush()
        plane.open(CONFIG)
        build(plane, 0, count, went)
        plane.close(remove=True)
    marks = sorted(went.at)
    first = next(mark for mark in marks if mark >= count - LAST)
    return (marks[-1] - first) / (went.at[marks[-1]] - went.at[first])


def measure(sessions: int, baseline: int) -> None:
    with net.World():
        plane, went = KernelDataPlane(), Rush()
        plane.open(prepared(sessions))
        made = make_classes(plane, sessions)
        build(plane, 0, baseline, went)
        plane, few = take(plane, baseline)
        build(plane, baseline, sessions, went)
        plane, many = take(plane, sessions)
        began = time.perf_counter()
        plane.close(remove=True)
        removal = time.perf_counter() - began
    rate = sessions / went.seconds
    unprepared = rush(baseline)
    harness.report(
        name="dataplane-scale",
        value=round(rate, 1),
        unit="sessions/s",
        baseline=f"classes made as sessions come, sessions {baseline - LAST} to {baseline}, falling further",
        baseline_value=round(unprepared, 1),
        ratio=rate / unprepared,
        conditions=(
            f"{sessions} sessions with gate, source guard, neighbour and two classes each, which were made "
            f"ahead ({made}); started in {went.seconds:.1f} s, batches of {BATCH}, "
            f"the longest {1000 * went.longest:.0f} ms; with {baseline}: {few}; with {sessions}: {many}; "
            f"starts, stops and changes one at a time; all taken away in {removal:.1f} s; veth"
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
