"""session-memory: octets of memory of the control process for each of 50,000 sessions.

The sessions are set up through everything but the sockets: leases, RADIUS answers, data plane (in memory),
journal, checkpoint, timers, counter matrix. What counts is by how much the resident memory of the process
grew. The baseline are the same sessions as plain dictionaries (the journal's events decoded), and nothing
else.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import uvloop

from bng.daemon.process import configure_logging
from bng.dataplane.kernel import KernelDataPlane
from bng.seam.sessions import load_checkpoint
from tests.bench import harness
from tests.support import filled_control
from tests.support.netns import Namespaces

SESSIONS = 50_000


def resident() -> int:
    """Octets of memory in use by this process."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def measure(folder: Path, count: int, kernel: bool) -> tuple[float, float]:
    """(octets for each session, octets for each as a dictionary)"""
    filled_control.prepare(folder / "bng", counters=10)
    plane = KernelDataPlane() if kernel else filled_control.BusyDataPlane()
    control, serving = await filled_control.start(folder / "bng", plane)
    await filled_control.fill(control, 500)
    await control.sweeper.run()
    before = resident()
    await filled_control.fill(control, count)
    await control.sweeper.run()
    after = resident()
    await control.commit._write_checkpoint()
    as_dictionaries = resident()
    held = load_checkpoint(folder / "bng" / "checkpoint")
    baseline = resident() - as_dictionaries
    assert len(held.by_id) == len(control.machine.store) == count
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    return (after - before) / (count - 500), baseline / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=SESSIONS)
    parser.add_argument("--kernel", action="store_true", help="with the kernel's data plane")
    arguments = parser.parse_args()
    count = arguments.sessions
    configure_logging("control")
    with tempfile.TemporaryDirectory() as folder, Namespaces("b", "s", "w", "m") as namespaces:
        namespaces.veth("b", "sub0", "s", "s0")
        namespaces.veth("b", "up0", "w", "w0")
        namespaces.veth("b", "dhcp0", "m", "m0")
        each, baseline = namespaces.inside(
            "b", lambda: uvloop.run(measure(Path(folder), count, arguments.kernel))
        )
    harness.report(
        "session-memory",
        round(each),
        "octets",
        "the same sessions as dictionaries and nothing else",
        round(baseline),
        baseline / each,
        f"growth of the resident memory of the control process for each of {count} sessions, data plane "
        f"{'of the kernel' if arguments.kernel else 'in memory'}",
    )


if __name__ == "__main__":
    main()
