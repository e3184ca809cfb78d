"""``aether netconf``: NETCONF for people; one file per verb.

Everything goes through `nbi.client` and standard operations, so that the verbs work with any element.
"""

from __future__ import annotations

import argparse

from nbi.cli import commit, confirm, diff, get, history, rollback, watch


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to the ``aether`` command."""
    parser = subparsers.add_parser("netconf", help="read, change and watch an element over NETCONF")
    verbs = parser.add_subparsers(dest="netconf_verb", metavar="VERB", required=True)
    for module in (get, diff, commit, confirm, history, rollback, watch):
        module.add_parser(verbs)
