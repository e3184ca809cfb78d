"""``python -m lab.accessnode --config FILE``: run one access node in the namespace of the caller."""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
from pathlib import Path

from lab.accessnode.process import AccessNode, Settings
from lab.logs import configure_logging


def main() -> int:
    """Run until SIGTERM; 1 when the node cannot start."""
    parser = argparse.ArgumentParser(prog="lab.accessnode", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="JSON file of this node")
    arguments = parser.parse_args()
    configure_logging()
    try:
        settings = Settings.load(arguments.config)
    except (OSError, ValueError, KeyError) as error:
        print(f"{arguments.config}: not a configuration of an access node: {error}", file=sys.stderr)
        return 1
    try:
        asyncio.run(AccessNode(settings).run())
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"access node {settings.remote_id} cannot run: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
