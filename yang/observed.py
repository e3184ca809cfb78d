"""The parts of a selection that `yang.observe` compares, each for itself, and what can be observed at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from yang.ordering import Order
from yang.path import DataPath, Step
from yang.provider import (
    ColumnProvider,
    FetchedProvider,
    LogProvider,
    OperationalProvider,
    StateProvider,
    WatchableProvider,
)
from yang.query import Selection
from yang.query.narrow import prune, restrict, top_nodes
from yang.query.plan import Content
from yang.schema import SchemaNode
from yang.tree import Tree

Steps = tuple[Step, ...]
Known = tuple[tuple[tuple[str, ...], ...], tuple[Any, ...]]
"""Names and values of the leaves of one container or list entry."""

_COUNTERS: Final = frozenset(
    f"ietf-yang-types:{name}"
    for name in ("counter32", "counter64", "zero-based-counter32", "zero-based-counter64", "timeticks")
)


@dataclass(slots=True, eq=False)
class Part:
    """A piece of the selection that is read, and compared, for itself.

    Attributes:
        content: ``config``, ``state``, or ``all`` for what is there although nobody configured it.
        node: the provider's node, or the top-level node of configuration.
        known: by entry of the provider's list, else under (), what the subscriber knows, by path.
        dirty: it may have changed.
        rested: monotonic seconds before which it is not read again.
        polled: monotonic seconds at which it is read again anyway.
    """

    selection: Selection
    content: Content
    node: SchemaNode
    provider: StateProvider | None = None
    known: dict[Steps, dict[Steps, Known]] = field(default_factory=dict)
    orders: dict[Steps, Order[Steps]] = field(default_factory=dict)
    version: int = 0
    snapshot: Any = None
    dirty: bool = True
    rested: float = 0.0
    polled: float = 0.0

    @property
    def whole(self) -> bool:
        """Its entries come and go with it; not so the state of a configured list."""
        return self.content != "state" or not self.node.config

    @property
    def incremental(self) -> bool:
        """The provider tells which entries changed."""
        if isinstance(self.provider, OperationalProvider):
            return False
        lists = sum(level.kind == "list" for level in self.node.chain)
        return isinstance(self.provider, WatchableProvider) and self.node.kind == "list" and lists == 1


def observable(tree: Tree, selection: Selection) -> Selection | None:
    """A selection without what cannot be observed: counters, logs, lists without keys, and what has to be
    fetched. None when nothing is left."""
    excluded: set[SchemaNode] = set()
    for node in tree.schema.root.walk():
        if node.type is not None and not node.config and node.type.typedef in _COUNTERS:
            excluded.add(node)
        if node.kind not in ("container", "list"):
            continue
        if node.kind == "list" and not node.keys:
            excluded.add(node)
        provider = tree.provider(node.path)
        if isinstance(provider, LogProvider | FetchedProvider):
            excluded.add(node)
        elif isinstance(provider, ColumnProvider):
            excluded.update(leaf_below(node, names) for names in provider.columns().leaves)
    return prune(selection, tree.schema.root, excluded)


def leaf_below(node: SchemaNode, names: tuple[str, ...]) -> SchemaNode:
    """The leaf that RFC 7951 names lead to."""
    for name in names:
        child = node.child_json(name)
        assert child is not None, (node.path, name)
        node = child
    return node


def is_configured(tree: Tree, steps: Steps, leaf: SchemaNode) -> bool:
    """Whether the instance that a leaf is in, or of state the configured one around it, is in running."""
    here: Any = tree.datastores.running.tree
    for number, level in enumerate(leaf.chain[:-1]):
        if not level.config:
            return True
        here = here.get(level.json_name)
        if here is not None and level.kind == "list":
            texts = dict(steps[number].keys)
            here = here.get(tuple(key.type.parse(texts[key.name]) for key in level.key_nodes if key.type))
        if here is None:
            return False
    return True


def has_key(node: SchemaNode, names: tuple[tuple[str, ...], ...]) -> bool:
    """Whether the keys of an entry are among its leaves: then it is told of as a whole."""
    return node.kind == "list" and any((key.json_name,) in names for key in node.key_nodes)


def below_any(path: Steps, above: set[Steps]) -> bool:
    """Whether a path is below one of these."""
    return any(path[:length] in above for length in range(1, len(path)))


def node_of(tree: Tree, steps: Steps) -> SchemaNode:
    """The schema node of a path."""
    return DataPath(steps).schema_node(tree.schema)


def parts(tree: Tree, selection: Selection, *, state: bool) -> Iterator[Part]:
    """The parts of a selection, those of configuration first.

    Args:
        state: whether there are parts of state.
    """
    root = tree.schema.root
    for top in top_nodes(selection, root):
        own = restrict(selection, top)
        if top.config and own is not None:
            yield Part(own, "config", top)
    if not state:
        return
    providers = {
        node: provider
        for node in root.walk()
        if node.kind in ("container", "list") and (provider := tree.provider(node.path)) is not None
    }
    for node, provider in providers.items():
        own = restrict(selection, node)
        if own is not None:
            nested = [other for other in providers if other is not node and node in other.chain]
            own = prune(own, root, nested)
        if own is not None:
            if node.config and isinstance(provider, OperationalProvider):
                yield Part(own, "all", node, provider)
            yield Part(own, "state", node, provider)
