"""Between trees and RFC 7951 members, taking over what did not change from an earlier conversion.

A commit that changes one entry of a list of ten thousand converts that entry. What is taken over is the very
object of the earlier result, so that whoever compares old with new sees at once what is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import eq, itemgetter
from typing import Any, Final

from yang.datastore.data import EMPTY, Tree, from_json, to_json
from yang.schema import SchemaNode

Members = Mapping[str, Any]
_NEW: Final = (None, None)


def members_of(
    node: SchemaNode, tree: Tree, known: Tree = EMPTY, known_members: Members = EMPTY
) -> dict[str, Any]:
    """As `yang.datastore.data.to_json`.

    Args:
        known, known_members: an earlier tree and what this function made of it; subtrees that are the same
            objects are taken over.
    """
    members: dict[str, Any] = {}
    for name, value in tree.items():
        before, done = known.get(name), known_members.get(name)
        child = node.child_json(name)
        if before is value and done is not None:
            members[name] = done
        elif child is not None and before is not None and done is not None and child.kind == "container":
            members[name] = members_of(child, value, before, done)
        elif child is not None and before is not None and done is not None and child.kind == "list":
            members[name] = _entries_of(child, value, before, done)
        elif child is not None and child.kind == "leaf" and child.type is not None:
            members[name] = child.type.to_json(value)
        else:
            members.update(to_json(node, {name: value}))
    return members


def _entries_of(
    node: SchemaNode, entries: Mapping[Any, Any], known: Mapping[Any, Any], done: list[Any]
) -> list[Any]:
    """RFC 7951 entries of a list."""
    if len(entries) == len(known) and all(map(eq, entries, known)):
        earlier = zip(known.values(), done, strict=True)  # the usual case costs no index
    else:
        made = dict(zip(known, zip(known.values(), done, strict=True), strict=True))
        earlier = (made.get(keys, _NEW) for keys in entries)  # type: ignore[assignment]
    result = []
    for entry, (before, members) in zip(entries.values(), earlier, strict=True):
        if before is entry:
            result.append(members)
        elif before is not None:
            result.append(members_of(node, entry, before, members))
        else:
            result.append(to_json(node, entry))
    return result


def tree_of(
    node: SchemaNode, members: Members, known: Members = EMPTY, known_tree: Tree = EMPTY
) -> tuple[dict[str, Any], dict[str, Any]]:
    """As `yang.datastore.data.from_json`: the tree, and the members with equal parts taken over.

    Args:
        known, known_tree: earlier members and what this function made of them.
    """
    tree: dict[str, Any] = {}
    shared: dict[str, Any] = {}
    for name, value in members.items():
        before = known.get(name)
        child = node.child_json(name)
        if child is None or before is None or child.json_name not in known_tree:
            tree.update(from_json(node, {name: value}))
            shared[name] = value
            continue
        made = known_tree[child.json_name]
        if child.kind == "list":
            entries, shared[name] = _trees_of(child, value, before, made)
            if entries:
                tree[child.json_name] = entries
        elif before == value:
            tree[child.json_name], shared[name] = made, before
        elif child.kind == "container":
            inner, shared[name] = tree_of(child, value, before, made)
            if inner or child.presence:
                tree[child.json_name] = inner
        elif child.kind == "leaf" and child.type is not None:
            tree[child.json_name], shared[name] = child.type.from_json(value), value
        else:
            tree.update(from_json(node, {name: value}))
            shared[name] = value
    return tree, shared


def _trees_of(
    node: SchemaNode, entries: list[Any], known: list[Any], made: Mapping[Any, Any]
) -> tuple[Mapping[Any, Any], list[Any]]:
    """A list's entries, by their keys, and as members."""
    if entries == known:
        return made, known
    names = [key.json_name for key in node.key_nodes]
    identify = itemgetter(*names)
    if len(entries) == len(known) and all(map(eq, map(identify, entries), map(identify, known))):
        earlier = zip(known, made.items(), strict=True)  # the usual case costs no index
    else:
        index = dict(zip(map(identify, known), zip(known, made.items(), strict=True), strict=True))
        earlier = (index.get(identify(entry), _NEW) for entry in entries)  # type: ignore[assignment]
    trees: dict[Any, Any] = {}
    shared: list[Any] = []
    for entry, (before, found) in zip(entries, earlier, strict=True):
        if before is None:
            tree = from_json(node, entry)
            trees[tuple(tree[name] for name in names)] = tree
            shared.append(entry)
        elif before == entry:
            trees[found[0]] = found[1]
            shared.append(before)
        else:
            trees[found[0]], taken = tree_of(node, entry, before, found[1])
            shared.append(taken)
    return trees, shared
