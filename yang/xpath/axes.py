"""The axes of XPath 1.0 (section 2.2); reverse axes give the nearest nodes first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final

from yang.xpath.document import Node


def _children(node: Node) -> Iterable[Node]:
    if node.children:
        return node.children
    text = node.text_node
    return (text,) if text is not None else ()


def _descendants(node: Node) -> Iterator[Node]:
    stack = list(_children(node))[::-1]
    while stack:
        each = stack.pop()
        yield each
        if each.children:
            stack.extend(reversed(each.children))
        elif (text := each.text_node) is not None:
            yield text


def _descendants_or_self(node: Node) -> Iterator[Node]:
    yield node
    yield from _descendants(node)


def _ancestors(node: Node) -> Iterator[Node]:
    above = node.parent
    while above is not None:
        yield above
        above = above.parent


def _ancestors_or_self(node: Node) -> Iterator[Node]:
    yield node
    yield from _ancestors(node)


def _siblings(node: Node) -> tuple[list[Node], int]:
    if node.parent is None or node.is_text:
        return [], 0
    siblings = node.parent.children
    low, high = 0, len(siblings)  # in order: found by halves
    while low < high:
        middle = (low + high) // 2
        if siblings[middle].order < node.order:
            low = middle + 1
        else:
            high = middle
    return siblings, low


def _following_siblings(node: Node) -> Iterable[Node]:
    siblings, index = _siblings(node)
    return islice(siblings, index + 1, None)


def _preceding_siblings(node: Node) -> Iterator[Node]:
    siblings, index = _siblings(node)
    return (siblings[i] for i in range(index - 1, -1, -1))


def _following(node: Node) -> Iterator[Node]:
    for level in _ancestors_or_self(node):
        for sibling in _following_siblings(level):
            yield from _descendants_or_self(sibling)


def _preceding(node: Node) -> Iterator[Node]:
    for level in _ancestors_or_self(node):
        for sibling in _preceding_siblings(level):
            yield from _reversed_subtree(sibling)


def _reversed_subtree(node: Node) -> Iterator[Node]:
    if node.children:
        for child in reversed(node.children):
            yield from _reversed_subtree(child)
    elif (text := node.text_node) is not None:
        yield text
    yield node


def _parent(node: Node) -> Iterable[Node]:
    return (node.parent,) if node.parent is not None else ()


def _nothing(_node: Node) -> Iterable[Node]:
    return ()  # our data has no attributes, and namespaces are no data


AXES: Final[dict[str, Callable[[Node], Iterable[Node]]]] = {
    "ancestor": _ancestors,
    "ancestor-or-self": _ancestors_or_self,
    "attribute": _nothing,
    "child": _children,
    "descendant": _descendants,
    "descendant-or-self": _descendants_or_self,
    "following": _following,
    "following-sibling": _following_siblings,
    "namespace": _nothing,
    "parent": _parent,
    "preceding": _preceding,
    "preceding-sibling": _preceding_siblings,
    "self": lambda node: (node,),
}
"""Name of an axis → the nodes on it, seen from a node."""
