"""``aether netconf rollback``: commit an earlier configuration again."""

from __future__ import annotations

import argparse
import secrets
import sys

from lxml import etree

from nbi.cli import complete
from nbi.cli.commit import add_commit_options, agreed, tell_commit, tell_confirm
from nbi.cli.diff import of_commit
from nbi.cli.history import need_history
from nbi.cli.model import learn
from nbi.cli.target import Target, add_target, verb
from nbi.cli.text import coloured
from nbi.client import NetconfClient
from nbi.protocol.names import CONFIGURATION_NS, qualified


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser("rollback", help="commit an earlier configuration again")
    add_target(parser)
    number = parser.add_argument(
        "number", type=int, metavar="NUMBER", help="of the commit, as `history` shows it"
    )
    number.completer = complete.commits  # type: ignore[attr-defined]
    add_commit_options(parser)
    parser.set_defaults(func=_run)


@verb
def _run(arguments: argparse.Namespace, client: NetconfClient, target: Target) -> int:
    need_history(learn(client, target), target)
    lines = list(of_commit(client, arguments.number, "running"))
    for line in lines:
        print(coloured(line, sys.stdout.isatty()))
    if not agreed(arguments):
        print("nothing was changed", file=sys.stderr)
        return 1
    request = etree.Element(
        qualified(CONFIGURATION_NS, "rollback-to"),
        nsmap={None: CONFIGURATION_NS},  # type: ignore[dict-item]
    )
    token = secrets.token_hex(8)
    wanted = [("number", str(arguments.number)), ("comment", arguments.comment)]
    if arguments.confirmed is not None:
        etree.SubElement(request, qualified(CONFIGURATION_NS, "confirmed"))
        wanted += [("confirm-timeout", str(arguments.confirmed)), ("persist", token)]
    for name, text in wanted:
        if text:
            etree.SubElement(request, qualified(CONFIGURATION_NS, name)).text = text
    made = client.rpc(request).findtext(qualified(CONFIGURATION_NS, "number"))
    if made is None:
        print("nothing changes")
        return 0
    tell_commit(made)
    if arguments.confirmed is not None:
        tell_confirm(arguments.confirmed, target, token)
    return 0
