"""``aether config``: one file per verb."""

from __future__ import annotations

import argparse

from lab.cli.config import plan, render, show, validate


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to the ``aether`` command."""
    parser = subparsers.add_parser("config", help="check and render aether.config.yaml")
    verbs = parser.add_subparsers(dest="config_verb", metavar="VERB", required=True)
    for module in (validate, show, render, plan):
        module.add_parser(verbs)
