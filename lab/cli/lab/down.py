"""``aether lab down``: stop every program and remove every namespace."""

from __future__ import annotations

import argparse
import time

from lab.cli.common import add_folder_option, lab_paths, verb
from lab.runner import exclusive, purge, stop


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser("down", help="stop the lab; databases, secrets and logs stay for the next up")
    add_folder_option(parser)
    parser.add_argument("--purge", action="store_true", help="remove databases, secrets and logs too")
    parser.set_defaults(func=run)


@verb
def run(arguments: argparse.Namespace) -> int:
    """0, also when nothing ran."""
    paths = lab_paths(arguments)
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:5.1f} s] {text}", flush=True)

    with exclusive(paths):
        say("the lab is down" if stop(paths, say) else "no lab is up")
        if arguments.purge:
            purge(paths)
            say(f"removed what was in {paths.root}")
    return 0
