"""What an element comes with, where its first configuration says nothing of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yang.datastore.data import Tree, from_json
from yang.schema import Schema


def with_factory(schema: Schema, tree: Tree, factory: Mapping[str, Any]) -> Tree:
    """The tree, with what it lacks of the factory's configuration.

    Args:
        factory: RFC 7951 members, containers. What the tree has inside of one of them stays as it is.
    """
    result = dict(tree)
    for name, content in from_json(schema.root, factory).items():
        result[name] = {**content, **result.get(name, {})}
    return result
