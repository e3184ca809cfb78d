"""session-latency: milliseconds from a subscriber's DISCOVER to its ACK while others come at a steady rate.

400 subscribers a second arrive for ten seconds at a whole BNG, whether those before are served or not (an
open loop: a stall makes all who arrive meanwhile wait, and counts). Nothing is sent twice. The time runs from
when a subscriber was due. The baseline asks Kea directly at the same rate with the same emulator.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench import harness
from tests.support import setup_bench
from tests.support.bng_world import GATEWAY, World, world
from tests.support.dhcp_client import RelayedSubscribers, Subscriber, Subscribers
from tests.support.setup_bench import percentile

RATE = 400
SECONDS = 10
FAR = 1_000_000


def latencies(agent: Subscribers, numbers: range, rate: float) -> list[float]:
    """Sorted seconds from DISCOVER to ACK."""
    wanted = [Subscriber(number) for number in numbers]
    bound = agent.arrive(wanted, rate)
    assert bound == len(wanted), f"{bound} of {len(wanted)} got an address"
    return sorted(subscriber.bound - subscriber.began for subscriber in wanted)


def ask_kea(here: World, count: int, rate: float) -> list[float]:
    here.namespaces.ip("b", "address", "add", "192.0.2.1/24", "dev", "dhcp0")
    relay = here.namespaces.inside("b", lambda: RelayedSubscribers("192.0.2.1", GATEWAY, "192.0.2.2"))
    try:
        relay.exchange([Subscriber(FAR + number) for number in range(20)], window=4)
        return latencies(relay, range(FAR + 100, FAR + 100 + count), rate)
    finally:
        relay.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=RATE)
    parser.add_argument("--seconds", type=int, default=SECONDS)
    arguments = parser.parse_args()
    rate, count = arguments.rate, arguments.rate * arguments.seconds
    with tempfile.TemporaryDirectory() as folder, world(Path(folder)) as here:
        kea = percentile(ask_kea(here, count, rate), 0.99)
        setup_bench.start(here, count + 100)
        here.attach(*range(count, count + 20))
        took = latencies(here.subscribers, range(count), rate)
        setup_bench.accounting_starts(here, count + 20)
    p99 = percentile(took, 0.99)
    harness.report(
        "session-latency",
        round(p99, 2),
        "ms",
        "Kea alone, asked directly by the same emulator at the same rate",
        round(kea, 2),
        kea / p99,
        f"p99 of DISCOVER to ACK, {count} subscribers at {rate} a second, open loop: median "
        f"{percentile(took, 0.5):.2f} ms, p99.9 {percentile(took, 0.999):.2f} ms; {setup_bench.SERVERS}",
    )


if __name__ == "__main__":
    main()
