"""``aether netconf``: NETCONF for people; one file per verb.

Everything goes through `nbi.client` and standard operations, so that the verbs work with any element.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence
from typing import Any

from nbi.cli import commit, confirm, diff, get, history, rollback, watch


class _Parser(argparse.ArgumentParser):
    """Takes options between ELEMENT and what follows it, as people write them."""

    _mixing = False

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        if self._mixing or "_ARGCOMPLETE" in os.environ:
            return super().parse_known_args(args, namespace)
        self._mixing = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._mixing = False


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to the ``aether`` command."""
    for library in ("paramiko", "ncclient"):  # their tracebacks: what failed is told in one sentence
        logging.getLogger(library).addHandler(logging.NullHandler())
    parser = subparsers.add_parser("netconf", help="read, change and watch an element over NETCONF")
    verbs = parser.add_subparsers(dest="netconf_verb", metavar="VERB", required=True, parser_class=_Parser)
    for module in (get, diff, commit, confirm, history, rollback, watch):
        module.add_parser(verbs)
