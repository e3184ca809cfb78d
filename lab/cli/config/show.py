"""``aether config show``: the file with every default filled in."""

from __future__ import annotations

import argparse

import yaml

from lab.cli.common import add_config_option, config_path, verb
from lab.config import load_config
from lab.config.document import read_document
from lab.config.schema import with_defaults


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser("show", help="the file with every default filled in")
    add_config_option(parser)
    parser.set_defaults(func=run)


@verb
def run(arguments: argparse.Namespace) -> int:
    """0 when the file is right."""
    path = config_path(arguments)
    load_config(path)  # says what is wrong
    print(yaml.safe_dump(with_defaults(read_document(path).data), sort_keys=False), end="")
    return 0
