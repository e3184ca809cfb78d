"""``aether lab status``: every node and program, and how to get in."""

from __future__ import annotations

import argparse
import json

from lab.cli.common import add_folder_option, lab_paths, verb
from lab.instance import require_instance
from lab.status import as_json, as_text, collect


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser("status", help="what runs, who is online, where the console is")
    add_folder_option(parser)
    parser.add_argument("--json", action="store_true", help="for scripts")
    parser.set_defaults(func=run)


@verb
def run(arguments: argparse.Namespace) -> int:
    """0 when a lab is up, ready or not."""
    paths = lab_paths(arguments)
    status = collect(require_instance(paths), paths)
    if arguments.json:
        print(json.dumps(as_json(status), indent=2))
    else:
        print("\n".join(as_text(status)))
    return 0
