"""Data as text: a tree for reading, a line per leaf for searching and comparing. No I/O."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from lxml import etree

from nbi.cli.model import Model, Node

_INDENT = "  "
_RED, _GREEN, _PLAIN = "\x1b[31m", "\x1b[32m", "\x1b[0m"


def tree(data: etree._Element, model: Model) -> Iterator[str]:
    """Lines for people: one node each, indented, list entries named by their keys."""
    for line in _Walker(model).walk(data, "", "", 0):
        if line.shown:
            yield _INDENT * line.depth + line.shown


def flat(data: etree._Element, model: Model) -> Iterator[str]:
    """One line per leaf: its path, a space, its value; list entries of keys alone have a line, too."""
    return (line.path for line in _Walker(model).walk(data, "", "", 0) if line.path)


class _Line(NamedTuple):
    """What `flat` says, what `tree` says (either may say nothing), and how deep it is."""

    path: str
    shown: str
    depth: int


class _Walker:
    def __init__(self, model: Model) -> None:
        self._model = model
        self._modules = {namespace: name for name, namespace in model.namespaces.items()}

    def walk(self, element: etree._Element, schema: str, path: str, depth: int) -> Iterator[_Line]:
        above = self._model.nodes.get(schema)
        for child in element.iterchildren(etree.Element):
            name = etree.QName(child)
            node, written = self._node(schema, name.namespace or "", name.localname)
            own = f"{path}/{written}"
            if len(child) == 0:
                text = visible((child.text or "").strip())
                is_key = above is not None and name.localname in above.keys
                yield _Line("" if is_key else f"{own} {text}".rstrip(), f"{written} {text}".rstrip(), depth)
                continue
            keys = "".join(
                f"[{key}={_quoted(child.findtext(f'{{{name.namespace}}}{key}') or '')}]" for key in node.keys
            )
            keys_only = bool(keys) and len(child) == len(node.keys)
            yield _Line(own + keys if keys_only else "", written + keys, depth)
            yield from self.walk(child, node.path, own + keys, depth + 1)

    def _node(self, schema: str, namespace: str, name: str) -> tuple[Node, str]:
        qualified = f"{self._modules.get(namespace, namespace)}:{name}"
        for written in (name, qualified) if schema else (qualified,):
            node = self._model.nodes.get(f"{schema}/{written}")
            if node is not None:
                return node, written
        # a node that the element's modules do not have: shown all the same
        return Node(f"{schema}/{qualified}", "leaf"), qualified


def _quoted(value: str) -> str:
    shown = visible(value)
    return f'"{shown}"' if "'" in shown else f"'{shown}'"


def visible(value: str) -> str:
    """Without what could act on a terminal."""
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in value)


def compare(before: etree._Element, after: etree._Element, model: Model) -> Iterator[str]:
    """The leaves that differ, in the order of the model: ``-`` for what goes, ``+`` for what comes."""
    old, new = list(flat(before, model)), list(flat(after, model))
    for line in difflib.unified_diff(old, new, n=0, lineterm=""):
        if line.startswith(("+++", "---", "@@")):
            continue
        yield f"{line[0]} {line[1:]}"


def coloured(line: str, on: bool) -> str:
    """A line of `compare` for a terminal."""
    if not on:
        return line
    return f"{_RED if line.startswith('-') else _GREEN}{line}{_PLAIN}"


def leaves(content: etree._Element) -> Mapping[str, str]:
    """Leaves below an element by name; those of deeper levels by their path."""
    found: dict[str, str] = {}

    def walk(element: etree._Element, above: str) -> None:
        for child in element.iterchildren(etree.Element):
            name = f"{above}{etree.QName(child).localname}"
            if len(child):
                walk(child, f"{name}/")
            else:
                found[name] = visible((child.text or "").strip())

    walk(content, "")
    return found
