"""gnmi-gnmic: what it costs to have gnmic take the counters of 10,000 sessions every second.

The real gnmic subscribes over TLS and writes all that it gets as JSON into a file, which is read here and
counted by timestamp: each tick has to come, and come whole. The figure is the processor time of server and
gnmic together for each tick; the baseline is the same with ordinary protobuf, one Notification per session.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import re
import shutil
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import uvloop

from telemetry.subscribe import SECOND
from tests.bench import harness
from tests.support import gnmi_bench

SESSIONS = 10_000
PATIENCE = 5
"""Seconds that gnmic has to write the last tick."""

TOKEN = re.compile(rb'"timestamp": (\d+)|"Path": ')


@dataclass
class Output:
    """What gnmic has written so far.

    Attributes:
        leaves: of each timestamp.
        last: when the last of them came, seconds since the epoch.
    """

    leaves: dict[int, int] = field(default_factory=dict)
    last: dict[int, float] = field(default_factory=dict)

    async def follow(self, path: Path) -> None:
        """Read a file that grows, until cancelled."""
        rest, current = b"", 0
        with path.open("rb") as file:
            while True:
                chunk = file.read(1 << 20)
                if not chunk:
                    await asyncio.sleep(0.02)
                    continue
                whole, newline, rest = (rest + chunk).rpartition(b"\n")
                now = time.time()
                for found in TOKEN.finditer(whole + newline):
                    if found[1]:
                        current = int(found[1])
                    else:
                        self.leaves[current] = self.leaves.get(current, 0) + 1
                        self.last[current] = now
                await asyncio.sleep(0)


@dataclass(frozen=True)
class Result:
    """Processor seconds per tick of the server and of gnmic, delays of ticks, and how many were missed."""

    server: float
    gnmic: float
    delays: list[float]
    missed: int


async def measure(gnmic: str, encoder: str, seconds: int) -> Result:
    """Subscribe for so long."""
    async with gnmi_bench.server(SESSIONS, SECOND, encoder=encoder) as running:
        # a file and no pipe: gnmic is not held up by who counts
        path = running.folder / "gnmic.json"
        with path.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                *[gnmic, "-a", f"127.0.0.1:{running.port}", "-u", gnmi_bench.USER, "-p", gnmi_bench.PASSWORD],
                *["--tls-ca", str(running.folder / "cert.pem"), "-e", "proto", "subscribe"],
                *["--stream-mode", "sample", "-i", "1s", "--path", gnmi_bench.PATH],
                stdout=file,
            )
        output = Output()
        reading = asyncio.create_task(output.follow(path))
        try:
            await asyncio.sleep(3)
            used, began = (running.processor(), gnmi_bench.processor_seconds(process.pid)), time.time_ns()
            await asyncio.sleep(seconds)
            server = running.processor() - used[0]
            client = gnmi_bench.processor_seconds(process.pid) - used[1]
            ended = time.time_ns()
            await asyncio.sleep(PATIENCE)
        finally:
            process.kill()
            await process.wait()
            reading.cancel()
    times = sorted(time_ns for time_ns in output.leaves if began < time_ns < ended)
    if not times:
        raise SystemExit("gnmic wrote no tick")
    broken = sum(output.leaves[time_ns] != running.leaves for time_ns in times)
    gaps = sum(round((later - time_ns) / SECOND) - 1 for time_ns, later in itertools.pairwise(times))
    delays = sorted(output.last[time_ns] - time_ns / 1e9 for time_ns in times)
    return Result(server / seconds, client / seconds, delays, broken + gaps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=15)
    options = parser.parse_args()
    gnmic = shutil.which("gnmic") or str(Path.home() / ".cache/aether/bin/gnmic")
    if not Path(gnmic).exists():
        raise SystemExit("gnmic is not installed: make setup")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        fixed = runner.run(measure(gnmic, "fixed", options.seconds))
        ordinary = runner.run(measure(gnmic, "ordinary", options.seconds))
    value, baseline = fixed.server + fixed.gnmic, ordinary.server + ordinary.gnmic
    harness.report(
        "gnmi-gnmic",
        round(value * 1000),
        "ms of CPU per tick, server and gnmic",
        "ordinary protobuf, one Notification per session",
        round(baseline * 1000),
        baseline / value,
        f"{SESSIONS} sessions x {len(gnmi_bench.COUNTERS)} counters every second, TLS; the server used "
        f"{fixed.server * 1000:.0f} and {ordinary.server * 1000:.0f} ms per tick, gnmic, which writes them "
        f"as JSON, {fixed.gnmic * 1000:.0f} and {ordinary.gnmic * 1000:.0f}; gnmic had written a tick after "
        f"{statistics.median(fixed.delays):.2f} s, at worst {fixed.delays[-1]:.2f} s (baseline "
        f"{statistics.median(ordinary.delays):.2f} and {ordinary.delays[-1]:.2f}); {fixed.missed} of "
        f"{len(fixed.delays)} ticks missed or not whole (baseline {ordinary.missed} of "
        f"{len(ordinary.delays)}); load average {os.getloadavg()[0]:.1f}",
    )


if __name__ == "__main__":
    main()
