"""Paths with wildcards, expanded to what a configuration has: for deletions by gNMI's Set.

The gNMI specification (3.4.6) has wildcards in names (``*``, ``...``) and in keys, and lists with some of
their keys or none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from yang.datastore.data import Tree, entry_step, plain_step, value_step
from yang.datastore.edit import ValueReader
from yang.path import ANY, DESCEND, DataPath, Step
from yang.provider import OperationError
from yang.query.paths import takes_keys
from yang.schema import Schema, SchemaNode

MAX_EXPANDED: Final = 100_000
_ANY_NAME: Final = Step("", ANY)
_Steps = tuple[Step, ...]


def has_wildcards(schema: Schema, path: DataPath) -> bool:
    """True unless a path names one node, or all entries of one list. False where the schema has no such
    node."""
    node = schema.root
    for number, step in enumerate(path.steps, 1):
        if step.name in (ANY, DESCEND) or any(value == ANY for _, value in step.keys):
            return True
        found = node.child(step.name, step.module or None)
        if found is None:
            return False
        node = found
        lacking = node.kind == "list" and {key for key, _ in step.keys} != set(node.keys)
        if lacking and (step.keys or number < len(path.steps)):
            return True
    return False


def expand(schema: Schema, path: DataPath, values: ValueReader, tree: Tree) -> list[DataPath]:
    """Exact paths of what a path leads to, none of them below another; keys of list entries are left out
    where a wildcard meets them.

    Raises:
        OperationError: ``invalid-value`` (a key's value is not of its type), ``too-big``.
    """
    found: dict[_Steps, None] = {}
    # several `...` without anything between them are one
    wanted = tuple(
        step
        for before, step in zip((None, *path.steps), path.steps, strict=False)
        if step.name != DESCEND or before is None or before.name != DESCEND
    )
    for steps in _Search(values).matches(schema.root, tree, wanted, ()):
        found[steps] = None
        if len(found) > MAX_EXPANDED:
            raise OperationError("too-big", f"{path} leads to more than {MAX_EXPANDED} nodes", path=str(path))
    outermost = (
        steps for steps in found if not any(steps[:length] in found for length in range(1, len(steps)))
    )
    return [DataPath(steps) for steps in outermost]


class _Search:
    """Looks for what the steps of a path lead to.

    Several ``...`` lead to one instance in many ways: it is looked at once for each number of steps left.
    """

    def __init__(self, values: ValueReader) -> None:
        self._values = values
        self._seen: set[tuple[_Steps, int]] = set()

    def matches(
        self, node: SchemaNode, where: Mapping[str, Any], wanted: _Steps, above: _Steps
    ) -> Iterator[_Steps]:
        """Paths of what `wanted` leads to below one instance, whose own path is `above`."""
        if (above, len(wanted)) in self._seen:
            return
        self._seen.add((above, len(wanted)))
        first, rest = wanted[0], wanted[1:]
        if first.name == DESCEND and not rest:
            first = _ANY_NAME  # what is at this level holds all that is below
        if first.name == DESCEND:
            yield from self.matches(node, where, rest, above)
            for child, inner, step in _children(node, where, _ANY_NAME, self._values):
                if isinstance(inner, Mapping):
                    yield from self.matches(child, inner, wanted, (*above, step))
            return
        for child, inner, step in _children(node, where, first, self._values):
            if not rest:
                yield (*above, step)
            elif isinstance(inner, Mapping):
                yield from self.matches(child, inner, rest, (*above, step))


def _children(
    node: SchemaNode, where: Mapping[str, Any], step: Step, values: ValueReader
) -> Iterator[tuple[SchemaNode, Any, Step]]:
    """Instances below one instance that a step takes: schema node, content, path step."""
    for name, value in where.items():
        child = node.child_json(name)
        if child is None or not _takes(step, child):
            continue
        given = {key: text for key, text in step.keys if text != ANY}
        if child.kind == "leaf-list" and "." in given:
            entry = values.from_text(child, given["."], None)
            if entry in value:
                yield child, entry, value_step(child, entry)
            continue
        if child.kind != "list":
            yield child, value, plain_step(child)
            continue
        own = [
            values.from_text(key, given[key.name], None) if key.name in given else None
            for key in child.key_nodes
        ]
        for keys, entry in value.items():
            if all(want is None or want == key for want, key in zip(own, keys, strict=True)):
                yield child, entry, entry_step(child, keys)


def _takes(step: Step, node: SchemaNode) -> bool:
    if step.module and node.module != step.module:
        return False
    if not takes_keys(step, node):
        return False
    return not node.is_key if step.name == ANY else node.name == step.name
