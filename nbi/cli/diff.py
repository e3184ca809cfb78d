"""``aether netconf diff``: what differs between datastores, or what a change would do."""

from __future__ import annotations

import argparse
import sys

from nbi.cli.commit import add_changes, changes, edited
from nbi.cli.model import learn
from nbi.cli.target import Target, TargetError, add_target, verb
from nbi.cli.text import coloured, compare
from nbi.client import NetconfClient

DATASTORES = ("running", "candidate", "startup")


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser("diff", help="what differs: running and candidate, or what a change would do")
    add_target(parser)
    add_changes(parser)
    parser.add_argument(
        "--from", dest="before", choices=DATASTORES, default="running", help="default: running"
    )
    parser.add_argument("--to", dest="after", choices=DATASTORES, help="default: candidate")
    parser.set_defaults(func=_run)


@verb
def _run(arguments: argparse.Namespace, client: NetconfClient, target: Target) -> int:
    model = learn(client, target)
    edits = changes(arguments, model)
    if edits and (arguments.after or arguments.before != "running"):
        raise TargetError("a change is compared with running: leave --from and --to away")
    if edits:
        with edited(client, edits) as (before, after):
            lines = list(compare(before, after, model))
    else:
        before = client.get_config(source=arguments.before)
        lines = list(compare(before, client.get_config(source=arguments.after or "candidate"), model))
    for line in lines:
        print(coloured(line, sys.stdout.isatty()))
    return 0
