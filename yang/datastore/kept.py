"""Validation that costs what a commit changes: libyang's data tree of the last configuration is kept.

A commit that changes entries of lists exchanges these entries in the tree that is kept, and has all of it
validated again, which is much less than to read, complete and print all of it. Only what libyang accepts this
way, and without a change outside of these entries, is taken; for everything else the caller validates the
configuration from nothing. So this never refuses anything, and what it accepts is what that would accept:
libyang looks at all constraints of all nodes in both ways (``lyd_validate_all``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import eq
from typing import Any, Final

import libyang
import orjson
from _libyang import ffi, lib

from yang.datastore.data import Tree, from_json, to_json
from yang.schema import SchemaNode

Members = Mapping[str, Any]
Keys = tuple[Any, ...]
_Changes = dict[SchemaNode, dict[Keys, Tree | None]]
"""List (below containers only) → keys → the entry after the change; None: it goes."""

_PARSE: Final = lib.LYD_PARSE_ONLY | lib.LYD_PARSE_STRICT | lib.LYD_PARSE_NO_STATE
_PRINT: Final = lib.LYD_PRINT_SHRINK | lib.LYD_PRINT_WD_ALL
_FEW: Final = 0.4
"""Of a list, no larger part may change: it is as fast then to make all of it anew."""


class _Unusual(Exception):
    """It has to be done from nothing."""


class KeptTree:
    """libyang's data tree of one configuration. In the worker, like all that uses the context.

    It is freed by `drop`, not with this object: the context, without which that fails, may go first.

    Args:
        hide, show: what is done to documents on their way to libyang, and from it.
    """

    def __init__(
        self,
        context: libyang.Context,
        root: SchemaNode,
        hide: Callable[[bytes], bytes],
        show: Callable[[bytes], bytes],
    ) -> None:
        self._context = context
        self._root = root
        self._hide = hide
        self._show = show
        self._of: Tree | None = None
        self._first: Any = ffi.new("struct lyd_node **")

    def keep(self, tree: Tree, first: Any) -> None:
        """Keep a validated data tree, from its first node on; it is ours now."""
        self.drop()
        self._of, self._first[0] = tree, first

    def drop(self) -> None:
        """Keep nothing."""
        self._of = None
        lib.lyd_free_all(self._first[0])
        self._first[0] = ffi.NULL

    def follow(
        self, before: Tree, tree: Tree, full: Tree, members: Members
    ) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Go on to another configuration.

        Args:
            before: the configuration that must be kept.
            full, members: that one with defaults, as a tree and in RFC 7951.

        Returns:
            The same of `tree`, which is valid, and is kept from now on. None: that is not known.
        """
        if self._of is not before or self._first[0] == ffi.NULL:
            return None
        changes: _Changes = {}
        try:
            _collect(self._root, before, tree, changes)
        except _Unusual:
            return None
        if not changes:
            return None
        self._of = None
        try:
            made = self._exchange(changes, before)
        except _Unusual:
            self.drop()
            return None
        finally:
            lib.ly_err_clean(self._context.cdata, ffi.NULL)
        self._of = tree
        return _with_defaults(made, tree, full, members)

    # --- libyang ---------------------------------------------------------------------------------

    def _exchange(self, changes: _Changes, before: Tree) -> dict[SchemaNode, dict[Keys, Members]]:
        """Have other entries in the tree, and validate it. Answers them with their defaults."""
        for node, entries in changes.items():
            known = _at(before, node)
            for keys in entries:
                if keys in known:
                    lib.lyd_free_tree(self._find(node, keys))
        if document := _document(changes):
            self._merge(document)
        difference = ffi.new("struct lyd_node **")
        try:
            if lib.lyd_validate_all(self._first, self._context.cdata, lib.LYD_VALIDATE_NO_STATE, difference):
                raise _Unusual
            _check_inside(difference[0], "", _texts(changes))
        finally:
            lib.lyd_free_all(difference[0])
        return {
            node: {
                keys: self._print(node, keys, entry) for keys, entry in entries.items() if entry is not None
            }
            for node, entries in changes.items()
        }

    def _merge(self, members: Members) -> None:
        """Add what is in a document."""
        document = self._hide(orjson.dumps(members))
        if b"\0" in document:
            raise _Unusual
        read, text = ffi.new("struct lyd_node **"), ffi.new("char[]", document)
        if lib.lyd_parse_data_mem(self._context.cdata, text, lib.LYD_JSON, _PARSE, 0, read):
            raise _Unusual
        if lib.lyd_merge_siblings(self._first, read[0], lib.LYD_MERGE_DESTRUCT):
            raise _Unusual

    def _find(self, node: SchemaNode, keys: Keys) -> Any:
        """An entry, which must be there."""
        found = ffi.new("struct lyd_node **")
        path = node.path
        for key, text in zip(node.key_nodes, _text(node, keys), strict=True):
            quote = b"'" if b"'" not in text else b'"'
            if quote in text or b"\0" in text or b"\\" in text:
                raise _Unusual
            path += f"[{key.json_name}={(quote + text + quote).decode()}]"
        if lib.lyd_find_path(self._first[0], path.encode(), 0, found):
            raise _Unusual
        return found[0]

    def _print(self, node: SchemaNode, keys: Keys, entry: Tree) -> Members:
        """An entry with its defaults; all that was set must be in it."""
        buffer = ffi.new("char **")
        if lib.lyd_print_mem(buffer, self._find(node, keys), lib.LYD_JSON, _PRINT) or buffer[0] == ffi.NULL:
            raise _Unusual
        try:
            ((printed,),) = orjson.loads(self._show(ffi.string(buffer[0]))).values()
        finally:
            lib.free(buffer[0])
        if not _holds(printed, to_json(node, entry)):
            raise _Unusual
        members: Members = printed
        return members


