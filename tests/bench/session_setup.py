"""session-setup: subscribers per second from their DISCOVER until the kernel forwards and shapes them.

4,000 subscribers behind a bridged access node attach to a whole BNG: real Kea and FreeRADIUS, the data plane
of the kernel. A session counts as set up by the durable policy-apply event in the journal: address bound,
RADIUS asked, gate open, class shaped. At the end every Accounting-Start has arrived at FreeRADIUS. The
baseline asks Kea directly for the same addresses with the same emulator in the same run: what remains when
the BNG costs nothing.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench import harness
from tests.support import setup_bench
from tests.support.bng_world import GATEWAY, World, world
from tests.support.dhcp_client import RelayedSubscribers, Subscriber
from tests.support.setup_bench import WINDOW, percentile

SUBSCRIBERS = 4000
BASELINE = 1000
FAR = 1_000_000
"""First number of the subscribers of the baseline: their leases are none of the BNG's."""


def ask_kea(here: World, count: int) -> float:
    """Exchanges per second with Kea alone."""
    here.namespaces.ip("b", "address", "add", "192.0.2.1/24", "dev", "dhcp0")

    def agent() -> RelayedSubscribers:
        return RelayedSubscribers("192.0.2.1", GATEWAY, "192.0.2.2")

    relay = here.namespaces.inside("b", agent)
    try:
        # the first ones wait for ARP and for Kea's caches
        relay.exchange([Subscriber(FAR + number) for number in range(20)], window=4)
        wanted = [Subscriber(FAR + 100 + number) for number in range(count)]
        began = time.perf_counter()
        bound = relay.exchange(wanted, window=WINDOW)
        elapsed = time.perf_counter() - began
    finally:
        relay.close()
    assert len(bound) == count, f"Kea answered {len(bound)} of {count}"
    return count / elapsed


def journal_size(here: World) -> int:
    return sum(path.stat().st_size for path in (here.state_dir / "journal").glob("*.log"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subscribers", type=int, default=SUBSCRIBERS)
    count = parser.parse_args().subscribers
    with tempfile.TemporaryDirectory() as folder, world(Path(folder)) as here:
        kea = ask_kea(here, BASELINE)
        setup_bench.start(here, count + 100)
        here.attach(*range(count, count + 20))
        before = journal_size(here)
        rate, took = setup_bench.set_up(here, range(count))
        written = (journal_size(here) - before) / count
        setup_bench.accounting_starts(here, count + 20)
    harness.report(
        "session-setup",
        round(rate, 1),
        "sessions/s",
        "Kea alone, asked directly by the same emulator",
        round(kea, 1),
        rate / kea,
        f"{count} subscribers, {WINDOW} at once, DISCOVER to data plane active: median "
        f"{percentile(took, 0.5):.1f} ms, p99 {percentile(took, 0.99):.1f} ms; {written:.0f} octets of "
        f"journal each; {setup_bench.SERVERS}",
    )


if __name__ == "__main__":
    main()
