"""session-setup: subscribers per second from their DISCOVER until the kernel forwards and shapes them.

1,000 subscribers behind a bridged access node attach to a whole BNG: real Kea and FreeRADIUS, the data plane
of the kernel. A session counts as set up by the durable policy-apply event in the journal: address bound,
RADIUS asked, gate open, class shaped. The baseline asks Kea directly for the same addresses with the same
emulator in the same run: what remains when the BNG costs nothing.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from bng.seam.reader import JournalReader
from tests.bench import harness
from tests.support.bng_world import GATEWAY, World, world
from tests.support.dhcp_client import RelayedSubscribers, Subscriber
from tests.support.servers import wait_for

SUBSCRIBERS = 1000
WINDOW = 32
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


def set_up(here: World, count: int) -> tuple[float, list[float]]:
    """(sessions per second, seconds that each took) through the BNG."""
    here.attach(*range(count, count + 20))
    wanted = [Subscriber(number) for number in range(count)]
    offset = time.time() - time.monotonic()
    bound = here.subscribers.exchange(wanted, window=WINDOW, within=120)
    assert len(bound) == count, f"{len(bound)} of {count} got an address"
    began = {subscriber.circuit_id: subscriber.began + offset for subscriber in bound}
    journal = JournalReader(here.state_dir / "journal")
    active: dict[str, float] = {}

    def all_active() -> bool:
        journal.refresh()
        for event in journal.read(journal.oldest, 1_000_000):
            circuit = event.get("access-line", {}).get("circuit-id")
            if event["type"] == "policy-apply" and circuit in began:
                active.setdefault(circuit, event["_time_ns"] / 1e9)
        return len(active) == count

    wait_for("all sessions are set up", all_active, 60)
    took = [active[circuit] - start for circuit, start in began.items()]
    return count / (max(active.values()) - min(began.values())), sorted(took)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subscribers", type=int, default=SUBSCRIBERS)
    count = parser.parse_args().subscribers
    with tempfile.TemporaryDirectory() as folder, world(Path(folder)) as here:
        kea = ask_kea(here, count)
        here.start()
        rate, took = set_up(here, count)
    median, p99 = took[count // 2] * 1000, took[count * 99 // 100] * 1000
    harness.report(
        "session-setup",
        round(rate, 1),
        "sessions/s",
        "Kea alone, asked directly by the same emulator",
        round(kea, 1),
        rate / kea,
        f"{count} subscribers, {WINDOW} at once, DISCOVER to data plane active: median {median:.1f} ms, "
        f"p99 {p99:.1f} ms; Kea (memfile), FreeRADIUS, BNG and emulator on the same cores",
    )


if __name__ == "__main__":
    main()