# --- what changes --------------------------------------------------------------------------------


def _collect(node: SchemaNode, before: Tree, after: Tree, changes: _Changes) -> None:
    """The entries that differ below a container; anything else that differs is unusual."""
    if before.keys() != after.keys():
        raise _Unusual
    for name, new in after.items():
        old = before[name]
        if old is new:
            continue
        child = node.child_json(name)
        if child is None or (child.kind == "list" and child.user_ordered):
            raise _Unusual
        if child.kind == "container":
            _collect(child, old, new, changes)
        elif child.kind == "list":
            _collect_entries(child, old, new, changes)
        elif old != new:
            raise _Unusual


def _collect_entries(
    node: SchemaNode, before: Mapping[Keys, Tree], after: Mapping[Keys, Tree], changes: _Changes
) -> None:
    found: dict[Keys, Tree | None] = {
        keys: entry for keys, entry in after.items() if before.get(keys) is not entry
    }
    moved = len(after) != len(before) or not all(map(eq, before, after))
    if moved:
        found.update((keys, None) for keys in before if keys not in after)
    if len(found) > max(1, _FEW * len(before)):
        raise _Unusual
    if found or moved:
        changes[node] = found


def _document(changes: _Changes) -> Members:
    """The new entries, in RFC 7951."""
    members: dict[str, Any] = {}
    for node, entries in changes.items():
        added = [to_json(node, entry) for entry in entries.values() if entry is not None]
        if added:
            place = members
            for level in node.chain[:-1]:
                place = place.setdefault(level.json_name, {})
            place[node.json_name] = added
    return members


def _text(node: SchemaNode, keys: Keys) -> tuple[bytes, ...]:
    """Canonical texts of the keys of an entry."""
    return tuple(
        key.type.format(value).encode()
        for key, value in zip(node.key_nodes, keys, strict=True)
        if key.type is not None
    )


def _texts(changes: _Changes) -> dict[str, set[tuple[bytes, ...]]]:
    """Path of each list → what is new in it. Path of each container above → nothing."""
    texts: dict[str, set[tuple[bytes, ...]]] = {}
    for node, entries in changes.items():
        for level in node.chain[:-1]:
            texts[level.path] = set()
        texts[node.path] = {_text(node, keys) for keys, entry in entries.items() if entry is not None}
    return texts


def _check_inside(node: Any, above: str, inside: Mapping[str, set[tuple[bytes, ...]]]) -> None:
    """Raise unless what libyang has changed itself, a diff from `node` on, is in the new entries."""
    module = ""
    if node != ffi.NULL and node.parent != ffi.NULL:
        module = ffi.string(node.parent.schema.module.name)
    while node != ffi.NULL:
        own, name = ffi.string(node.schema.module.name), ffi.string(node.schema.name)
        path = f"{above}/{name.decode()}" if own == module else f"{above}/{own.decode()}:{name.decode()}"
        if path not in inside:
            raise _Unusual
        if node.schema.nodetype == lib.LYS_CONTAINER:
            _check_inside(lib.lyd_child(node), path, inside)
        elif _keys_of(node) not in inside[path]:
            raise _Unusual
        node = node.next


def _keys_of(entry: Any) -> tuple[bytes, ...]:
    """Canonical texts of the keys of one of libyang's entries; they are its first nodes."""
    texts = []
    child = lib.lyd_child(entry)
    while child != ffi.NULL and child.schema.flags & lib.LYS_KEY:
        texts.append(ffi.string(lib.lyd_get_value(child)))
        child = child.next
    return tuple(texts)


def _holds(members: Any, part: Any) -> bool:
    """True when all of a part is in what libyang printed: validation can take out what has been set."""
    if isinstance(part, Mapping):
        return isinstance(members, Mapping) and all(
            name in members and _holds(members[name], value) for name, value in part.items()
        )
    if isinstance(part, list) and part and isinstance(part[0], Mapping):
        return isinstance(members, list) and len(members) == len(part) and all(map(_holds, members, part))
    return bool(members == part)


# --- results -------------------------------------------------------------------------------------


def _with_defaults(
    made: Mapping[SchemaNode, Mapping[Keys, Members]],
    tree: Tree,
    full: Tree,
    members: Members,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The configuration with defaults, as a tree and in RFC 7951; what did not change is shared."""
    for node, new in made.items():
        known = _at(full, node)
        entries, shown = dict(known), list(_at(members, node))
        wanted = _at(tree, node)
        trees = {keys: from_json(node, entry) for keys, entry in new.items()}
        if len(wanted) == len(known) and all(map(eq, wanted, known)):
            entries.update(trees)
            for position, keys in enumerate(known):
                if keys in new:
                    shown[position] = new[keys]
        else:
            index = dict(zip(known, shown, strict=True))
            index.update(new)
            entries.update(trees)
            shown = [index[keys] for keys in wanted]
            entries = {keys: entries[keys] for keys in wanted}
        names = [level.json_name for level in node.chain]
        full, members = _put(full, names, entries), _put(members, names, shown)
    return dict(full), dict(members)


def _at(tree: Mapping[str, Any], node: SchemaNode) -> Any:
    """What a list below containers holds."""
    for level in node.chain:
        tree = tree[level.json_name]
    return tree


def _put(tree: Mapping[str, Any], names: list[str], value: Any) -> dict[str, Any]:
    """A copy with another value at a place that is there."""
    name, *rest = names
    return {**tree, name: _put(tree[name], rest, value) if rest else value}
