"""`make chaos`: see the package."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.chaos.verdict import Verdict, judge
from tests.chaos.world import World
from tests.support import postgres


def chaos(
    folder: Path,
    kills: int | Sequence[str],
    seed: int,
    say: Callable[[str], None],
    real: int = 3,
    simulated: int = 1,
    collectors: int = 3,
) -> Verdict:
    """Run it all in a folder, with so many BNGs of each kind, and of collectors; `log` files are there.

    `kills` are names in `World.MATRIX`, or how many.
    """
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        starting = pool.submit(stack.enter_context, postgres.cluster(fsync=True))
        world = World(folder, seed, say)
        stack.callback(world.end)
        world.build(real, simulated, collectors)
        world.use(starting.result())
        asyncio.run(world.run(world.plan(kills) if isinstance(kills, int) else kills))
        return asyncio.run(judge(world))


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", description="Kill everything, lose nothing."
    )
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--real", type=int, default=3, help="BNGs that are the product")
    parser.add_argument("--simulated", type=int, default=1, help="BNGs that are simulated")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="aether-chaos-"))
    print(f"seed {arguments.seed}, logs below {folder}", flush=True)
    verdict = chaos(
        folder,
        arguments.kills,
        arguments.seed,
        lambda line: print(line, flush=True),
        arguments.real,
        arguments.simulated,
    )
    print(json.dumps(verdict.as_dict()), flush=True)
    if verdict.good:
        shutil.rmtree(folder)
    return 0 if verdict.good else 1


if __name__ == "__main__":
    sys.exit(main())
