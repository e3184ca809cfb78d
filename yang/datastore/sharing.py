"""Between trees and RFC 7951 members, taking over what did not change from an earlier conversion.

A commit that changes one entry of a list of ten thousand converts that entry. What is taken over is the very
object of the earlier result, so that whoever compares old with new sees at once what is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from operator import eq, itemgetter
from typing import Any, Final

from yang.datastore.data import EMPTY, Tree, from_json, to_json
from yang.schema import SchemaNode

Members = Mapping[str, Any]
Pair = tuple[Members, Tree]
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
        before: Any = known.get(name)
        done: Any = known_members.get(name)
        if before is value and done is not None:
            members[name] = done
            continue
        child = node.child_json(name)
        kind = "" if child is None else child.kind
        if child is None or (kind != "leaf" and (before is None or done is None)):
            members.update(to_json(node, {name: value}))
        elif kind == "leaf" and child.type is not None:
            members[name] = child.type.to_json(value)
        elif kind == "container":
            members[name] = members_of(child, value, before, done)
        elif kind == "list":
            members[name] = _entries_of(child, value, before, done)
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
    node: SchemaNode,
    members: Members,
    known: Members = EMPTY,
    known_tree: Tree = EMPTY,
    explicit: Pair = (EMPTY, EMPTY),
) -> tuple[dict[str, Any], dict[str, Any]]:
    """As `yang.datastore.data.from_json`: the tree, and the members with equal parts taken over.

    Args:
        known, known_tree: earlier members and what this function made of them.
        explicit: what has been set of these members, and the tree that it was made of.
    """
    tree: dict[str, Any] = {}
    shared: dict[str, Any] = {}
    stated, stated_tree = explicit
    for name, value in members.items():
        before = known.get(name)
        child = node.child_json(name)
        if child is None or before is None or child.json_name not in known_tree:
            tree.update(from_json(node, {name: value}))
            shared[name] = value
            continue
        made = known_tree[child.json_name]
        if child.kind == "list":
            given = stated.get(name, ()), stated_tree.get(name, EMPTY)
            entries, shared[name] = _trees_of(child, value, before, made, given)
            if entries:
                tree[child.json_name] = entries
        elif before == value:
            tree[child.json_name], shared[name] = made, before
        elif name in stated and stated[name] == value:
            tree[child.json_name], shared[name] = stated_tree[name], value
        elif child.kind == "container":
            given = stated.get(name, EMPTY), stated_tree.get(name, EMPTY)
            inner, shared[name] = tree_of(child, value, before, made, given)
            if inner or child.presence:
                tree[child.json_name] = inner
        elif child.kind == "leaf" and child.type is not None:
            tree[child.json_name], shared[name] = child.type.from_json(value), value
        else:
            tree.update(from_json(node, {name: value}))
            shared[name] = value
    return tree, shared


def _trees_of(
    node: SchemaNode,
    entries: list[Any],
    known: list[Any],
    made: Mapping[Any, Any],
    explicit: tuple[Sequence[Any], Mapping[Any, Any]],
) -> tuple[Mapping[Any, Any], list[Any]]:
    """A list's entries, by their keys, and as members."""
    if entries == known:
        return made, known
    names = [key.json_name for key in node.key_nodes]
    identify = itemgetter(*names)
    given: Iterable[Pair] = repeat((EMPTY, EMPTY))
    if len(entries) == len(explicit[0]) and all(map(eq, map(identify, entries), map(identify, explicit[0]))):
        given = zip(explicit[0], explicit[1].values(), strict=True)
    if len(entries) == len(known) and all(map(eq, map(identify, entries), map(identify, known))):
        earlier = zip(known, made.items(), strict=True)  # the usual case costs no index
    else:
        index = dict(zip(map(identify, known), zip(known, made.items(), strict=True), strict=True))
        earlier = (index.get(identify(entry), _NEW) for entry in entries)  # type: ignore[assignment]
    trees: dict[Any, Any] = {}
    shared: list[Any] = []
    for entry, (before, found), stated in zip(entries, earlier, given, strict=False):
        if before is None:
            tree = from_json(node, entry)
            trees[tuple(tree[name] for name in names)] = tree
            shared.append(entry)
        elif before == entry:
            trees[found[0]] = found[1]
            shared.append(before)
        else:
            trees[found[0]], taken = tree_of(node, entry, before, found[1], stated)
            shared.append(taken)
    return trees, shared
