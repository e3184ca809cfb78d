"""``aether lab logs NODE``: what the programs of a node wrote."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from lab.cli.common import add_folder_option, complete_nodes, lab_paths, verb
from lab.errors import LabError
from lab.paths import LabPaths
from lab.supervisor.spec import read_specs


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser("logs", help="the log of a node, a program, or of the supervisor")
    add_folder_option(parser)
    node = parser.add_argument("node", metavar="NODE")
    node.completer = complete_nodes  # type: ignore[attr-defined]
    parser.add_argument(
        "-n", "--lines", type=int, default=100, metavar="N", help="last N lines (default 100)"
    )
    parser.add_argument("-f", "--follow", action="store_true", help="and what is still to come")
    parser.set_defaults(func=run)


@verb
def run(arguments: argparse.Namespace) -> int:
    """Becomes tail(1); returns only when that is impossible."""
    files = _files(lab_paths(arguments), arguments.node)
    sys.stdout.flush()
    follow = ["-F"] if arguments.follow else []
    os.execvp("tail", ["tail", "-n", str(arguments.lines), *follow, *map(str, files)])  # noqa: S606


def _files(paths: LabPaths, node: str) -> list[Path]:
    names = []
    if paths.processes.exists():
        names = [spec.name for spec in read_specs(paths.processes) if node in (spec.name, spec.node)]
    files = [paths.logs / f"{name}.log" for name in ["supervisor"] * (node == "supervisor") + names]
    files = [file for file in files if file.exists()]
    if not files:
        known = sorted(file.stem for file in paths.logs.glob("*.log"))
        raise LabError(f'there is no log of "{node}"; there are: {", ".join(known) or "none yet"}')
    return files
