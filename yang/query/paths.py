"""Selections from data paths with wildcards, as gNMI has them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from yang.path import ANY, DESCEND, DataPath, Step
from yang.provider import OperationError
from yang.query.selection import Branch, Match, Part, Selection, SelectNode, chain, list_branch, merge
from yang.schema import Schema, SchemaNode

MAX_PATHS: Final = 10_000
MAX_EXPANSION: Final = 50_000

_Chain = tuple[tuple[SchemaNode, Branch], ...]


def select_paths(schema: Schema, paths: Iterable[DataPath]) -> Selection:
    """The union of what the paths lead to. A path to a list without keys means all of its entries.

    Raises:
        OperationError: ``unknown-element`` when the schema has no such node, ``invalid-value`` when a key's
            value is not of its type, ``too-big`` for more than `MAX_PATHS` paths.
    """
    parts: list[Part] = []
    everything = False
    selected: list[SelectNode] = []
    for path in paths:
        if len(parts) >= MAX_PATHS:
            raise OperationError("too-big", f"a request may name at most {MAX_PATHS} paths")
        part = _part(schema, path)
        parts.append(part)
        if part.top is None:
            everything = True
        else:
            selected.extend(part.top.values())
    return Selection(None if everything else merge(selected), tuple(parts))


def _part(schema: Schema, path: DataPath) -> Part:
    steps = path.steps
    while steps and steps[-1].name == DESCEND:
        steps = steps[:-1]  # everything below is selected anyhow
    if not steps:
        return Part(None, tuple(schema.root.data_children))
    chains: list[_Chain] = [()]
    skip = False
    for step in steps:
        if step.name == DESCEND:
            skip = True
            continue
        chains = _expand(schema, path, chains, step, skip)
        skip = False
    nodes = [node for found in chains for node in (chain(found) or {}).values()]
    return Part(merge(nodes), tuple(dict.fromkeys(found[-1][0] for found in chains)))


def _expand(schema: Schema, path: DataPath, chains: list[_Chain], step: Step, skip: bool) -> list[_Chain]:
    """Every way to go one step down; with `skip` any number of levels may lie between."""
    result: list[_Chain] = []
    for prefix in chains:
        parent = prefix[-1][0] if prefix else schema.root
        for between in _descents(parent) if skip else ((),):
            below = between[-1] if between else parent
            for node in _matching(below, step, exact=len(chains) == 1 and not skip):
                middle = tuple((level, Branch()) for level in between)
                result.append((*prefix, *middle, (node, _step_branch(path, node, step))))
        if len(result) > MAX_EXPANSION:
            raise OperationError("too-big", f"{path} leads to too many nodes: name more of it")
    if not result:
        raise OperationError("unknown-element", f'no node "{step.name}" in {path}', path=str(path))
    return result


def _matching(parent: SchemaNode, step: Step, *, exact: bool) -> list[SchemaNode]:
    if step.name == ANY:
        named = [node for node in parent.data_children if not step.module or node.module == step.module]
        return [node for node in named if takes_keys(step, node)]
    found = parent.child(step.name, step.module or None)
    if found is None and not exact and not step.module:
        named = [node for node in parent.data_children if node.name == step.name]
        return [node for node in named if takes_keys(step, node)]
    if found is None or not (exact or takes_keys(step, found)):
        return []
    return [found] if found in tuple(parent.data_children) else []


def takes_keys(step: Step, node: SchemaNode) -> bool:
    """Whether a node is one that can have the keys of a step that a wildcard has led to."""
    if node.kind == "list":
        return all(name in node.keys for name, _ in step.keys)
    return all(name == "." and node.kind == "leaf-list" for name, _ in step.keys)


def _descents(parent: SchemaNode) -> Iterable[tuple[SchemaNode, ...]]:
    """All chains of nodes below `parent`, the empty one first."""
    yield ()
    for child in parent.data_children:
        for below in _descents(child):
            yield (child, *below)


def _step_branch(path: DataPath, node: SchemaNode, step: Step) -> Branch:
    if not step.keys:
        return Branch()
    values: dict[str, Any] = {}
    for name, text in step.keys:
        if text == ANY:
            continue
        leaf = node if name == "." else node.child(name)
        if leaf is None or leaf.type is None or (name != "." and name not in node.keys):
            raise OperationError("unknown-attribute", f'"{name}" is not a key of {node.path}', path=str(path))
        try:
            values[name] = leaf.type.parse(text)
        except ValueError as error:
            raise OperationError(
                "invalid-value", f'{node.path}: key {name} = "{text[:100]}": {error}', path=str(path)
            ) from error
    if node.kind == "list":
        return list_branch(node, values)
    if "." in values:
        return Branch(None, (Match((node,), values["."]),))
    return Branch()
