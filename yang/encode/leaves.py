"""Plans as groups of scalars, for gNMI's PROTO encoding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from yang.encode.json import step_of
from yang.path import DataPath
from yang.provider import Keys
from yang.query.plan import Body, LeafPlan, NodePlan
from yang.schema import SchemaNode

Leaf = tuple[tuple[str, ...], Any, SchemaNode]
Group = tuple[DataPath, list[Leaf]]


def read_leaves(root: Body, config: Mapping[str, Any]) -> Iterator[Group]:
    """One group per top-level container and per list entry; containers inside are part of the group.

    Args:
        root: the plan.
        config: the configuration from its root.
    """
    yield from _below(root.inner, config, None, (), DataPath())


def _below(
    plans: tuple[NodePlan, ...], config: Mapping[str, Any] | None, record: Any, keys: Keys, path: DataPath
) -> Iterator[Group]:
    for plan in plans:
        for found in plan.instances(config, record, keys):
            here = DataPath((*path.steps, step_of(plan.node, found.keys)))
            group: list[Leaf] = []
            lists: list[tuple[NodePlan, Mapping[str, Any] | None, Any, Keys, DataPath]] = []
            _collect(found.body, found.config, found.record, found.keys, here, (), group, lists)
            if any(not node.is_key for _, _, node in group) or (group and found.body.always):
                yield here, group
            for inner, own, state, inner_keys, where in lists:
                yield from _below((inner,), own, state, inner_keys, where)


def _collect(
    body: Body,
    config: Mapping[str, Any] | None,
    record: Any,
    keys: Keys,
    path: DataPath,
    prefix: tuple[str, ...],
    group: list[Leaf],
    lists: list[tuple[NodePlan, Mapping[str, Any] | None, Any, Keys, DataPath]],
) -> None:
    for leaf in body.leaves:
        value = _value(leaf, config, record)
        if value is not None:
            group.append(((*prefix, leaf.node.json_name), value, leaf.node))
    for plan in body.inner:
        if plan.node.kind == "list":
            lists.append((plan, config, record, keys, path))
            continue
        for found in plan.instances(config, record, keys):
            name = (*prefix, plan.node.json_name)
            where = DataPath((*path.steps, step_of(plan.node, ())))
            _collect(found.body, found.config, found.record, found.keys, where, name, group, lists)


def _value(leaf: LeafPlan, config: Mapping[str, Any] | None, record: Any) -> Any:
    node = leaf.node
    if node.config:
        value = config.get(node.json_name) if config is not None else None
    else:
        value = getattr(record, node.attr, None) if record is not None else None
    if value is None:
        return None
    if node.kind == "leaf-list":
        kept = [entry for entry in value if leaf.only is None or entry in leaf.only]
        return kept if kept and not (leaf.skip_default and tuple(kept) == node.defaults) else None
    if leaf.only is not None and None not in leaf.only and value not in leaf.only:
        return None
    return None if leaf.skip_default and value == node.defaults[0] else value
