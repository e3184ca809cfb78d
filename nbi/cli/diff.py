"""``aether netconf diff``: what differs between datastores, what a change would do, what a commit did."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from lxml import etree

from nbi.cli import complete
from nbi.cli.commit import add_changes, changes, edited
from nbi.cli.history import need_history
from nbi.cli.model import learn
from nbi.cli.target import Target, TargetError, add_target, verb
from nbi.cli.text import coloured, compare, visible
from nbi.client import NetconfClient
from nbi.protocol.names import CONFIGURATION_NS, qualified

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
    commit = parser.add_argument(
        "--commit", type=int, metavar="NUMBER", help="what a commit of the history changed"
    )
    commit.completer = complete.commits  # type: ignore[attr-defined]
    parser.add_argument(
        "--against",
        default="previous",
        metavar="NUMBER",
        help="another commit than that before it, or running",
    )
    parser.set_defaults(func=_run)


@verb
def _run(arguments: argparse.Namespace, client: NetconfClient, target: Target) -> int:
    model = learn(client, target)
    edits = changes(arguments, model)
    if arguments.commit is not None:
        if edits or arguments.after or arguments.before != "running":
            raise TargetError("--commit goes with --against only")
        need_history(model, target)
        for line in of_commit(client, arguments.commit, arguments.against):
            print(coloured(line, sys.stdout.isatty()))
        return 0
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


def of_commit(client: NetconfClient, number: int, against: str) -> Iterator[str]:
    """Lines of get-commit-diff.

    Args:
        against: another number, ``previous`` or ``running``.
    """
    request = etree.Element(
        qualified(CONFIGURATION_NS, "get-commit-diff"),
        nsmap={None: CONFIGURATION_NS},  # type: ignore[dict-item]
    )
    for name, text in (("number", str(number)), ("against", against)):
        etree.SubElement(request, qualified(CONFIGURATION_NS, name)).text = text
    for change in client.rpc(request).iter(qualified(CONFIGURATION_NS, "change")):
        path, old, new = (
            visible(change.findtext(qualified(CONFIGURATION_NS, name)) or "")
            for name in ("path", "old", "new")
        )
        operation = change.findtext(qualified(CONFIGURATION_NS, "operation"))
        if operation in ("delete", "replace"):
            yield f"- {path} {old}".rstrip()
        if operation in ("create", "replace"):
            yield f"+ {path} {new}".rstrip()
        if operation == "move":
            yield f"~ {path}"
