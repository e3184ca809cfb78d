"""gnmi-stream: counter leaves per second that one core of a gNMI server sends.

10,000 sessions with 8 counters each are sampled at the fastest interval by one client in another process,
over TLS, through the real server and tree. What is measured is the processor time of the server, user and
system, while the client received that many leaves. The baseline is the same server with the same content
in ordinary protobuf, one Notification per session. All are measured several times in turns; medians count.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import uvloop

from telemetry.subscribe import SECOND
from tests.bench import harness
from tests.support import gnmi_bench

SESSIONS = 10_000
INTERVAL = SECOND // 20


async def measure(encoder: str, seconds: float, tls: bool = True) -> tuple[float, float]:
    """(leaves per second of the server's processor time, share of one core that it used)."""
    async with (
        gnmi_bench.server(SESSIONS, INTERVAL, encoder=encoder, tls=tls) as running,
        running.subscription() as call,
    ):
        counting = gnmi_bench.Counting(call)
        await counting.begin(running.leaves)
        warm = time.monotonic() + 1.0
        while time.monotonic() < warm:
            await counting.read()
        received = 0
        used, began = running.processor(), time.monotonic()
        while time.monotonic() - began < seconds:
            received += (await counting.read())[0]
        used, elapsed = running.processor() - used, time.monotonic() - began
        return received / used, used / elapsed


async def main_async(rounds: int, seconds: float) -> None:
    ways = {"fixed": True, "ordinary": True, "fixed without TLS": False}
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, tls in ways.items():
            found[way].append(await measure(way.split()[0], seconds, tls))
    rate = {way: statistics.median(rate for rate, _ in runs) for way, runs in found.items()}
    share = {way: statistics.median(share for _, share in runs) for way, runs in found.items()}
    best = max(rate for rate, _ in found["fixed"])
    harness.report(
        "gnmi-stream",
        round(rate["fixed"]),
        "leaves/s per server core",
        "ordinary protobuf, one Notification per session",
        round(rate["ordinary"]),
        rate["fixed"] / rate["ordinary"],
        f"{SESSIONS} sessions x {len(gnmi_bench.COUNTERS)} counters every {INTERVAL // 10**6} ms, TLS, one "
        f"client in another process; the server used {share['fixed']:.2f} and {share['ordinary']:.2f} of a "
        f"core; median of {rounds}, best {best / 1e6:.1f} M; without TLS "
        f"{rate['fixed without TLS'] / 1e6:.1f} M; load average {os.getloadavg()[0]:.1f}",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main_async(options.rounds, options.seconds))


if __name__ == "__main__":
    main()
