"""Finding the verb and running it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import metadata

VERBS = "aether.verbs"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0 done, 1 failed, 2 used wrongly."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    completing = "_ARGCOMPLETE" in os.environ
    if completing:
        words = os.environ.get("COMP_LINE", "").split()[1:]
    parser = argparse.ArgumentParser(prog="aether", description="A BNG managed by NETCONF, YANG and gNMI.")
    parser.add_argument("--version", action="version", version=_version())
    subparsers = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    verbs = {point.name: point for point in metadata.entry_points(group=VERBS)}
    # the one that is asked for, so that a daemon does not import its siblings; all of them for --help
    wanted = [words[0]] if words and words[0] in verbs else sorted(verbs)
    for name in wanted:
        _load(verbs[name], subparsers)
    if completing:
        import argcomplete  # at no other time: it would only cost

        argcomplete.autocomplete(parser, always_complete_options=False)
    parsed = parser.parse_args(words)
    return _run(parsed)


def _run(parsed: argparse.Namespace) -> int:
    try:
        code: int = parsed.func(parsed)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # the reader of our output has gone (`| head`): keep the interpreter from complaining at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _load(
    point: metadata.EntryPoint, subparsers: argparse._SubParsersAction[argparse.ArgumentParser]
) -> None:
    try:
        add_parser = point.load()
    except ImportError as error:
        reason = str(error)
        broken = subparsers.add_parser(point.name, help=f"not available: {reason}", add_help=False)
        broken.add_argument("rest", nargs=argparse.REMAINDER)
        broken.set_defaults(func=lambda _: _unavailable(point.name, reason))
    else:
        add_parser(subparsers)


def _unavailable(name: str, reason: str) -> int:
    print(f"aether {name} is not available: {reason}; run `make setup`", file=sys.stderr)
    return 1


def _version() -> str:
    try:
        return f"aether {metadata.version('aether')}"
    except metadata.PackageNotFoundError:
        return "aether (not installed)"
