"""gnmi-stuck: how long samples take to others while some subscribers read nothing any more.

10,000 sessions with 8 counters each go every 100 ms to a subscriber that reads: alone, then beside four that
have asked for the same and never read, and so on in turns. The figure is the time from a tick's timestamp
until all of it was read, its median beside the stuck ones; the baseline is the same without them. The
processor time and the memory of the server are told too.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import uvloop

from telemetry.subscribe import SECOND
from tests.bench import harness
from tests.support import gnmi_bench

SESSIONS, STUCK, INTERVAL = 10_000, 4, SECOND // 10


def percentile(delays: list[float], share: float) -> float:
    """Milliseconds."""
    return sorted(delays)[int(len(delays) * share)] * 1000


@dataclass
class Seen:
    """What some phases gave: delays of ticks and CPU of the server in seconds, its memory in MiB."""

    delays: list[float] = field(default_factory=list)
    skipped: int = 0
    used: float = 0.0
    memory: list[int] = field(default_factory=list)

    async def phase(self, reader: gnmi_bench.Counting, running: gnmi_bench.Running, seconds: float) -> None:
        used = running.processor()
        ticks = await gnmi_bench.follow(reader, running, seconds)
        self.used += running.processor() - used
        self.delays += ticks.delays
        self.skipped += ticks.skipped
        self.memory.append(running.memory() >> 20)

    def told(self) -> str:
        """In words."""
        return (
            f"median {percentile(self.delays, 0.5):.1f} ms, 99th percentile "
            f"{percentile(self.delays, 0.99):.1f}, "
            f"{self.used / len(self.delays) * 1000:.1f} ms of the server's CPU per tick, "
            f"{self.skipped} of {len(self.delays)} ticks missed"
        )


async def measure(rounds: int, seconds: float) -> None:
    """Measure and report."""
    alone, beside = Seen(), Seen()
    async with gnmi_bench.server(SESSIONS, INTERVAL) as running, running.subscription() as call:
        reader = gnmi_bench.Counting(call)
        await reader.begin(running.leaves)
        await gnmi_bench.follow(reader, running, 2)
        for _ in range(rounds):
            await alone.phase(reader, running, seconds)
            async with contextlib.AsyncExitStack() as stack:
                for _ in range(STUCK):
                    await stack.enter_async_context(running.subscription())
                await gnmi_bench.follow(reader, running, 2)  # what connections hold fills up
                await beside.phase(reader, running, seconds)
            await gnmi_bench.follow(reader, running, 1)
        await alone.phase(reader, running, seconds)
    value, baseline = percentile(beside.delays, 0.5), percentile(alone.delays, 0.5)
    harness.report(
        "gnmi-stuck",
        round(value, 1),
        "ms until a tick is read",
        "without stuck subscribers",
        round(baseline, 1),
        baseline / value,
        f"{SESSIONS} sessions x {len(gnmi_bench.COUNTERS)} counters every {INTERVAL // 10**6} ms to one "
        f"subscriber, TLS; beside {STUCK} that never read: {beside.told()}; without them: {alone.told()}; "
        f"{rounds} turns of {seconds:g} s; memory of the server {alone.memory[0]} MiB at first, beside them "
        f"{max(beside.memory)} at most; load average {os.getloadavg()[0]:.1f}",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(measure(options.rounds, options.seconds))


if __name__ == "__main__":
    main()
