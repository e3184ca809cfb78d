"""gnmi-fanout: what a subscriber costs the server when four take the same samples.

50,000 sessions with 8 counters each are sampled every second by four clients on connections of their own,
over TLS. The figure is the processor time of the server for each tick and subscriber; the baseline is the
same with one subscriber. Encoding is shared, sending is not.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import uvloop

from telemetry.subscribe import SECOND
from tests.bench import harness
from tests.support import gnmi_bench

SESSIONS, SUBSCRIBERS = 50_000, 4


async def measure(subscribers: int, seconds: float) -> tuple[float, float, gnmi_bench.Ticks]:
    """(processor seconds of the server per tick and subscriber, share of a core, what they saw)."""
    async with gnmi_bench.server(SESSIONS, SECOND) as running, contextlib.AsyncExitStack() as stack:
        calls = [await stack.enter_async_context(running.subscription()) for _ in range(subscribers)]
        readers = [gnmi_bench.Counting(call) for call in calls]
        await asyncio.gather(*(reader.begin(running.leaves) for reader in readers))
        await asyncio.gather(*(gnmi_bench.follow(reader, running, 2) for reader in readers))
        used = running.processor()
        seen = await asyncio.gather(*(gnmi_bench.follow(reader, running, seconds) for reader in readers))
        used = running.processor() - used
    delays = [delay for ticks in seen for delay in ticks.delays]
    together = gnmi_bench.Ticks(sorted(delays), sum(ticks.skipped for ticks in seen))
    return used / len(delays), used / seconds, together


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0)
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        one, one_share, alone = runner.run(measure(1, options.seconds))
        four, share, seen = runner.run(measure(SUBSCRIBERS, options.seconds))
    median = seen.delays[len(seen.delays) // 2]
    harness.report(
        "gnmi-fanout",
        round(four * 1000, 1),
        "ms of CPU per tick and subscriber",
        "one subscriber",
        round(one * 1000, 1),
        one / four,
        f"{SESSIONS} sessions x {len(gnmi_bench.COUNTERS)} counters every second to {SUBSCRIBERS} "
        f"subscribers, TLS, all clients in one other process; the server used {share:.2f} of a core, "
        f"with one subscriber {one_share:.2f}; a tick was with its readers after {median:.2f} s, at "
        f"worst {seen.delays[-1]:.2f} s, with one after at worst {alone.delays[-1]:.2f} s; {seen.skipped} of "
        f"{len(seen.delays)} ticks missed; load average {os.getloadavg()[0]:.1f}",
    )


if __name__ == "__main__":
    main()
