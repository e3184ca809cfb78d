"""``aether lab``: one file per verb."""

from __future__ import annotations

import argparse

from lab.cli.lab import down, execute, logs, renew, status, up


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to the ``aether`` command."""
    parser = subparsers.add_parser("lab", help="the lab in network namespaces of this machine")
    verbs = parser.add_subparsers(dest="lab_verb", metavar="VERB", required=True)
    for module in (up, down, status, execute, logs, renew):
        module.add_parser(verbs)
