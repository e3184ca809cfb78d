"""Subtree filters (RFC 6241 section 6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from lxml import etree

from yang.provider import OperationError
from yang.query.selection import (
    Branch,
    Children,
    Counter,
    Match,
    Selection,
    SelectNode,
    list_branch,
    merge,
)
from yang.schema import DATA_KINDS, Schema, SchemaNode

NETCONF_BASE: Final = "urn:ietf:params:xml:ns:netconf:base:1.0"
MAX_NODES: Final = 20_000
MAX_DEPTH: Final = 64


def select_subtree(schema: Schema, filter_element: etree._Element | None) -> Selection:
    """The selection of a subtree filter: the element whose children are the filter, or None for everything.

    Raises:
        OperationError: ``too-big`` when it names more than `MAX_NODES` nodes.
    """
    if filter_element is None:
        return Selection(None)
    compiler = _Compiler(schema)
    return Selection(merge(compiler.children(schema.root, filter_element, 0)))


class _Compiler:
    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._size = Counter(MAX_NODES, _too_big)

    def children(self, parent: SchemaNode, element: etree._Element, depth: int) -> list[SelectNode]:
        """What the child elements select, those that are content matches included."""
        if depth > MAX_DEPTH:
            raise _too_big()
        selected: list[SelectNode] = []
        for child in element.iterchildren(etree.Element):
            self._size.add()
            for node in self._nodes(parent, child):
                branch = self._branch(node, child, depth)
                if branch is not None:
                    selected.append(SelectNode(node, (branch,)))
        return selected

    def _nodes(self, parent: SchemaNode, element: etree._Element) -> list[SchemaNode]:
        """The schema nodes that an element names; one without a namespace of its own matches any (6.2.1)."""
        if element.attrib:
            return []  # attribute match (6.2.2): our data has no attributes
        name = etree.QName(element)
        if name.namespace in (None, "", NETCONF_BASE):
            found = [node for node in parent.children.values() if node.name == name.localname]
        else:
            module = self._schema.module_of_namespace(name.namespace or "")
            node = parent.children.get((module or "", name.localname))
            found = [node] if node is not None else []
        return [node for node in found if node.kind in DATA_KINDS]

    def _branch(self, node: SchemaNode, element: etree._Element, depth: int) -> Branch | None:
        if len(element) == 0 or node.is_leaf or node.kind == "anydata":
            # a selection node; for a leaf also a content match, whose condition is the parent's
            return Branch() if node.is_leaf or not (element.text or "").strip() else None
        values: dict[str, Any] = {}
        matches: list[Match] = []
        others = False
        for child in element.iterchildren(etree.Element):
            text = (child.text or "").strip()
            matched = [n for n in self._nodes(node, child) if n.is_leaf] if text else []
            if not matched:
                others = True
                continue
            leaf = matched[0]
            try:
                value = parse_in(leaf, text, module_resolver(self._schema, child))
            except ValueError:
                return None  # no instance can have this value
            if leaf.is_key and leaf.name not in values:
                values[leaf.name] = value
            else:
                matches.append(Match((leaf,), value))
        children: Children | None = None
        if others:
            # what is matched is shown as well (6.2.5); children() has selected it along with the others
            children = merge(self.children(node, element, depth + 1))
            if not children:
                return None
        if node.kind == "list":
            return list_branch(node, values, matches, children)
        return Branch(None, tuple(matches), children)


def parse_in(leaf: SchemaNode, text: str, resolve: Callable[[str], str | None] | None = None) -> Any:
    """Python value of a leaf's text.

    Raises:
        ValueError: the text is not of the leaf's type.
    """
    if leaf.type is None:
        raise ValueError(f"{leaf.path} has no value")
    return leaf.type.parse(text, resolve)


def module_resolver(schema: Schema, element: etree._Element) -> Callable[[str], str | None]:
    """Maps the prefixes in scope at an element to module names ("" is the default namespace)."""
    namespaces = element.nsmap

    def resolve(prefix: str) -> str | None:
        return schema.module_of_namespace(namespaces.get(prefix or None) or "")

    return resolve


def _too_big() -> OperationError:
    return OperationError(
        "too-big", f"the filter names more than {MAX_NODES} nodes or is deeper than {MAX_DEPTH} levels"
    )
