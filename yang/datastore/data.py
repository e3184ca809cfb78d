"""Configuration as plain Python: the form in which datastores hold it and readers get it.

A container or list entry is a dict of RFC 7951 member names (``module:name`` where the module changes), a
list is a dict from the tuple of its keys to the entry (which holds the keys too), a leaf-list is a tuple,
values are as `yang.types` parses them. Containers without presence exist only with something in them. Trees
are never changed: an edit copies what lies on its way, so that unchanged subtrees stay the same object and a
comparison can skip them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import eq
from typing import Any, Final, Literal, NamedTuple

from yang.access import Context, Rules
from yang.path import DataPath, Step
from yang.provider import OperationError
from yang.schema import SchemaNode

Tree = Mapping[str, Any]
EMPTY: Tree = {}
_SINGLE: Final = ("leaf", "container")


class Difference(NamedTuple):
    """A node that differs between two trees; of a created or deleted subtree its root.

    Attributes:
        context: NACM context of the node.
        subtree: what was created or deleted.
        implicit: deleted because a node of another case of its choice was created (RFC 7950 section 7.9).
    """

    op: Literal["create", "update", "delete"]
    node: SchemaNode
    steps: tuple[Step, ...]
    context: Context
    subtree: Any
    implicit: bool = False

    @property
    def path(self) -> str:
        """Instance-identifier."""
        return str(DataPath(self.steps))


def from_json(node: SchemaNode, members: Mapping[str, Any]) -> dict[str, Any]:
    """The tree of RFC 7951 members that libyang has accepted."""
    tree: dict[str, Any] = {}
    for name, value in members.items():
        child = node.child_json(name)
        if child is None or not child.config:
            continue
        if child.kind == "container":
            inner = from_json(child, value)
            if inner or child.presence:
                tree[child.json_name] = inner
        elif child.kind == "list":
            entries = {}
            for entry in value:
                inner = from_json(child, entry)
                entries[tuple(inner[key.json_name] for key in child.key_nodes)] = inner
            if entries:
                tree[child.json_name] = entries
        elif child.kind == "leaf-list" and child.type is not None:
            tree[child.json_name] = tuple(child.type.from_json(entry) for entry in value)
        elif child.type is not None:
            tree[child.json_name] = child.type.from_json(value)
        else:
            tree[child.json_name] = value
    return tree


def to_json(node: SchemaNode, tree: Tree) -> dict[str, Any]:
    """RFC 7951 members of a tree."""
    members: dict[str, Any] = {}
    for name, value in tree.items():
        child = node.child_json(name)
        if child is None:
            continue
        if child.kind == "container":
            members[name] = to_json(child, value)
        elif child.kind == "list":
            members[name] = [to_json(child, entry) for entry in value.values()]
        elif child.kind == "leaf-list" and child.type is not None:
            members[name] = [child.type.to_json(entry) for entry in value]
        elif child.type is not None:
            members[name] = child.type.to_json(value)
        else:
            members[name] = value
    return members


def plain_step(node: SchemaNode) -> Step:
    """Path step of a node without keys."""
    if node.step is None:
        node.step = Step(node.module, node.name)
    return node.step


def entry_step(node: SchemaNode, keys: tuple[Any, ...]) -> Step:
    """Path step of a list entry."""
    nodes = node.key_nodes
    if len(nodes) == 1 and (kind := nodes[0].type) is not None:  # the usual case
        return Step(node.module, node.name, ((nodes[0].name, kind.format(keys[0])),))
    pairs = tuple(
        (key.name, key.type.format(value))
        for key, value in zip(nodes, keys, strict=True)
        if key.type is not None
    )
    return Step(node.module, node.name, pairs)


def value_step(node: SchemaNode, value: Any) -> Step:
    """Path step of a leaf-list entry."""
    assert node.type is not None
    return Step(node.module, node.name, ((".", node.type.format(value)),))


def differences(
    node: SchemaNode, old: Tree, new: Tree, rules: Rules, steps: tuple[Step, ...] = (), context: Context = ()
) -> Iterator[Difference]:
    """What differs below an instance of `node`.

    Args:
        rules: whose contexts the differences carry.
        steps, context: of the instance.
    """
    found: list[Difference] = []
    for name in dict.fromkeys((*old, *new)) if old is not new else ():
        _member(node, name, old.get(name), new.get(name), rules, steps, context, found)
        if found and name not in new:
            _mark_implicit(node, name, old, new, found, 0)
        yield from found
        found.clear()


def _below(
    node: SchemaNode,
    old: Tree,
    new: Tree,
    rules: Rules,
    steps: tuple[Step, ...],
    context: Context,
    found: list[Difference],
) -> None:
    for name, before in old.items():
        after = new.get(name)
        if before is not after:
            child = node.child_json(name)
            if child is not None and after is not None and child.kind in _SINGLE:  # the usual cases
                if child.kind == "container" or before != after:
                    here = (*steps, child.step or plain_step(child))
                    inner = rules.enter(context, child) if context else context
                    if child.kind == "container":
                        _below(child, before, after, rules, here, inner, found)
                    else:
                        found.append(Difference("update", child, here, inner, after))
                continue
            start = len(found)
            _member(node, name, before, after, rules, steps, context, found)
            if after is None:
                _mark_implicit(node, name, old, new, found, start)
    for name, after in new.items():
        if name not in old:
            _member(node, name, None, after, rules, steps, context, found)


def _mark_implicit(
    node: SchemaNode, name: str, old: Tree, new: Tree, found: list[Difference], start: int
) -> None:
    """The differences from `start` on went with a member: mark them if another case of its choice came."""
    gone = node.child_json(name)
    if gone is None or not gone.cases:
        return
    own = dict(gone.cases)
    for other_name in new:
        other = node.child_json(other_name)
        came = other is not None and other_name not in old
        if came and other and any(own.get(choice, case) != case for choice, case in other.cases):
            found[start:] = [difference._replace(implicit=True) for difference in found[start:]]
            return


def _member(
    node: SchemaNode,
    name: str,
    before: Any,
    after: Any,
    rules: Rules,
    steps: tuple[Step, ...],
    context: Context,
    found: list[Difference],
) -> None:
    if before is after:
        return
    child = node.child_json(name)
    assert child is not None, name
    if child.kind == "list":
        _entries(child, before or {}, after or {}, rules, steps, context, found)
    elif child.kind == "leaf-list":
        _values(child, before or (), after or (), rules, steps, context, found)
    elif child.kind != "leaf" or before != after:
        here = (*steps, plain_step(child))
        _single(child, before, after, rules, here, rules.enter(context, child) if context else context, found)


def _single(
    node: SchemaNode,
    before: Any,
    after: Any,
    rules: Rules,
    steps: tuple[Step, ...],
    context: Context,
    found: list[Difference],
) -> None:
    if node.kind == "container" and not node.presence:
        # its existence says nothing: only what is in it can differ
        _below(node, before or EMPTY, after or EMPTY, rules, steps, context, found)
    elif before is None:
        found.append(Difference("create", node, steps, context, after))
    elif after is None:
        found.append(Difference("delete", node, steps, context, before))
    elif node.kind in ("container", "list"):
        _below(node, before, after, rules, steps, context, found)
    elif before != after:
        found.append(Difference("update", node, steps, context, after))


def _entries(
    node: SchemaNode,
    before: Mapping[Any, Any],
    after: Mapping[Any, Any],
    rules: Rules,
    steps: tuple[Step, ...],
    context: Context,
    found: list[Difference],
) -> None:
    same_keys = len(before) == len(after) and all(map(eq, before, after))
    candidates = (
        zip(before, before.values(), after.values(), strict=True)
        if same_keys
        else ((keys, before.get(keys), after.get(keys)) for keys in dict.fromkeys((*before, *after)))
    )
    for keys, old, new in candidates:
        if old is not new:
            here = (*steps, entry_step(node, keys))
            inner = rules.enter(context, node, keys) if context else context
            if old is not None and new is not None:
                _below(node, old, new, rules, here, inner, found)
            else:
                _single(node, old, new, rules, here, inner, found)
    if node.user_ordered and not same_keys:
        kept_before = [keys for keys in before if keys in after]
        kept_after = [keys for keys in after if keys in before]
        for keys in (k for k, was in zip(kept_after, kept_before, strict=True) if k != was):
            here = (*steps, entry_step(node, keys))
            found.append(Difference("update", node, here, rules.enter(context, node, keys), None))


def _values(
    node: SchemaNode,
    before: tuple[Any, ...],
    after: tuple[Any, ...],
    rules: Rules,
    steps: tuple[Step, ...],
    context: Context,
    found: list[Difference],
) -> None:
    for value in dict.fromkeys((*before, *after)):
        here = (*steps, value_step(node, value))
        inner = rules.enter(context, node, (value,))
        if value not in after:
            found.append(Difference("delete", node, here, inner, value))
        elif value not in before:
            found.append(Difference("create", node, here, inner, value))
    if node.user_ordered and set(before) == set(after) and before != after:
        here = (*steps, plain_step(node))
        found.append(Difference("update", node, here, rules.enter(context, node), after))


def check_access(found: Difference, rules: Rules) -> None:
    """Raise ``access-denied`` unless a difference, with all below it, is permitted.

    What another change, which must be permitted itself, does implicitly needs no permission (RFC 8341
    section 3.2.5).
    """
    if not rules.enabled or found.implicit:
        return
    _check(found.op, found.node, found.subtree, found.steps, found.context, rules)


def readable(node: SchemaNode, tree: Tree, rules: Rules, context: Context | None = None) -> Tree:
    """The tree without what may not be read: a copy's source (RFC 8341 section 3.2.6).

    Args:
        context: of the instance of `node`; None: that of the root.
    """
    if not rules.enabled:
        return tree
    context = rules.start if context is None else context
    result: dict[str, Any] = {}
    for name, value in tree.items():
        child = node.child_json(name)
        assert child is not None, name
        if child.kind == "list":
            kept: Any = {}
            for keys, entry in value.items():
                inner = rules.enter(context, child, keys)
                if rules.permits(inner, child, "read") and _keys_readable(child, inner, rules):
                    kept[keys] = readable(child, entry, rules, inner)
            if kept:
                result[name] = kept
        elif child.kind == "leaf-list":
            kept = tuple(
                entry
                for entry in value
                if rules.permits(rules.enter(context, child, (entry,)), child, "read")
            )
            if kept:
                result[name] = kept
        else:
            inner = rules.enter(context, child)
            if rules.permits(inner, child, "read"):
                kept = readable(child, value, rules, inner) if child.kind == "container" else value
                if child.kind != "container" or kept or child.presence:
                    result[name] = kept
    return result


def _keys_readable(node: SchemaNode, context: Context, rules: Rules) -> bool:
    return all(rules.permits(rules.enter(context, key), key, "read") for key in node.key_nodes)


def _check(
    op: str, node: SchemaNode, subtree: Any, steps: tuple[Step, ...], context: Context, rules: Rules
) -> None:
    # that a container without presence exists says nothing, only what is in it does (RFC 7950 section 7.5.1)
    exists = node.kind != "container" or node.presence
    if exists and not rules.permits(context, node, op):
        path = str(DataPath(steps))
        raise OperationError("access-denied", f"you may not {op} {path}", path=path)
    if node.kind not in ("container", "list") or subtree is None:
        return
    for name, value in subtree.items():
        child = node.child_json(name)
        assert child is not None, name
        if child.kind == "list":
            for keys, entry in value.items():
                here = (*steps, entry_step(child, keys))
                _check(op, child, entry, here, rules.enter(context, child, keys), rules)
        elif child.kind == "leaf-list":
            for entry in value:
                here = (*steps, value_step(child, entry))
                _check(op, child, None, here, rules.enter(context, child, (entry,)), rules)
        else:
            here = (*steps, plain_step(child))
            _check(op, child, value, here, rules.enter(context, child), rules)
