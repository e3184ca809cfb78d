"""``aether netconf commit``: change the configuration: edit, show the difference, validate, commit."""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lxml import etree

from nbi.cli import complete
from nbi.cli.history import own_commit
from nbi.cli.model import Model, learn
from nbi.cli.paths import edit, parse, split_assignment
from nbi.cli.target import Target, TargetError, add_target, verb
from nbi.cli.text import coloured, compare
from nbi.client import NetconfClient, NetconfError
from nbi.protocol.names import BASE_NS, qualified

_MAX_FILE = 64 * 1024 * 1024


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser("commit", help="change the configuration, after showing what changes")
    add_target(parser)
    add_changes(parser)
    add_commit_options(parser)
    parser.set_defaults(func=_run)


def add_commit_options(parser: argparse.ArgumentParser) -> None:
    """How to commit."""
    parser.add_argument("--comment", default="", help="for the history")
    parser.add_argument(
        "--confirmed",
        type=int,
        metavar="SECONDS",
        help="take it back after so many seconds unless `aether netconf confirm` is called",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")


def add_changes(parser: argparse.ArgumentParser) -> None:
    """The arguments that say what to change."""
    parser.add_argument("file", nargs="?", metavar="FILE", help="XML: a <config> or its content; - is stdin")
    for option, metavar, text in (
        ("--set", "PATH=VALUE", "set a leaf; without =VALUE, create a container or list entry"),
        ("--delete", "PATH", "delete a node"),
    ):
        argument = parser.add_argument(option, action="append", default=[], metavar=metavar, help=text)
        argument.completer = complete.config_paths  # type: ignore[attr-defined]
    parser.add_argument(
        "--operation",
        choices=("merge", "replace", "none"),
        default="merge",
        help="what the file does with what is there (default: merge)",
    )


@verb
def _run(arguments: argparse.Namespace, client: NetconfClient, target: Target) -> int:
    model = learn(client, target)
    edits = changes(arguments, model)
    if arguments.comment and "aether-configuration" not in model.namespaces:
        raise TargetError(f"{target.name} keeps no comments: it has no module aether-configuration")
    if not edits:
        raise TargetError("nothing to change: give FILE, --set or --delete")
    with edited(client, edits) as (before, after):
        lines = list(compare(before, after, model))
        if not lines:
            print("nothing changes")
            return 0
        for line in lines:
            print(coloured(line, sys.stdout.isatty()))
        client.validate()
        if not agreed(arguments):
            print("nothing was changed", file=sys.stderr)
            return 1
        if arguments.confirmed is None:
            client.commit(comment=arguments.comment)
            tell_commit(own_commit(client, model))
            return 0
        token = secrets.token_hex(8)
        client.commit(
            confirmed=True,
            confirm_timeout=arguments.confirmed,
            persist=token,
            comment=arguments.comment,
        )
        tell_commit(own_commit(client, model))
    tell_confirm(arguments.confirmed, target, token)
    return 0


def tell_commit(number: str | None) -> None:
    """Say which commit was made."""
    if number is not None:
        print(f"commit {number}")


def tell_confirm(seconds: int, target: Target, token: str) -> None:
    """Say how long a confirmed commit is in force, and how it is kept."""
    print(f"in force for {seconds} s; to keep it: aether netconf confirm {target.name} {token}")


def agreed(arguments: argparse.Namespace) -> bool:
    """Ask whether to commit.

    Raises:
        TargetError: there is nobody to ask.
    """
    if arguments.yes:
        return True
    if not sys.stdin.isatty() or getattr(arguments, "file", None) == "-":
        raise TargetError("give --yes where nobody can be asked")
    print("commit this? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def changes(arguments: argparse.Namespace, model: Model) -> list[tuple[etree._Element, str]]:
    """``config`` elements and their default operations, in the order in which they are to be made."""
    edits: list[tuple[etree._Element, str]] = []
    if arguments.file is not None:
        edits.append((_from_file(arguments.file), arguments.operation))
    for text in arguments.delete:
        edits.append((edit(parse(text, model), model, None, "delete"), "merge"))
    for text in arguments.set:
        path, value = split_assignment(text)
        edits.append((edit(parse(path, model), model, value, None), "merge"))
    return edits


def _from_file(name: str) -> etree._Element:
    try:
        content = sys.stdin.buffer.read(_MAX_FILE + 1) if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise TargetError(f"{name} cannot be read: {error.strerror}") from None
    if len(content) > _MAX_FILE:
        raise TargetError(f"{name} is larger than {_MAX_FILE} octets")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_blank_text=True)
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError:
        # several top-level nodes side by side
        try:
            root = etree.fromstring(b"<config>" + content + b"</config>", parser)
        except etree.XMLSyntaxError as error:
            raise TargetError(f"{name} is no XML: {error}") from None
    config = etree.Element(qualified(BASE_NS, "config"), nsmap={None: BASE_NS})  # type: ignore[dict-item]
    if etree.QName(root).localname in ("config", "data"):
        config.extend(list(root))
    else:
        config.append(root)
    return config


@contextmanager
def edited(
    client: NetconfClient, edits: list[tuple[etree._Element, str]]
) -> Iterator[tuple[etree._Element, etree._Element]]:
    """Make the edits in candidate, which is locked meanwhile: running, and what it would become.

    What is not committed inside is discarded.
    """
    with client.locked("candidate"):
        try:
            for config, operation in edits:
                client.edit_candidate(config, default_operation=operation)
            yield client.get_config(), client.get_config(source="candidate")
        finally:
            if client.connected:
                try:
                    client.discard()
                except NetconfError as error:
                    print(f"aether: the changes could not be discarded: {error}", file=sys.stderr)
