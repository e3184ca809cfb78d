"""``aether netconf confirm`` and ``cancel``: the two ends of a confirmed commit."""

from __future__ import annotations

import argparse

from nbi.cli.target import Target, add_target, verb
from nbi.client import NetconfClient


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add both verbs."""
    for name, text, function in (
        ("confirm", "keep what a confirmed commit changed", _confirm),
        ("cancel", "take back what a confirmed commit changed, at once", _cancel),
    ):
        parser = verbs.add_parser(name, help=text)
        add_target(parser)
        parser.add_argument("token", metavar="TOKEN", help="which `commit --confirmed` printed (persist-id)")
        parser.set_defaults(func=function)


@verb
def _confirm(arguments: argparse.Namespace, client: NetconfClient, _target: Target) -> int:
    client.commit(persist_id=arguments.token)
    print("kept")
    return 0


@verb
def _cancel(arguments: argparse.Namespace, client: NetconfClient, _target: Target) -> int:
    client.cancel_commit(persist_id=arguments.token)
    print("taken back")
    return 0
