"""``python -m lab.supervisor FOLDER``: run the programs of one lab until SIGTERM."""

from __future__ import annotations

import asyncio
import fcntl
import sys
from pathlib import Path

from lab.logs import configure_logging
from lab.supervisor.daemon import Supervisor


def main() -> int:
    """1 when the folder cannot be used or another supervisor has it."""
    if len(sys.argv) != 2:
        print("usage: python -m lab.supervisor FOLDER", file=sys.stderr)
        return 2
    folder = Path(sys.argv[1])
    configure_logging()
    with (folder / "supervisor.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{folder} has a supervisor already", file=sys.stderr)
            return 1
        try:
            asyncio.run(Supervisor(folder).run())
        except (OSError, ValueError, KeyError, TypeError) as error:
            print(f"the supervisor of {folder} cannot run: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
