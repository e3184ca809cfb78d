"""dhcp-flood: how much of the rate of setting sessions up remains while hostile ports flood the BNG.

Subscribers attach as in session-setup, while a program sends 10,000 DISCOVERs a second on the same link: of
20 access lines, each packet with another hardware address (or, with ``--lines 0``, each of an access line
that it invents). The baseline is the mean of the same before and after the flood.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench import harness
from tests.support import setup_bench
from tests.support.bng_world import World

LINES, RATE, SUBSCRIBERS = 20, 10_000, 1000
_LIMIT = 20
_SETTLE = 1.0


def compile_blaster(folder: Path) -> Path:
    """The program that floods."""
    source, program = Path(__file__).with_name("dhcp_blaster.c"), folder / "dhcp_blaster"
    subprocess.run(["gcc", "-O2", "-Wall", "-o", program, source], check=True)
    return program


def flooded(here: World, program: Path, numbers: range, lines: int, rate: int) -> tuple[float, float]:
    """(sessions per second, packets of the flood per second) while the flood lasts."""
    seconds = 30
    blaster = here.namespaces.start(
        "s", str(program), "s0", str(lines), str(rate), str(seconds), stdout=subprocess.PIPE, text=True
    )
    time.sleep(_SETTLE)
    sessions, _ = setup_bench.set_up(here, numbers)
    assert blaster.poll() is None, f"the flood of {seconds} s ended too early"
    output, _ = blaster.communicate()
    return sessions, int(output) / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=LINES, help="0: every packet invents one")
    parser.add_argument("--rate", type=int, default=RATE)
    parser.add_argument("--subscribers", type=int, default=SUBSCRIBERS)
    arguments = parser.parse_args()
    count = arguments.subscribers
    with tempfile.TemporaryDirectory() as folder, setup_bench.running(rate_limit=_LIMIT) as here:
        program = compile_blaster(Path(folder))
        here.attach(*range(3 * count, 3 * count + 20))
        before, _ = setup_bench.set_up(here, range(count))
        under, sent = flooded(here, program, range(count, 2 * count), arguments.lines, arguments.rate)
        repeated = here.subscribers.repeated
        time.sleep(_SETTLE)
        after, _ = setup_bench.set_up(here, range(2 * count, 3 * count))
        setup_bench.accounting_starts(here, 3 * count + 20)
    quiet = (before + after) / 2
    lines = f"{arguments.lines} access lines" if arguments.lines else "access lines that it invents"
    harness.report(
        "dhcp-flood",
        round(under, 1),
        "sessions/s",
        "the same without the flood, mean of before and after",
        round(quiet, 1),
        under / quiet,
        f"{sent:.0f} DISCOVERs a second from {lines}, each with another hardware address, limit of "
        f"{_LIMIT} a second and line; {count} subscribers each time, {setup_bench.WINDOW} at once, "
        f"{repeated} of their packets repeated; {setup_bench.SERVERS}",
    )


if __name__ == "__main__":
    main()
