"""How far a request reaches below its paths: the Depth extension and use_models."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from yang.encode.leaves import Leaf
from yang.path import DataPath
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

    def kept(self, path: DataPath, leaves: list[Leaf]) -> list[Leaf]:
        """The leaves of an entry without those whose values are identities of modules that are not used; none
        when that is the entry's key (specification, 2.6)."""
        if self.models is None or not leaves:
            return leaves
        chain = leaves[0][2].chain
        for level, step in zip(chain, path.steps, strict=False):
            keys = dict(step.keys)
            if any(self._is_foreign(keys.get(key.name), key) for key in level.key_nodes):
                return []
        return [leaf for leaf in leaves if not self._is_foreign(leaf[1], leaf[2])]

    def _is_foreign(self, value: Any, node: SchemaNode) -> bool:
        """Whether a value of a leaf is, or holds, an identity of a module that is not used."""
        if self.models is None or node.type is None or not node.type.has_identities:
            return False
        values = value if isinstance(value, list | tuple) else (value,)
        modules = (text.partition(":")[0] for text in values if isinstance(text, str) and ":" in text)
        return any(module not in self.models for module in modules)

    def _has_foreign_key(self, value: Any, node: SchemaNode) -> bool:
        """The same of the keys in an RFC 7951 list entry."""
        if self.models is None or node.kind != "list" or not isinstance(value, dict):
            return False
        names = ((key, (key.name, key.json_name, f"{key.module}:{key.name}")) for key in node.key_nodes)
        return any(self._is_foreign(value.get(name), key) for key, known in names for name in known)

    def pruned(self, value: Any, node: SchemaNode, top: SchemaNode) -> Any:
        """An RFC 7951 value of an instance of `node` without what is not shown; None when that is all."""
        if not self.limited:
            return value
        if self._is_foreign(value, node) or self._has_foreign_key(value, node):
            return None
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
