"""What of a configuration a user may read, as a configuration (RFC 8341 section 3.2.6)."""

from __future__ import annotations

from typing import Any

from yang.access import Context, Rules
from yang.datastore.data import Tree
from yang.schema import SchemaNode


def readable(root: SchemaNode, tree: Tree, rules: Rules) -> Tree:
    """The tree without what the rules hide; the tree itself when they hide nothing."""
    return tree if not rules.enabled else _children(root, tree, rules, rules.start)


def _children(node: SchemaNode, tree: Tree, rules: Rules, context: Context) -> Tree:
    shown: dict[str, Any] = {}
    same = True
    for name, value in tree.items():
        child = node.child_json(name)
        assert child is not None, name
        if child.is_key:
            shown[name] = value
            continue
        part = _child(child, value, rules, context)
        same = same and part is value
        if part is not None:
            shown[name] = part
    return tree if same else shown


def _child(node: SchemaNode, value: Any, rules: Rules, context: Context) -> Any:
    """None when nothing of it is left."""
    if node.kind == "list":
        entries = {}
        for keys, entry in value.items():
            inner = rules.enter(context, node, keys)
            if rules.permits(inner, node, "read"):
                entries[keys] = _children(node, entry, rules, inner)
        same = len(entries) == len(value) and all(entries[keys] is value[keys] for keys in entries)
        return value if same else entries or None
    if node.kind == "leaf-list":
        values = tuple(v for v in value if rules.permits(rules.enter(context, node, (v,)), node, "read"))
        return value if len(values) == len(value) else values or None
    inner = rules.enter(context, node)
    if not rules.permits(inner, node, "read"):
        return None
    if node.kind != "container":
        return value
    part = _children(node, value, rules, inner)
    return part if part or node.presence else None
