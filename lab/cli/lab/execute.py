"""``aether lab exec NODE -- CMD``: run a command on a node."""

from __future__ import annotations

import argparse
import difflib
import os

from lab.cli.common import add_folder_option, lab_paths, verb
from lab.errors import LabError
from lab.instance import Instance, require_instance


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser("exec", help="run a command on a node: aether lab exec host-an-11-1 -- ping …")
    add_folder_option(parser)
    parser.add_argument("node", metavar="NODE")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- CMD")
    parser.set_defaults(func=run)


@verb
def run(arguments: argparse.Namespace) -> int:
    """Becomes the command; returns only when that is impossible."""
    instance = require_instance(lab_paths(arguments))
    namespace = namespace_of(instance, arguments.node)
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    if not command:
        raise LabError("no command; write: aether lab exec NODE -- CMD")
    os.execvp("ip", ["ip", "netns", "exec", namespace, *command])  # noqa: S606


def namespace_of(instance: Instance, node: str) -> str:
    """The namespace of a node; raises LabError that suggests a name."""
    namespace = f"{instance.name}-{node}"
    if namespace in instance.namespaces:
        return namespace
    nodes = [name.removeprefix(f"{instance.name}-") for name in instance.namespaces]
    close = difflib.get_close_matches(node, nodes, n=1)
    hint = f'did you mean "{close[0]}"?' if close else f"nodes: {', '.join(nodes)}"
    raise LabError(f'there is no node "{node}"; {hint}')
