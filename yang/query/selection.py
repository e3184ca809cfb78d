"""A `Selection`: which nodes of which instances a request asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from yang.provider import Keys
from yang.schema import SchemaNode

Children = Mapping[SchemaNode, "SelectNode"]
Shape = frozenset[tuple[SchemaNode, Any]]


@dataclass(frozen=True, slots=True)
class Match:
    """A condition on an instance.

    Attributes:
        path: from a child of the instance down to a leaf or leaf-list, through containers.
        value: the leaf has (the leaf-list holds) this value; None: it exists.
    """

    path: tuple[SchemaNode, ...]
    value: Any = None

    @property
    def shape(self) -> tuple[SchemaNode, ...]:
        """What the condition looks at."""
        return self.path

    def holds(self, config: Mapping[str, Any] | None, record: Any) -> bool:
        """Whether an instance satisfies a condition."""
        for level in self.path[:-1]:
            config = config.get(level.json_name) if config is not None else None
            record = getattr(record, level.attr, None) if record is not None else None
        leaf = self.path[-1]
        if leaf.config and config is not None:
            value = config.get(leaf.json_name)
        else:
            value = getattr(record, leaf.attr, None) if record is not None else None
        if value is None:
            return False
        if self.value is None:
            return True
        if leaf.kind == "leaf-list":
            return bool(self.value in value)
        return bool(value == self.value)


Tester = Callable[[Any, Mapping[str, Any] | None, Any, Keys], bool]
"""Whether an instance satisfies a condition: asked with the body of all that may be read of it, its
configuration, its record, and the values of all keys from the root down."""


class Condition(Protocol):
    """A condition on an instance that is more than matches, and may count the instances."""

    def tester(self) -> Tester:
        """A new function for the instances below one parent, to be asked in their order."""
        ...


@dataclass(frozen=True, slots=True)
class Branch:
    """One way to be selected: instances that satisfy it contribute `children`.

    Attributes:
        keys: for a list: the exact entries, or None for all.
        matches: conditions, all of which must hold.
        children: what is selected below; None selects everything.
        where: one more condition, on what the user may read of the instance; or None.
    """

    keys: tuple[Keys, ...] | None = None
    matches: tuple[Match, ...] = ()
    children: Children | None = None
    where: Condition | None = None

    @property
    def conditional(self) -> bool:
        """True when it depends on the instance."""
        return self.keys is not None or bool(self.matches) or self.where is not None


@dataclass(frozen=True, slots=True, eq=False)
class SelectNode:
    """A selected schema node. An instance is included if any branch takes it; it shows the union."""

    node: SchemaNode
    branches: tuple[Branch, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What one path of a request asks for.

    Attributes:
        top: as in `Selection`, for this path alone.
        targets: the nodes that it leads to, wildcards expanded.
    """

    top: Children | None
    targets: tuple[SchemaNode, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """The whole request.

    Attributes:
        top: top-level nodes that are selected; None selects everything.
        parts: for a selection from paths, path by path; else empty.
        query: what is left to do when `top` has been read (`yang.xpath.filter.XPathQuery`), or None.
        direct: what selects the same as the query in a single reading, where there is such a thing; or None.
    """

    top: Children | None = None
    parts: tuple[Part, ...] = ()
    query: Any = None
    direct: Children | None = None


def merge(nodes: Iterable[SelectNode]) -> dict[SchemaNode, SelectNode]:
    """The union of what several filters select among siblings."""
    collected: dict[SchemaNode, list[Branch]] = {}
    for node in nodes:
        collected.setdefault(node.node, []).extend(node.branches)
    return {node: SelectNode(node, _normalise(branches)) for node, branches in collected.items()}


def merge_children(left: Children | None, right: Children | None) -> Children | None:
    """The union of two sets of children; None (everything) absorbs."""
    if left is None or right is None:
        return None
    return merge([*left.values(), *right.values()])


def _normalise(branches: list[Branch]) -> tuple[Branch, ...]:
    """Join branches with equal conditions, and entries that show the same; drop what is covered."""
    by_condition: dict[tuple[Any, Any, Any], Branch] = {}
    for branch in branches:
        condition = (branch.keys, branch.matches, branch.where)
        known = by_condition.get(condition)
        children = branch.children if known is None else merge_children(known.children, branch.children)
        by_condition[condition] = replace(branch, children=children)
    for branch in by_condition.values():
        if not branch.conditional and branch.children is None:
            return (branch,)
    result: list[Branch] = []
    by_shape: dict[Shape | None, int] = {}
    for branch in by_condition.values():
        plain = branch.keys is not None and not (branch.matches or branch.where)
        plain = plain and is_value_free(branch.children)
        shape = shape_of(branch.children) if plain else None
        if plain and shape in by_shape:
            known = result[by_shape[shape]]
            keys = dict.fromkeys((*(known.keys or ()), *(branch.keys or ())))
            result[by_shape[shape]] = replace(known, keys=tuple(keys))
            continue
        if plain:
            by_shape[shape] = len(result)
        result.append(branch)
    return tuple(result)


def is_value_free(children: Children | None) -> bool:
    """True when nothing below depends on the instance: the result can be compiled once for all requests."""
    if children is None:
        return True
    return all(
        not branch.conditional and is_value_free(branch.children)
        for child in children.values()
        for branch in child.branches
    )


def shape_of(children: Children | None) -> Shape | None:
    """What a value-free set of children selects, as a cache key."""
    if children is None:
        return None
    return frozenset((node, shape_of(select.branches[0].children)) for node, select in children.items())


def chain(nodes: Iterable[tuple[SchemaNode, Branch]], last: Children | None = None) -> Children | None:
    """Nest branches: each node's branch gets the next node as its only child, the last one gets `last`."""
    children = last
    for node, branch in reversed(tuple(nodes)):
        children = {node: SelectNode(node, (replace(branch, children=children),))}
    return children


def list_branch(
    node: SchemaNode,
    values: Mapping[str, Any],
    matches: Iterable[Match] = (),
    children: Children | None = None,
) -> Branch:
    """The branch of a list whose keys are known in part or in full.

    Args:
        values: key name → Python value.
    """
    if node.keys and all(name in values for name in node.keys):
        return Branch((tuple(values[name] for name in node.keys),), tuple(matches), children)
    partial = [Match((key,), values[key.name]) for key in node.key_nodes if key.name in values]
    return Branch(None, (*partial, *matches), children)


def named_keys(selection: Selection, node: SchemaNode) -> list[Keys]:
    """The entries of a list outside of other lists that a selection names by all of their keys."""
    levels = [selection.top]
    for step in node.chain[:-1]:
        found = [children[step] for children in levels if children is not None and step in children]
        levels = [branch.children for select in found for branch in select.branches]
    wanted: dict[Keys, None] = {}
    for children in levels:
        if children is not None and node in children:
            for branch in children[node].branches:
                wanted.update(dict.fromkeys(branch.keys or ()))
    return list(wanted)


@dataclass(slots=True)
class Counter:
    """Refuses requests that are larger than anyone needs.

    Attributes:
        limit: nodes that a filter may name.
        fail: called when there are more; raises.
    """

    limit: int
    fail: Callable[[], Exception]
    count: int = field(default=0)

    def add(self, number: int = 1) -> None:
        """Count `number` more nodes."""
        self.count += number
        if self.count > self.limit:
            raise self.fail()
