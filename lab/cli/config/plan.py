"""``aether config plan``: what the next ``up`` would change."""

from __future__ import annotations

import argparse

from lab.cli.common import add_config_option, add_folder_option, config_path, lab_paths, verb
from lab.config import load_config
from lab.instance import load_instance
from lab.render import changes, render
from lab.render.artefacts import masked
from lab.secrets import load_secrets, required_names


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser("plan", help="show what the next `aether lab up` would change")
    add_config_option(parser)
    add_folder_option(parser)
    parser.set_defaults(func=run)


@verb
def run(arguments: argparse.Namespace) -> int:
    """0 whether something would change or not; nothing is touched."""
    config = load_config(config_path(arguments))
    paths = lab_paths(arguments)
    secrets = load_secrets(paths.secrets)
    found = changes(render(config, secrets), paths.root, paths.rendered)
    for change in found:
        print(f"{change.kind:<8} {change.path}")
        for line in change.diff:
            print(f"         {masked(line, secrets)}")
    missing = [name for name in required_names(config) if name not in secrets.values]
    if missing:
        print(f"secrets to be made: {len(missing)}")
    if not found and not missing:
        print("nothing would change")
    elif load_instance(paths) is not None:
        print("a lab is up: `aether lab up` would stop it and start it anew; databases stay")
    return 0
