"""Filters on notifications (RFC 5277 section 3.6): an event passes whole, or not at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from lxml import etree

from nbi.protocol.names import split_tag

MAX_NESTED: Final = 3
"""Levels of predicates inside predicates: each may look at every node of an event for every node."""
MAX_WORK: Final = 10_000_000
"""Nodes that one event may make a filter look at: it is asked in the event loop, of each event."""
_NODES: Final = 300
"""Of a large event, a config change with 100 edits."""
_WIDE: Final = re.compile(r"//|::|\.\.|(?<![\w*.)\]/:])/")
"""What leads a path anywhere in the event, not only further down from where it is."""
_LITERALS: Final = re.compile(r"'[^']*'|\"[^\"]*\"")
_BRACKETS: Final = re.compile(r"[\[\]]")

EventFilter = Callable[[etree._Element], bool]
"""Whether a subscriber wants the notification with this content."""


def subtree_filter(element: etree._Element) -> EventFilter:
    """A filter element whose children are the subtree filter (RFC 6241 section 6).

    An event passes if the filter selects any part of it; an empty filter selects nothing.
    """
    branches = list(element)
    return lambda content: any(_selects(branch, content) for branch in branches)


def _selects(branch: etree._Element, node: etree._Element) -> bool:
    """Whether one element of the filter selects something at or below a node of the event."""
    namespace, name = split_tag(str(branch.tag))
    node_namespace, node_name = split_tag(str(node.tag))
    # A filter element without namespace matches any (RFC 6241 section 6.2.1).
    if name != node_name or (namespace and namespace != node_namespace):
        return False
    if any(node.get(str(attribute)) != value for attribute, value in branch.attrib.items()):
        return False
    wanted = (branch.text or "").strip()
    if not len(branch):
        return not wanted or wanted == (node.text or "").strip()
    conditions = [child for child in branch if _is_content_match(child)]
    others = [child for child in branch if not _is_content_match(child)]
    if not all(any(_selects(child, below) for below in node) for child in conditions):
        return False
    return not others or any(_selects(child, below) for child in others for below in node)


def _is_content_match(element: etree._Element) -> bool:
    return not len(element) and bool((element.text or "").strip())


def _work(expression: str) -> int:
    """How many nodes of a large event an expression without literals may look at."""
    work, times, wide = 0, [1], [1]  # of the predicates around: how often they are asked, and whether of all
    for part in re.split(r"([\[\]])", expression):
        if part == "[":
            times.append(times[-1] * (_NODES if wide[-1] else 1))
            wide.append(0)
        elif part == "]":
            times, wide = times[:-1] or [1], wide[:-1] or [1]
        else:
            found = len(_WIDE.findall(part))
            wide[-1] += found
            work += times[-1] * (found * _NODES + 1)
    return work


def xpath_filter(expression: str, namespaces: Mapping[str | None, str]) -> EventFilter:
    """An XPath whose root is the parent of the notification's content.

    An event passes if the result is true, a non-empty node set, a non-empty text or a number but 0.

    Raises:
        ValueError: not an XPath 1.0 expression, one with an unknown prefix, or predicates nested too deep.
    """
    depth = deepest = 0
    for bracket in _BRACKETS.findall(_LITERALS.sub("", expression)):
        depth += 1 if bracket == "[" else -1
        deepest = max(deepest, depth)
    if deepest > MAX_NESTED:
        raise ValueError(f"predicates may be nested {MAX_NESTED} deep at most")
    if _work(_LITERALS.sub("''", expression)) > MAX_WORK:
        raise ValueError(
            "it looks at too many nodes of an event: paths with // inside of each other's predicates"
        )
    prefixes = {prefix: uri for prefix, uri in namespaces.items() if prefix is not None}
    try:
        compiled = etree.XPath(expression, namespaces=prefixes, regexp=False, smart_strings=False)
        # Prefixes and functions are looked up only when the expression is evaluated.
        compiled(etree.Element("nothing"))
    except etree.XPathError as error:
        raise ValueError(f"{expression!r} is not an XPath expression: {error}") from None

    def passes(content: etree._Element) -> bool:
        try:
            return bool(compiled(content.getroottree()))
        except etree.XPathError:
            return False

    return passes
