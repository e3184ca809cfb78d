"""Operations on paths, as gNMI's Set has them, as edits."""

from __future__ import annotations

from typing import Any

from yang.datastore.data import Tree
from yang.datastore.edit import Edit, ValueReader, edit_of_entry, edits_of_json, edits_of_value
from yang.datastore.model import PathOperation
from yang.datastore.wildcards import expand, has_wildcards
from yang.path import ANY, DESCEND, DataPath, Step
from yang.provider import Keys, OperationError
from yang.schema import Schema, SchemaNode

_OPERATIONS = {
    "delete": "remove",
    "remove": "remove",
    "replace": "replace",
    "update": "merge",
    "create": "create",
}


def edits_of_operations(
    schema: Schema, operation: PathOperation, values: ValueReader, tree: Tree
) -> tuple[list[Edit], str]:
    """The edits of one operation, and the default operation to apply them with.

    Args:
        tree: what they will be applied to; a deletion of what is not there comes to no edit.

    Raises:
        OperationError: ``unknown-element``, ``invalid-value``, ``missing-element``.
    """
    what = _OPERATIONS[operation.op]
    module = operation.path.module_only
    if what == "remove" and has_wildcards(schema, operation.path):
        exact = expand(schema, operation.path, values, tree)
        return [
            _nest(_nodes(schema, path), PathOperation("delete", path), values, what) for path in exact
        ], "merge"
    if not operation.path.steps or module is not None:
        return _of_root(schema, operation, values, tree, what, module)
    nodes = _nodes(schema, operation.path)
    values.check_config(nodes[-1])
    if nodes[-1].is_key:
        return _of_key(nodes, operation, values, what), "merge"
    if what == "remove" and not _present(nodes, operation.path, values, tree):
        return [], "merge"
    return [_nest(nodes, operation, values, what)], "merge"


def _of_key(nodes: list[SchemaNode], operation: PathOperation, values: ValueReader, what: str) -> list[Edit]:
    """A key is what the path says already: setting it makes the entry, and nothing else is possible."""
    node, path = nodes[-1], operation.path
    if what == "remove":
        raise values.error(node, "invalid-value", f"{path}: a key is deleted with its entry")
    entry = _keys(nodes[-2], path.steps[-2], path, values)
    (edit,) = edits_of_value(node, operation.value, values)
    if edit.value != entry[nodes[-2].keys.index(node.name)]:
        raise values.error(node, "invalid-value", f"{path} is the entry's key and cannot be another value")
    above = PathOperation("update", DataPath(path.steps[:-1]), {})
    return [_nest(nodes[:-1], above, values, "merge")]


def _of_root(
    schema: Schema, operation: PathOperation, values: ValueReader, tree: Tree, what: str, module: str | None
) -> tuple[list[Edit], str]:
    everything: list[Edit] = []
    if what in ("remove", "replace"):
        nodes = [node for name in tree if (node := schema.root.child_json(name)) is not None]
        everything = [Edit(node, "remove") for node in nodes if module in (None, node.module)]
    edits = [] if what == "remove" else edits_of_json(schema.root, operation.value, values)
    for edit in edits if module is not None else ():
        if edit.node.module != module:
            raise values.error(edit.node, "invalid-value", f"{edit.node.path} is not of the origin {module}")
    return [*everything, *edits], "merge"


def _nodes(schema: Schema, path: DataPath) -> list[SchemaNode]:
    nodes: list[SchemaNode] = []
    node = schema.root
    for step in path.steps:
        if step.name in (ANY, DESCEND) or any(value == ANY for _, value in step.keys):
            raise OperationError("invalid-value", f"{path}: an edit takes no wildcards", path=str(path))
        found = node.child(step.name, step.module or None)
        if found is None:
            raise OperationError(
                "unknown-element",
                f'{node.path or "the root"} has no node "{step.name}"',
                path=str(path),
                info={"bad-element": step.name},
            )
        nodes.append(found)
        node = found
    return nodes


def _nest(nodes: list[SchemaNode], operation: PathOperation, values: ValueReader, what: str) -> Edit:
    """The edit of the last node inside those of its ancestors."""
    steps = operation.path.steps
    inner = _last(nodes[-1], steps[-1], operation, values, what)
    for node, step in zip(reversed(nodes[:-1]), reversed(steps[:-1]), strict=True):
        keys: Keys = ()
        if node.kind == "list":
            keys = _keys(node, step, operation.path, values)
        inner = [Edit(node, keys=keys, children=inner)]
    return inner[0] if len(inner) == 1 else Edit(nodes[0], children=inner)


def _last(
    node: SchemaNode, step: Step, operation: PathOperation, values: ValueReader, what: str
) -> list[Edit]:
    if node.kind == "list":
        if not step.keys:
            return _whole_list(node, operation, values, what)
        keys = _keys(node, step, operation.path, values)
        if what == "remove":
            return [Edit(node, what, keys=keys)]
        edit = edit_of_entry(node, operation.value, values, keys)
        edit.operation = what
        return [edit]
    if node.kind == "leaf-list":
        given = dict(step.keys).get(".")
        if given is not None:
            return [Edit(node, what, value=values.from_text(node, given, None))]
        cleared = [Edit(node, "remove")] if what in ("remove", "replace") else []
        return cleared if what == "remove" else [*cleared, *edits_of_value(node, operation.value, values)]
    if what == "remove":
        return [Edit(node, what)]
    if node.kind == "leaf" and operation.value is None:
        raise values.error(node, "invalid-value", f"{node.path} needs a value")
    edits = edits_of_value(node, operation.value, values)
    for edit in edits:
        edit.operation = what
    return edits


def _whole_list(node: SchemaNode, operation: PathOperation, values: ValueReader, what: str) -> list[Edit]:
    cleared = [Edit(node, "remove")] if what in ("remove", "replace") else []
    if what == "remove":
        return cleared
    if not isinstance(operation.value, list):
        raise values.error(node, "missing-element", f"{operation.path}: the path lacks the keys of the entry")
    return [*cleared, *(edit_of_entry(node, entry, values) for entry in operation.value)]


def _keys(node: SchemaNode, step: Step, path: DataPath, values: ValueReader) -> Keys:
    given = dict(step.keys)
    for name in given:
        if name not in node.keys:
            raise OperationError("unknown-attribute", f'"{name}" is not a key of {node.path}', path=str(path))
    missing = [name for name in node.keys if name not in given]
    if missing:
        raise OperationError(
            "missing-element", f'{path}: the key "{missing[0]}" of {node.path} is missing', path=str(path)
        )
    return tuple(values.from_text(key, given[key.name], None) for key in node.key_nodes)


def _present(nodes: list[SchemaNode], path: DataPath, values: ValueReader, tree: Tree) -> bool:
    """Whether all ancestors of a path's node exist; without them there is nothing to delete."""
    where: Any = tree
    for node, step in zip(nodes[:-1], path.steps[:-1], strict=True):
        where = where.get(node.json_name)
        if where is not None and node.kind == "list":
            where = where.get(_keys(node, step, path, values))
        if where is None:
            return False
    return True
