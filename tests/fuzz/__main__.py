"""``python -m tests.fuzz [NAME …] [--inputs N] [--seconds T] [--seed S]``: hostile inputs for every parser.

Prints a line for each: inputs, how many were accepted, the slowest in milliseconds. Ends with 1 at the first
fault; the input is then in ``fuzz-NAME.bin``, and ``python -m tests.fuzz NAME --input FILE`` tries it again.
"""

from __future__ import annotations

import argparse
import logging
import math
import sys
import time
import traceback
from pathlib import Path

import structlog

from tests.fuzz.runner import Fault, run
from tests.fuzz.targets import TARGETS

MILLION = 1_000_000


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("name", nargs="*", help=f"of {', '.join(TARGETS)}; all when none is given")
    parser.add_argument("--inputs", type=int, default=MILLION, help="for each parser")
    parser.add_argument("--seconds", type=float, default=math.inf, help="for each parser: fewer inputs then")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--input", type=Path, help="one input of an earlier run")
    arguments = parser.parse_args()
    if unknown := set(arguments.name) - TARGETS.keys():
        parser.error(f"there is no parser {', '.join(sorted(unknown))}")
    # a parser may log what it refuses
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    for name in arguments.name or TARGETS:
        if arguments.input is not None:
            print(name, "accepted" if TARGETS[name].run(arguments.input.read_bytes()) else "refused")
            continue
        began = time.perf_counter()
        try:
            outcome = run(TARGETS[name], arguments.inputs, arguments.seed, arguments.seconds)
        except Fault as fault:
            traceback.print_exception(fault)
            Path(f"fuzz-{name}.bin").write_bytes(fault.data)
            return 1
        took = time.perf_counter() - began
        print(
            f"{name:20} {outcome.accepted + outcome.refused:>9,} inputs  {outcome.accepted:>9,} accepted"
            f"  slowest {outcome.slowest[0] * 1000:7.1f} ms  {took:6.1f} s",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
