"""Leaves of a provider's record, without a walk through the tree: for logs and for what changed."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from yang.schema import SchemaNode

Leaf = tuple[tuple[str, ...], Any, SchemaNode]
"""Names below the entry (RFC 7951 member names), Python value, schema node."""


class Projection:
    """Which leaves of a list's or container's records are wanted, and how to get at them."""

    def __init__(self, node: SchemaNode, leaves: Collection[SchemaNode]) -> None:
        depth = len(node.chain)
        below = [(leaf, leaf.chain[depth:]) for leaf in leaves]
        self._leaves = [
            (tuple(step.json_name for step in steps), tuple(step.attr for step in steps), leaf)
            for leaf, steps in below
        ]

    @staticmethod
    def possible(node: SchemaNode, leaves: Collection[SchemaNode]) -> bool:
        """True when all of these leaves are in `node`'s own entries, not in lists below it."""
        depth = len(node.chain)
        return all(
            leaf.chain[:depth] == node.chain and all(step.kind != "list" for step in leaf.chain[depth:])
            for leaf in leaves
        )

    def leaves(self, record: Any) -> list[Leaf]:
        """The leaves that exist in this record."""
        found: list[Leaf] = []
        for names, attributes, node in self._leaves:
            value = record
            for attribute in attributes:
                value = getattr(value, attribute, None)
                if value is None:
                    break
            else:
                if node.kind != "leaf-list":
                    found.append((names, value, node))
                elif value:
                    found.append((names, list(value), node))
        return found
