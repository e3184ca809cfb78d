"""XPath filters of any kind: what they have to read, and what they select of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from yang.provider import OperationError
from yang.query.selection import Branch, Selection, SelectNode, chain, merge
from yang.schema import Schema, SchemaNode
from yang.xpath.direct import direct
from yang.xpath.document import Document, Node, Show
from yang.xpath.engine import Context, Engine
from yang.xpath.functions import FUNCTIONS
from yang.xpath.syntax import Expression, Resolve, Step, parse

_UP: Final = frozenset({"parent", "following-sibling", "preceding-sibling"})
_FAR: Final = frozenset({"ancestor", "ancestor-or-self", "following", "preceding"})
_MAX_BRANCHES: Final = 1_000
_MAX_WAYS: Final = 50_000
"""Nodes of the schema that are looked at, which is done in the event loop."""
_Path = tuple[SchemaNode, ...]


@dataclass(frozen=True, slots=True, eq=False)
class XPathQuery:
    """The part of a filter that is left when its branches have been read."""

    expression: Expression
    resolve: Resolve

    def show(self, document: Document, depth: int | None = None) -> Callable[[Node], Show]:
        """What a document shows of the nodes that the expression selects: them with all below, the nodes that
        they are in, and the keys of these.

        Args:
            depth: levels to show of what is selected; None: all.

        Raises:
            OperationError: ``invalid-value`` when the value is no node-set, ``too-big`` when it is too much
                work.
        """
        engine = Engine(document, self.resolve, FUNCTIONS)
        value = engine.evaluate(self.expression, Context(document.root))
        if not isinstance(value, list):
            raise OperationError("invalid-value", "XPath filter: the value of the expression is no node-set")
        selected: set[Node] = set()
        around: set[Node] = set()
        for found in value:
            node = found.parent if found.is_text and found.parent is not None else found
            selected.add(node)
            above = node.parent
            while above is not None and above not in around:
                around.add(above)
                above = above.parent
        if document.root in selected:
            selected.update(document.root.children)
        levels = _Levels(selected, depth) if depth is not None else None

        def show(node: Node) -> Show:
            if levels is not None:
                return levels.show(node, node in around)
            if node in selected:
                return "all"
            if node in around:
                return "inside"
            return "all" if is_key(node) else "nothing"

        return show


class _Levels:
    """Counts the levels below what is selected."""

    def __init__(self, selected: set[Node], depth: int) -> None:
        self._left = dict.fromkeys(selected, depth)

    def show(self, node: Node, around: bool) -> Show:
        left = self._left.get(node, 0)
        for child in node.children if left > 1 else ():
            self._left[child] = max(self._left.get(child, 0), left - 1)
        if left:
            return "element"
        if around:
            return "inside"
        return "all" if is_key(node) else "nothing"


def is_key(node: Node) -> bool:
    """True for the key of a list entry."""
    return node.schema is not None and node.schema.is_key


def select_any_xpath(schema: Schema, text: str, namespaces: Mapping[str | None, str]) -> Selection:
    """The selection of the branches that an expression can touch, with what is left to do.

    Raises:
        OperationError: ``invalid-value`` when it is not XPath or a prefix is unknown, ``too-big``.
    """

    def resolve(prefix: str) -> str:
        uri = namespaces.get(prefix) or schema.namespace_of(prefix)
        if uri is None:
            raise OperationError("invalid-value", f'XPath filter: the prefix "{prefix}" is not declared')
        return uri

    expression = parse(text, resolve)
    branches = touched(schema, expression)
    query = XPathQuery(expression, resolve)
    once = direct(schema, expression, resolve)
    if branches is None:
        return Selection(None, query=query, direct=once)
    nodes: list[SelectNode] = []
    for path in branches:
        nodes.extend((chain((node, Branch()) for node in path) or {}).values())
    return Selection(merge(nodes), query=query, direct=once)


def touched(schema: Schema, expression: Expression) -> set[_Path] | None:
    """The branches that the value of an expression depends on; None when it may be any.

    Names are followed from the root as long as nothing but child steps without predicate comes; what is below
    is taken whole. Steps upwards widen a branch by as many levels.
    """
    up = 0
    for part in expression.walk():
        if part.kind == "call" and part.value == "deref":
            return None
        for step in part.steps:
            if step.axis in _FAR:
                return None
            up += step.axis in _UP
    result: set[_Path] = set()
    left = [_MAX_WAYS]
    for steps in _from_root(expression, at_root=True):
        for path in _prefixes(schema, steps, left):
            if len(path) <= up or len(result) > _MAX_BRANCHES:
                return None
            result.add(path[: len(path) - up])
    return result


def _from_root(expression: Expression, *, at_root: bool) -> Iterator[tuple[Step, ...]]:
    """The steps of all paths in an expression that begin at the root.

    Args:
        at_root: the context node is the root.
    """
    if expression.kind == "path" and not expression.operands and (expression.absolute or at_root):
        yield expression.steps
    elif at_root and expression.kind == "call" and not expression.operands:
        yield ()
    for operand in expression.operands:
        yield from _from_root(operand, at_root=at_root)
    inner: Iterable[Expression] = (
        *expression.predicates,
        *(predicate for step in expression.steps for predicate in step.predicates),
    )
    for predicate in inner:
        yield from _from_root(predicate, at_root=False)


def _prefixes(schema: Schema, steps: tuple[Step, ...], left: list[int]) -> list[_Path]:
    """The schema nodes that the first steps name; the empty path is the root, no path at all is nowhere.

    Args:
        left: how many nodes may still be looked at; when there are none left, it is the root.
    """
    paths: list[_Path] = [()]
    skip = False
    for number, step in enumerate(steps):
        if step.axis == "descendant-or-self" and step.test.kind == "node" and not step.predicates:
            if number:
                return paths
            skip = True
            continue
        if step.axis != "child" or step.test.kind != "name" or not step.test.name:
            return [()] if skip else paths
        found: list[_Path] = []
        for path in paths:
            parent = path[-1] if path else schema.root
            below = _descents(parent) if skip else ((child,) for child in parent.data_children)
            for way in below:
                left[0] -= 1
                if left[0] < 0:
                    return [()]
                node = way[-1]
                if node.name == step.test.name and step.test.namespace in (None, node.namespace):
                    found.append((*path, *way))
        paths, skip = found, False
        if step.predicates or any(path[-1].is_leaf for path in paths):
            return paths
    return [()] if skip else paths


def _descents(parent: SchemaNode) -> Iterator[_Path]:
    for child in parent.data_children:
        yield (child,)
        for below in _descents(child):
            yield (child, *below)
