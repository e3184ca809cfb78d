"""How far a request reaches below its paths: the Depth extension and use_models."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from yang.schema import SchemaNode


def leaves_below(node: SchemaNode) -> Iterator[SchemaNode]:
    """All leaves and leaf-lists of the data tree at or below a node."""
    if node.is_leaf:
        yield node
    for child in node.data_children:
        yield from leaves_below(child)


@dataclass(frozen=True, slots=True)
class Reach:
    """What of a subtree is shown.

    Attributes:
        depth: levels below what a path leads to, of which the last has leaves and leaf-lists only; 0 is all
            (gNMI Depth extension, 3.1).
        models: names of the modules whose nodes are used; None is all (specification, 2.6).
    """

    depth: int = 0
    models: frozenset[str] | None = None

    @property
    def limited(self) -> bool:
        """Something may be left out."""
        return self.depth > 0 or self.models is not None

    def has(self, node: SchemaNode) -> bool:
        """True when a node, and what it is in, belong to the models."""
        return self.models is None or all(step.module in self.models for step in node.chain)

    def shows(self, leaf: SchemaNode, top: SchemaNode) -> bool:
        """True when a leaf is shown of a path that leads to `top`."""
        if self.depth and len(leaf.chain) - len(top.chain) > self.depth:
            return False
        return self.has(leaf)

    def hidden(self, node: SchemaNode, top: SchemaNode | None = None) -> set[SchemaNode]:
        """The leaves below a node that are not shown of a path that leads to `top`, by default that node."""
        if not self.limited:
            return set()
        return {leaf for leaf in leaves_below(node) if not self.shows(leaf, top or node)}

    def pruned(self, value: Any, node: SchemaNode, top: SchemaNode) -> Any:
        """An RFC 7951 value of an instance of `node` without what is not shown; None when that is all."""
        if not self.limited:
            return value
        if node.kind not in ("container", "list"):
            return value if self.shows(node, top) else None
        if isinstance(value, list):
            entries = (self.pruned(entry, node, top) for entry in value)
            return [entry for entry in entries if entry is not None] or None
        if not isinstance(value, dict):
            return value
        kept = {}
        for name, member in value.items():
            child = node.child_json(name)
            shown = member if child is None else self.pruned(member, child, top)
            if shown is not None:
                kept[name] = shown
        return kept or None
