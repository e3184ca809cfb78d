"""``aether netconf get``: configuration and state, as a tree, as lines or as XML."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from lxml import etree

from nbi.cli import complete
from nbi.cli.model import Model, learn
from nbi.cli.paths import parse, xpath
from nbi.cli.target import Target, TargetError, add_target, verb
from nbi.cli.text import flat, tree
from nbi.client import NetconfClient

MODES = ("report-all", "trim", "explicit", "report-all-tagged")


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser("get", help="read configuration and state")
    add_target(parser)
    argument = parser.add_argument(
        "path",
        nargs="*",
        default=[],
        metavar="PATH",
        help="what to read: /aether-shaping:shaping-profiles/profile[name='gold'], or shaping-profiles; all "
        "without one",
    )
    argument.completer = complete.data_paths  # type: ignore[attr-defined]
    parser.add_argument("--xpath", metavar="EXPRESSION", help="any XPath; prefixes are module names")
    parser.add_argument(
        "--source",
        choices=("running", "candidate", "startup"),
        help="configuration only, of this datastore",
    )
    parser.add_argument("--with-defaults", choices=MODES, help="which default values to show (RFC 6243)")
    parser.add_argument("--format", choices=("tree", "lines", "xml"), default="tree", help="default: tree")
    parser.set_defaults(func=_run)


@verb
def _run(arguments: argparse.Namespace, client: NetconfClient, target: Target) -> int:
    model = learn(client, target)
    data = read(arguments, client, model)
    for line in _lines(data, model, arguments.format):
        print(line)
    if len(data) == 0:
        print("aether: nothing is there, or nothing that this user may read", file=sys.stderr)
    return 0


def read(arguments: argparse.Namespace, client: NetconfClient, model: Model) -> etree._Element:
    """The data that paths or an XPath name."""
    if arguments.xpath and arguments.path:
        raise TargetError("give paths or --xpath, not both")
    namespaces: dict[str, str] = dict(model.namespaces) if arguments.xpath else {}
    expressions = [arguments.xpath] if arguments.xpath else []
    for text in arguments.path:
        expression, needed = xpath(parse(text, model), model)
        expressions.append(expression)
        namespaces |= needed
    selection = (" | ".join(expressions), namespaces) if expressions else None
    if arguments.source:
        return client.get_config(
            xpath=selection, source=arguments.source, with_defaults=arguments.with_defaults
        )
    return client.get(xpath=selection, with_defaults=arguments.with_defaults)


def _lines(data: etree._Element, model: Model, written: str) -> Iterator[str]:
    if written == "tree":
        yield from tree(data, model)
    elif written == "lines":
        yield from flat(data, model)
    else:
        for child in data:
            yield etree.tostring(child, pretty_print=True, encoding="unicode").rstrip()
