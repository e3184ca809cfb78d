"""union_replace of gNMI's Set: what several operations hold is united, and then takes the place of what is at
their paths (gNMI union_replace, section 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from yang.access import ALLOW_ALL
from yang.datastore.data import EMPTY, Tree, differences
from yang.datastore.edit import Edit, Editor, ValueReader
from yang.datastore.edit_paths import edits_of_operations
from yang.datastore.model import PathOperation
from yang.provider import OperationError
from yang.schema import Schema


def unite(
    schema: Schema, operations: Sequence[PathOperation], values: ValueReader, tree: Tree
) -> tuple[Tree, list[Edit]]:
    """The tree after the operations, and their edits.

    Args:
        operations: all with the operation ``union``.

    Raises:
        OperationError: ``invalid-value``: two operations say different things about one node; or what is
            wrong with one of them.
    """
    named: list[Edit] = []
    united: Tree = EMPTY
    for number, operation in enumerate(operations):
        try:
            tree = Editor().apply(tree, _cleared(schema, operation, values, tree), "merge")
            edits, default = edits_of_operations(schema, replace(operation, op="update"), values, united)
            united = _joined(schema, united, Editor().apply(united, edits, default))
        except OperationError as error:
            error.operation = number
            raise
        named.extend(edits)
    return Editor().apply(tree, named, "merge"), named


def _joined(schema: Schema, before: Tree, after: Tree) -> Tree:
    """The union, if another operation only added to it."""
    for found in differences(schema.root, before, after, ALLOW_ALL):
        if found.op != "create":
            message = f"the operations of the union say different things about {found.path}"
            raise OperationError("invalid-value", message, path=found.path)
    return after


def _cleared(schema: Schema, operation: PathOperation, values: ValueReader, tree: Tree) -> list[Edit]:
    """Edits that leave nothing at the path of an operation; an entry keeps its place in its list."""
    node = operation.path.schema_node(schema) if operation.path.exact and operation.path.steps else None
    if node is not None and node.is_key:
        return []
    last = operation.path.steps[-1] if operation.path.steps else None
    if node is not None and node.kind == "list" and last is not None and last.keys:
        return edits_of_operations(schema, replace(operation, op="replace", value={}), values, tree)[0]
    return edits_of_operations(schema, replace(operation, op="delete", value=None), values, tree)[0]
