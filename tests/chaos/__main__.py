"""`make chaos`: see the package."""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.chaos.verdict import Verdict, judge
from tests.chaos.world import World
from tests.support import postgres


def chaos(folder: Path, kills: int, seed: int, say: Callable[[str], None]) -> Verdict:
    """Run it all in a folder; what ran wrote `log` files there."""
    with postgres.cluster(fsync=True) as cluster:
        world = World(folder, cluster, seed, say)
        try:
            asyncio.run(world.run(kills))
            return asyncio.run(judge(world))
        finally:
            world.end()


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", description="Kill everything, lose nothing."
    )
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="aether-chaos-"))
    print(f"seed {arguments.seed}, logs below {folder}", flush=True)
    verdict = chaos(folder, arguments.kills, arguments.seed, lambda line: print(line, flush=True))
    print(json.dumps(verdict.as_dict()), flush=True)
    if verdict.good:
        shutil.rmtree(folder)
    return 0 if verdict.good else 1


if __name__ == "__main__":
    sys.exit(main())
