"""Selections made smaller: to one part of the tree, to some entries of a list, without some nodes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from yang.provider import Keys
from yang.query.selection import Branch, Children, Selection, SelectNode
from yang.schema import SchemaNode


def restrict(
    selection: Selection, node: SchemaNode, keys: Collection[Keys] | None = None
) -> Selection | None:
    """What a selection takes at and below a node; None when that is nothing.

    Args:
        node: a data node.
        keys: of a list that is in no other list: only these entries.
    """
    top = _restrict(selection.top, node.chain, keys)
    return None if top is None else Selection(top)


def _restrict(
    children: Children | None, chain: Sequence[SchemaNode], keys: Collection[Keys] | None
) -> Children | None:
    step, rest = chain[0], chain[1:]
    if children is None:
        branches: tuple[Branch, ...] = (Branch(),)
    elif step in children:
        branches = children[step].branches
    else:
        return None
    kept: list[Branch] = []
    for branch in branches:
        if rest:
            below = _restrict(branch.children, rest, keys)
            if below is not None:
                kept.append(replace(branch, children=below))
        elif keys is None:
            kept.append(branch)
        else:
            own = tuple(keys) if branch.keys is None else tuple(key for key in branch.keys if key in keys)
            if own:
                kept.append(replace(branch, keys=own))
    return {step: SelectNode(step, tuple(kept))} if kept else None


def prune(selection: Selection, root: SchemaNode, excluded: Collection[SchemaNode]) -> Selection | None:
    """A selection without some nodes and all below them; None when nothing is left.

    Args:
        root: of the schema.
    """
    excluded = frozenset(excluded)
    if not excluded:
        return selection if selection.top is None or selection.top else None
    affected = {root} | {step for node in excluded for step in node.chain}
    top = _prune(root, selection.top, excluded, affected)
    return Selection(top) if top is None or top else None


def _prune(
    parent: SchemaNode,
    children: Children | None,
    excluded: frozenset[SchemaNode],
    affected: set[SchemaNode],
) -> Children | None:
    """The children without what is excluded; an empty mapping when nothing is left."""
    if parent not in affected:
        return children
    if children is None:
        children = {child: SelectNode(child, (Branch(),)) for child in parent.data_children}
    result: dict[SchemaNode, SelectNode] = {}
    for child, select in children.items():
        if child in excluded:
            continue
        if child not in affected:
            result[child] = select
            continue
        branches = []
        for branch in select.branches:
            below = _prune(child, branch.children, excluded, affected)
            if below is None or below:
                branches.append(replace(branch, children=below))
        if branches:
            result[child] = SelectNode(child, tuple(branches))
    return result


def top_nodes(selection: Selection, root: SchemaNode) -> Iterable[SchemaNode]:
    """The top-level nodes of which something is selected."""
    return [node for node in root.data_children if selection.top is None or node in selection.top]
