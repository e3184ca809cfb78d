"""lease-comparison: how late the control plane's loop is while 10,000 sessions are compared with leases.

A real Kea with its control agent; a fake kernel and a RADIUS server that accepts at once. The first round
brings all sessions back from the leases. The figures are those of the second one, which finds that all fits,
and of the comparison with the kernel after it. The loop's lateness is measured every 2 ms, for a second
without work as well: the machine has its part in it. The baseline is the same comparison at one go: all
leases in one answer, decoded and compared without a pause.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import socket
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import structlog

from bng.config import LeaseApi
from bng.leases import lease as kea_leases
from bng.leases.comparison import Comparison
from bng.leases.keeper import LeaseKeeper
from bng.leases.places import Place
from bng.reconcile import Reconciler
from bng.repairs import Repairs
from bng.session import events as ev
from tests.bench import harness
from tests.support.control_bench import Bench
from tests.support.fake_kea import option82
from tests.support.netns import Namespaces
from tests.support.servers import PASSWORD, Kea, wait_for

SESSIONS = 10_000
_EVERY = 0.002


def fill(kea: Kea, count: int) -> None:
    """Give Kea its leases."""
    for number in range(count):
        with socket.socket(socket.AF_UNIX) as channel:
            channel.connect(kea.socket)
            lease = {
                "ip-address": f"10.64.{1 + number // 250}.{1 + number % 250}",
                "hw-address": (0x02AE_0000_0000 + number).to_bytes(6, "big").hex(":"),
                "subnet-id": 1,
                "valid-lft": 36_000,
                "user-context": {"ISC": {"relay-agent-info": option82(f"node-1 1/0/{number}")}},
            }
            channel.sendall(json.dumps({"command": "lease4-add", "arguments": lease}).encode())
            assert b'"result": 0' in channel.recv(65536)


class Lateness:
    """Measures the loop."""

    def __init__(self) -> None:
        self.values: list[float] = []
        self._task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _EVERY
            await asyncio.sleep(_EVERY)
            self.values.append(loop.time() - due)

    def end(self) -> tuple[float, float]:
        """(worst, 99th percentile), milliseconds"""
        self._task.cancel()
        ordered = sorted(self.values)
        return ordered[-1] * 1e3, ordered[(len(ordered) * 99 - 1) // 100] * 1e3


def at_one_go(bench: Bench, kea: Kea) -> float:
    """Milliseconds without a pause for decoding and comparing everything."""
    with socket.socket(socket.AF_UNIX) as channel:
        channel.connect(kea.socket)
        channel.sendall(b'{"command": "lease4-get-all"}')
        body = b"".join(iter(lambda: channel.recv(1 << 20), b""))
    comparison = Comparison(bench.machine.store, lambda _origin, _address: None)
    comparison.relay_id = "bng-01"
    began = time.perf_counter()
    now = time.time_ns()
    comparison.begin(now)
    for raw in kea_leases.arguments_of(body)[1]["leases"]:
        comparison.lease(kea_leases.read(raw), "127.0.0.1", 0, now)
    for session in bench.machine.store:
        comparison.session(session)
    comparison.end(complete=True, same_lives=True)
    return (time.perf_counter() - began) * 1e3


async def compare(folder: Path, kea: Kea, count: int) -> None:
    bench, repairs = Bench(folder), Repairs()
    keeper = LeaseKeeper(bench.writer, repairs)
    api = LeaseApi("127.0.0.1", 8000, "bng", PASSWORD)
    keeper.configure([api], ["127.0.0.1"], "bng-01", lambda _origin, _address: Place("sub0", "0.0.0.0"))

    def accept(ask: object) -> None:
        bench.writer.post(ev.RadiusAccept(ask.session_id, ask.attempt, ("gold",)))  # type: ignore[attr-defined]

    bench.outlets.ask = accept  # type: ignore[method-assign]
    began = time.perf_counter()
    await keeper.run()
    await bench.settle()
    recovered = time.perf_counter() - began
    assert len(bench.dataplane.installed()) == count

    # as the control process does after its recovery
    gc.collect()
    gc.freeze()
    idle = Lateness()
    await asyncio.sleep(1)
    idle_worst, idle_percentile = idle.end()
    lateness = Lateness()
    began = time.perf_counter()
    await keeper.run()
    elapsed = time.perf_counter() - began
    worst, percentile = lateness.end()
    kernel = Lateness()
    await Reconciler(bench.writer, bench.dataplane, bench.enforcer.adopt, lambda _: True, repairs).run()
    await asyncio.sleep(_EVERY * 2)
    kernel_worst, kernel_percentile = kernel.end()
    assert {kind: n for kind, n in repairs.counts.items() if n} == {"lease-recovered": count}
    assert repairs.leases.complete
    baseline = at_one_go(bench, kea)
    harness.report(
        "lease-comparison",
        round(worst, 2),
        "ms of the loop's worst lateness",
        "all leases compared at one go",
        round(baseline, 2),
        baseline / worst,
        f"{count} sessions, pages of {api.page_size}; round {elapsed:.2f} s, 99th percentile "
        f"{percentile:.2f} ms; without work {idle_worst:.2f} and {idle_percentile:.2f} ms; kernel comparison "
        f"{kernel_worst:.2f} and {kernel_percentile:.2f} ms; all recovered from leases in {recovered:.2f} s",
    )
    await bench.commit.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=SESSIONS)
    count = parser.parse_args().sessions
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory() as place, Namespaces("m") as namespaces:
        folder = Path(place)
        kea = Kea(
            namespaces, "m", folder / "kea", interface="lo", subnet="10.64.0.0/16",
            pool="10.64.1.0 - 10.64.250.255", router="10.64.0.1", lease_api="127.0.0.1",
        )  # fmt: skip
        wait_for("Kea takes commands", lambda: Path(kea.socket).exists())
        fill(kea, count)

        def inside() -> None:
            wait_for("the agent listens", lambda: _listens(), 10)
            asyncio.run(compare(folder / "bng", kea, count))

        namespaces.inside("m", inside)
    return 0


def _listens() -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", 8000)) == 0


if __name__ == "__main__":
    sys.exit(main())
