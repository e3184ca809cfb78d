"""``aether config render``: write every derived file, without starting anything."""

from __future__ import annotations

import argparse
from pathlib import Path

from lab.cli.common import add_config_option, add_folder_option, config_path, lab_paths, verb
from lab.config import load_config
from lab.paths import LabPaths
from lab.render import render, write
from lab.secrets import load_secrets


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser("render", help="write the derived files to a folder, to look at them")
    add_config_option(parser)
    add_folder_option(parser)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="where to write them")
    parser.set_defaults(func=run)


@verb
def run(arguments: argparse.Namespace) -> int:
    """0 when all were written."""
    config = load_config(config_path(arguments))
    paths = lab_paths(arguments)
    output: Path = arguments.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    artefacts = render(config, load_secrets(paths.secrets))
    write(artefacts, output, LabPaths(output).rendered)
    for artefact in artefacts:
        print(output / artefact.path)
    return 0
