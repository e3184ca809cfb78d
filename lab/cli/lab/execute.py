"""``aether lab exec NODE -- CMD``: run a command on a node."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from lab.cli.common import add_folder_option, complete_nodes, lab_paths, verb
from lab.errors import LabError
from lab.instance import Instance, require_instance
from lab.paths import LabPaths


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser("exec", help="run a command on a node: aether lab exec host-an-11-1 -- ping …")
    add_folder_option(parser)
    node = parser.add_argument("node", metavar="NODE")
    node.completer = complete_nodes  # type: ignore[attr-defined]
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- CMD")
    parser.set_defaults(func=run)


@verb
def run(arguments: argparse.Namespace) -> int:
    """Becomes the command; returns only when that is impossible."""
    paths = lab_paths(arguments)
    instance = require_instance(paths)
    namespace = namespace_of(instance, arguments.node)
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    if not command:
        raise LabError("no command; write: aether lab exec NODE -- CMD")
    environment = with_own_programs(os.environ) | state_of(paths, arguments.node)
    os.execvpe("ip", ["ip", "netns", "exec", namespace, *command], environment)  # noqa: S606


def with_own_programs(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment in which ``aether`` is this one, also when it was called by its path or under sudo."""
    path = environment.get("PATH", os.defpath)
    return {**environment, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{path}"}


def state_of(paths: LabPaths, node: str) -> dict[str, str]:
    """On a BNG: where ``aether bng why`` and ``record`` find it."""
    if not paths.bng(node).is_dir():
        return {}
    return {"AETHER_STATE_DIR": str(paths.bng_state(node).absolute())}


def namespace_of(instance: Instance, node: str) -> str:
    """The namespace of a node; raises LabError that suggests a name."""
    namespace = f"{instance.name}-{node}"
    if namespace in instance.namespaces:
        return namespace
    nodes = [name.removeprefix(f"{instance.name}-") for name in instance.namespaces]
    close = difflib.get_close_matches(node, nodes, n=1)
    hint = f'did you mean "{close[0]}"?' if close else f"nodes: {', '.join(nodes)}"
    raise LabError(f'there is no node "{node}"; {hint}')
