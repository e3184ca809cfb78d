"""union_replace of gNMI's Set: what several operations hold is united, and then takes the place of what is at
their paths (gNMI union_replace, section 5)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from yang.datastore.data import EMPTY, Tree
from yang.datastore.edit import Edit, Editor, ValueReader
from yang.datastore.edit_paths import edits_of_operations
from yang.datastore.model import PathOperation
from yang.path import DataPath, Step
from yang.provider import Keys, OperationError
from yang.schema import Schema, SchemaNode

_Place = tuple[tuple[SchemaNode, Keys], ...]
_Said = dict[tuple[_Place, str], Any]
"""Values of leaves, and cases of choices: of which node, and which; a leaf has no name here."""


def unite(
    schema: Schema, operations: Sequence[PathOperation], values: ValueReader, tree: Tree
) -> tuple[Tree, list[Edit]]:
    """The tree after the operations, and their edits.

    Everything is cleared at once, and set at once: a tree for each of 100,000 operations would be 100,000
    copies of its longest list.

    Args:
        operations: all with the operation ``union``.

    Raises:
        OperationError: ``invalid-value``: two operations say different things about one node; or what is
            wrong with one of them.
    """
    named: list[Edit] = []
    cleared: list[Edit] = []
    said: _Said = {}
    empty: set[tuple[Step, ...]] = set()
    for number, operation in enumerate(operations):
        try:
            # what is empty already is left alone: an entry made here would come before others of its list
            where = _steps(operation.path)
            if not any(where[:length] in empty for length in range(len(where) + 1)):
                cleared.extend(_cleared(schema, operation, values, tree))
                empty.add(where)
            edits, _ = edits_of_operations(schema, replace(operation, op="update"), values, EMPTY)
            _agree(said, edits)
        except OperationError as error:
            error.operation = number
            raise
        named.extend(edits)
    return Editor().apply(tree, [*_together(cleared), *_together(named)], "merge"), named


def _steps(path: DataPath) -> tuple[Step, ...]:
    """The steps of a path, with keys in one order; of a module alone as what all its paths begin with."""
    if not path.steps or path.module_only is not None:
        return () if path.module_only is None else (Step(path.module_only, ""),)
    steps = tuple(Step(step.module, step.name, tuple(sorted(step.keys))) for step in path.steps)
    return (Step(steps[0].module, ""), *steps)


def _agree(said: _Said, edits: Iterable[Edit]) -> None:
    """Note what an operation says. Raises OperationError: another one says something else."""
    own: _Said = {}
    _note(own, edits, ())
    for what, value in own.items():
        if said.setdefault(what, value) != value:
            place = what[0]
            path = DataPath(tuple(Edit(node, keys=keys).step for node, keys in place))
            message = f"the operations of the union say different things about {path}"
            raise OperationError("invalid-value", message, path=str(path))


def _note(own: _Said, edits: Iterable[Edit], above: _Place) -> None:
    for edit in edits:
        node = edit.node
        for choice, case in node.cases:
            own[above, choice] = case
        place = (*above, (node, edit.keys))
        if node.kind in ("container", "list"):
            _note(own, edit.children, place)
        elif node.kind != "leaf-list":  # values of leaf-lists are united
            own[place, ""] = edit.value


def _together(edits: Iterable[Edit]) -> list[Edit]:
    """The same edits, with one in the place of several that follow each other inside one container."""
    result: list[Edit] = []
    inside: list[Edit] | None = None
    for edit in edits:
        if edit.node.kind != "container" or edit.operation not in (None, "merge"):
            result.append(edit)
            inside = None
        elif inside is not None and result[-1].node is edit.node:
            inside.extend(edit.children)
        else:
            inside = list(edit.children)
            result.append(replace(edit, children=inside))
    return [
        replace(edit, children=_together(edit.children)) if edit.node.kind == "container" else edit
        for edit in result
    ]


def _cleared(schema: Schema, operation: PathOperation, values: ValueReader, tree: Tree) -> list[Edit]:
    """Edits that leave nothing at the path of an operation; an entry keeps its place in its list."""
    node = operation.path.schema_node(schema) if operation.path.exact and operation.path.steps else None
    if node is not None and node.is_key:
        return []
    last = operation.path.steps[-1] if operation.path.steps else None
    if node is not None and node.kind == "list" and last is not None and last.keys:
        return edits_of_operations(schema, replace(operation, op="replace", value={}), values, tree)[0]
    return edits_of_operations(schema, replace(operation, op="delete", value=None), values, tree)[0]
