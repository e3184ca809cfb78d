"""What a relative path leads to in the configuration and the record of an instance."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

from yang.encode.xml import clean
from yang.provider import Keys
from yang.query.plan import Body, LeafPlan
from yang.schema import SchemaNode
from yang.types import INTEGER_BITS, LeafType
from yang.xpath.document import Node

Config = Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What a path leads to.

    Attributes:
        leaf: the leaf or leaf-list; None: the path leads to containers or list entries, or nowhere.
        values: of an instance, given by configuration, record and keys: the Python values of all such leaves;
            of other nodes anything for each of them.
        single: of a path to a single leaf: the same, as the value or None; else None.
        text: what the XML has of a value.
    """

    leaf: SchemaNode | None
    values: Callable[[Config, Any, Keys], list[Any]]
    single: Callable[[Config, Any, Keys], Any] | None
    text: Callable[[Any], str]

    def node(self, value: Any) -> Node:
        """A leaf with such a value as a node of a document."""
        leaf = self.leaf
        node = Node(
            None, leaf, leaf.namespace if leaf is not None else "", leaf.name if leaf is not None else "", 0
        )
        node.text = self.text(value) if leaf is not None else ""
        return node


NOTHING: Final = Reference(None, lambda _c, _r, _k: [], None, str)
"""A path that leads nowhere."""


def reference(body: Body | None, path: tuple[SchemaNode, ...]) -> Reference:
    """What a path leads to in the instances of a body.

    Args:
        body: None: it will not be asked for any.
        path: from a child of the instance on.
    """
    last = path[-1]
    leaf = last if last.is_leaf else None
    text = _text_of(last.type) if last.type is not None else str
    one = last.kind == "leaf" and all(node.kind == "container" for node in path[:-1])
    if body is None:
        return Reference(leaf, lambda _c, _r, _k: [], (lambda _c, _r, _k: None) if one else None, text)

    def values(config: Config, record: Any, keys: Keys) -> list[Any]:
        if absent and getattr(record, first.attr, None) is None:
            return []
        return list(_walk(body, path, config, record, keys))

    first = path[0]
    absent = first.kind == "container" and _from_record(body, first) is not None
    single = _single(body, path) if one else None
    return Reference(leaf, values, single, text)


def _is_shown(body: Body, config: Config, record: Any, keys: Keys) -> bool:
    """Whether a document that shows a body has this instance."""
    if body.always and (body.node.kind == "list" or config is not None):
        return True
    if any(_leaf(leaf, config, record) is not None for leaf in body.leaves):
        return True
    return any(
        _is_shown(found.body, found.config, found.record, found.keys)
        for plan in body.inner
        for found in plan.instances(config, record, keys)
    )


def _walk(body: Body, path: tuple[SchemaNode, ...], config: Config, record: Any, keys: Keys) -> Iterator[Any]:
    node, rest = path[0], path[1:]
    for leaf in body.leaves:
        if leaf.node is node:
            value = _leaf(leaf, config, record)
            if value is not None and not rest:
                yield from value if node.kind == "leaf-list" else (value,)
            return
    for plan in body.inner:
        if plan.node is node:
            for found in plan.instances(config, record, keys):
                if rest:
                    yield from _walk(found.body, rest, found.config, found.record, found.keys)
                elif _is_shown(found.body, found.config, found.record, found.keys):
                    yield node


def _from_record(body: Body, node: SchemaNode) -> Body | None:
    """The body of a container below, if it is all in the record."""
    plan = next((plan for plan in body.inner if plan.node is node), None)
    if plan is None or node.config or plan.provider is not None or not plan.planner.with_state:
        return None
    return plan.uniform


def _single(body: Body, path: tuple[SchemaNode, ...]) -> Callable[[Config, Any, Keys], Any]:
    names: list[str] = []
    inside: Body | None = body
    for node in path[:-1]:
        inside = _from_record(inside, node) if inside is not None else None
        names.append(node.attr)
    leaf = (
        next((leaf for leaf in inside.leaves if leaf.node is path[-1]), None) if inside is not None else None
    )
    if leaf is None or leaf.node.config:
        return lambda c, r, k: next(_walk(body, path, c, r, k), None)
    names.append(leaf.node.attr)
    if len(names) == 1:
        (name,) = names
        return lambda _c, r, _k: getattr(r, name, None)
    get = attrgetter(".".join(names))

    def nested(_config: Config, record: Any, _keys: Keys) -> Any:
        try:
            return get(record)
        except AttributeError:  # of what is not there
            return None

    return nested


def _leaf(leaf: LeafPlan, config: Config, record: Any) -> Any:
    """The value of a leaf that a body shows, or None."""
    node = leaf.node
    if node.config and config is not None:
        value = config.get(node.json_name)
    else:
        value = getattr(record, node.attr, None)
    if node.kind == "leaf-list" and value is not None:
        only = leaf.only
        value = [each for each in value if only is None or each in only] or None
        if value is not None and leaf.skip_default and tuple(value) == node.defaults:
            return None
    elif leaf.skip_default and value == node.defaults[0]:
        return None
    return value


def _text_of(kind: LeafType) -> Callable[[Any], str]:
    if kind.base in INTEGER_BITS:
        return str
    if kind.base == "string":
        return clean
    return lambda value: clean(kind.format(value))
