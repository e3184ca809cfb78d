"""``aether config validate``: is the file right, and if not, what to change."""

from __future__ import annotations

import argparse

from lab.cli.common import add_config_option, config_path, verb
from lab.config import load_config


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser("validate", help="check the file")
    add_config_option(parser)
    parser.set_defaults(func=run)


@verb
def run(arguments: argparse.Namespace) -> int:
    """0 when there is nothing wrong."""
    config = load_config(config_path(arguments))
    nodes = [node for bng in config.bngs for node in bng.access_nodes]
    ports = sum(node.ports for node in nodes)
    print(
        f"{config.path}: good. {len(config.bngs)} BNGs, {len(nodes)} access nodes, {ports} subscriber ports, "
        f"{len(config.services)} services"
    )
    return 0
