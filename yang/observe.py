"""What of a selection changed, and how: the comparison behind on-change subscriptions.

An `Observation` remembers the leaves that a subscriber has been told of, and finds what differs from them.
Where the owner of a list says which entries changed (`yang.provider.WatchableProvider`), only those are read
again; other state is read again when somebody announces a change, and now and then; configuration is when a
commit has replaced the part of it. Counters change always and are left out (`observable`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from yang.access import User
from yang.encode.leaves import Group, Leaf
from yang.observed import (
    Part,
    Steps,
    below_any,
    has_key,
    is_configured,
    leaf_below,
    node_of,
    observable,
    parts,
)
from yang.ordering import Order
from yang.path import DataPath, Step
from yang.provider import (
    Keys,
    OperationalProvider,
    WatchableProvider,
)
from yang.query import Selection
from yang.query.narrow import restrict
from yang.schema import SchemaNode
from yang.tree import Tree

Operation = Literal["create", "delete", "insert", "move", "replace"]

__all__ = ["Edit", "Observation", "TooMuch", "observable"]

NACM: Final = "/ietf-netconf-acm:nacm"
SLICE: Final = 64
"""Entries that are looked at before other tasks get their turn."""
POLL: Final = 5.0
"""Seconds after which state is read again although nobody announced a change."""
_NEVER: Final = float("inf")
_ANNOUNCED_SHARE: Final = 20
_POLLED_SHARE: Final = 100


# Reading a part takes at most one in so many of the time.
class TooMuch(Exception):
    """More is selected than may be observed.

    Attributes:
        limit: leaves.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(f"more than {limit} leaves are selected")
        self.limit = limit


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of a datastore, as RFC 8072 has it.

    Attributes:
        path: of the container or list entry.
        node: schema node of what changed.
        names: RFC 7951 names from `path` down to the leaf; () for the entry itself.
        value: of a leaf, or of the one entry of a leaf-list; None when it is gone.
        leaves: of an entry that is new.
        after: of insert and move: the path behind which it is now, None for the first place.
    """

    operation: Operation
    path: DataPath
    node: SchemaNode
    names: tuple[str, ...] = ()
    value: Any = None
    leaves: tuple[Leaf, ...] = ()
    after: DataPath | None = None


class Observation:
    """What one user has been told of a selection.

    Args:
        selection: as `observable` answers.
        datastore: ``running`` or ``operational``.
        limit: leaves that may be remembered.

    Attributes:
        leaves: that are remembered now.
    """

    def __init__(self, tree: Tree, user: User, selection: Selection, datastore: str, limit: int) -> None:
        self._tree = tree
        self._user = user
        self._limit = limit
        self._names: dict[tuple[tuple[str, ...], ...], tuple[tuple[str, ...], ...]] = {}
        self._parts = list(parts(tree, selection, state=datastore == "operational"))
        self._split = {part.node.chain[0] for part in self._parts if part.content == "all"}
        self._everything = False
        self.leaves = 0

    @property
    def watched(self) -> frozenset[str]:
        """Schema paths to be watched on the bus; what is touched goes to `touch`."""
        return frozenset({part.node.path for part in self._parts} | {NACM})

    def touch(self, paths: frozenset[str]) -> None:
        """Something at, above or below these of the watched paths may have changed."""
        if NACM in paths:
            self._everything = True
        for part in self._parts:
            part.dirty = part.dirty or part.node.path in paths

    def due(self, now: float) -> float | None:
        """Seconds until there is something to look at; None: only when something is touched."""
        if self._everything:
            return 0.0
        soonest = min((part.rested if part.dirty else part.polled for part in self._parts), default=_NEVER)
        return None if soonest == _NEVER else max(0.0, soonest - now)

    async def baseline(self) -> None:
        """Take what there is now as known.

        Raises:
            TooMuch: it is more than may be remembered.
        """
        for part in self._parts:
            part.known.clear()
            part.orders.clear()
        self.leaves = 0
        self._everything = True
        while self._everything:
            async for _ in self.edits():
                pass

    async def edits(self) -> AsyncIterator[Edit]:
        """What differs from what is known, which is known from then on. Configuration comes first.

        Raises:
            TooMuch: see `baseline`.
        """
        everything, self._everything = self._everything, False
        deleted: set[Steps] = set()
        for part in self._parts:
            if deleted and part.content != "config":
                self._forget(deleted)
                deleted = set()
            now = time.monotonic()
            if part.content != "config" and part.node.chain[0] in self._split and self._outdated(part.node):
                self._everything = self._everything or everything
                part.dirty = True
                continue
            if part.content == "config":
                snapshot = self._tree.datastores.running.tree.get(part.node.json_name)
                looked = everything or (part.dirty and snapshot is not part.snapshot)
                part.dirty, part.snapshot = False, snapshot
            else:
                looked = everything or (now >= part.rested if part.dirty else now >= part.polled)
                part.dirty = part.dirty and not looked
            if not looked:
                continue
            some = part.incremental and not everything
            found = self._compare_changes(part) if some else self._compare(part)
            if part.node.chain[0] in self._split:
                found = self._at_once(part, found)
            async for edit in found:
                if part.content == "config" and edit.operation == "delete" and edit.node.kind == "list":
                    deleted.add(edit.path.steps)
                yield edit
            self._rest(part, now)

    def _outdated(self, node: SchemaNode) -> bool:
        """Whether configuration around a node has changed and was not compared yet."""
        now = self._tree.datastores.running.tree.get(node.chain[0].json_name)
        return any(
            part.snapshot is not now
            for part in self._parts
            if part.content == "config" and part.node is node.chain[0]
        )

    async def _at_once(self, part: Part, found: AsyncIterator[Edit]) -> AsyncIterator[Edit]:
        """Edits that belong to one moment: where configuration and what nobody configured are in one list."""
        edits = list(self._configured_since()) if part.content == "config" else []
        edits.extend([edit async for edit in found])
        for edit in edits:
            yield edit

    def _configured_since(self) -> Iterator[Edit]:
        """What nobody had configured, and somebody has: it goes, and comes back as configuration."""
        for part in self._parts:
            if part.content != "all":
                continue
            where = {path: entry for entry, paths in part.known.items() for path in paths}
            entries: set[Steps] = set()
            for path, entry in where.items():
                node = node_of(self._tree, path)
                names, values = part.known[entry][path]
                taken = [is_configured(self._tree, path, leaf_below(node, name)) for name in names]
                if has_key(node, names):
                    if any(taken):
                        entries.add(path)
                elif any(taken):
                    kept = [
                        both
                        for both, gone in zip(zip(names, values, strict=True), taken, strict=True)
                        if not gone
                    ]
                    part.known[entry][path] = (
                        tuple(name for name, _ in kept),
                        tuple(value for _, value in kept),
                    )
                    self._remember(len(kept) - len(names))
                    for name, value, gone in zip(names, values, taken, strict=True):
                        if gone:
                            yield from _leaf_edits(DataPath(path), name, leaf_below(node, name), value, None)
            yield from self._gone(
                part, {path: where[path] for path in where if path in entries or below_any(path, entries)}
            )

    def _forget(self, deleted: set[Steps]) -> None:
        """Configured entries are gone, with the state that was in them."""
        for part in self._parts:
            if part.content == "config":
                continue
            for entry, known in list(part.known.items()):
                for path in [path for path in known if path in deleted or below_any(path, deleted)]:
                    names, _ = known.pop(path)
                    self._remember(-len(names))
                if not known:
                    del part.known[entry]

    @staticmethod
    def _rest(part: Part, began: float) -> None:
        now = time.monotonic()
        if part.content == "config" or part.incremental:
            part.polled = _NEVER
            return
        part.rested = now + _ANNOUNCED_SHARE * (now - began)
        part.polled = now + max(POLL, _POLLED_SHARE * (now - began))

    # --- reading ---------------------------------------------------------------------------------

    def _read(self, part: Part, selection: Selection) -> Iterator[Group]:
        split = isinstance(part.provider, OperationalProvider) and part.node.config
        for path, leaves in self._tree.read_leaves(selection, self._user, content=part.content):
            if part.content != "config":
                own = leaves if part.content == "all" else [leaf for leaf in leaves if not leaf[2].config]
                if split:
                    state = part.content == "state"
                    own = [leaf for leaf in own if is_configured(self._tree, path.steps, leaf[2]) is state]
                if own:
                    yield path, own
            else:
                yield path, leaves

    async def _compare(self, part: Part) -> AsyncIterator[Edit]:
        """Read all of a part."""
        if isinstance(part.provider, WatchableProvider):
            part.version = part.provider.version
        depth = len(part.node.chain) if part.incremental else 0
        unseen = {path: entry for entry, paths in part.known.items() for path in paths}
        orders = {key: order.begin() for key, order in part.orders.items()}
        for number, (path, leaves) in enumerate(self._read(part, part.selection), 1):
            unseen.pop(path.steps, None)
            for edit in self._difference(part, path.steps[:depth], path, leaves, orders):
                yield edit
            if number % SLICE == 0:
                await asyncio.sleep(0)
        for edit in self._gone(part, unseen):
            yield edit
        for key, order in orders.items():
            for moved, after in order.finish():
                yield Edit("move", DataPath(moved), node_of(self._tree, moved), after=_path(after))
            part.orders[key] = order

    async def _compare_changes(self, part: Part) -> AsyncIterator[Edit]:
        """Read what the provider says has changed."""
        provider: Any = part.provider
        version = provider.version
        changes = provider.changes(part.version)
        if changes is None:
            async for edit in self._compare(part):
                yield edit
            return
        part.version = version
        keys = list(dict.fromkeys(change.keys for change in changes))
        for start in range(0, len(keys), SLICE):
            for edit in self._compare_entries(part, keys[start : start + SLICE]):
                yield edit
            await asyncio.sleep(0)

    def _compare_entries(self, part: Part, keys: list[Keys]) -> Iterator[Edit]:
        depth = len(part.node.chain)
        unseen: dict[Steps, Steps] = {}
        for key in keys:
            entry = DataPath.of_node(part.node, key).steps
            unseen.update(dict.fromkeys(part.known.get(entry, ()), entry))
        selection = restrict(part.selection, part.node, dict.fromkeys(keys))
        if selection is not None:
            for path, leaves in self._read(part, selection):
                unseen.pop(path.steps, None)
                yield from self._difference(part, path.steps[:depth], path, leaves, {})
        yield from self._gone(part, unseen)

    # --- comparing -------------------------------------------------------------------------------

    def _difference(
        self, part: Part, entry: Steps, path: DataPath, leaves: list[Leaf], orders: dict[Steps, Order[Steps]]
    ) -> Iterator[Edit]:
        names = tuple(leaf[0] for leaf in leaves)
        names = self._names.setdefault(names, names)
        values = tuple(leaf[1] for leaf in leaves)
        known = part.known.setdefault(entry, {})
        before = known.get(path.steps)
        self._remember(len(names) - (len(before[0]) if before is not None else 0))
        known[path.steps] = (names, values)
        node = leaves[0][2].chain[len(path.steps) - 1]
        is_entry = node.kind == "list" and part.whole and (part.content != "all" or has_key(node, names))
        after: Steps | None = None
        if is_entry and node.config and node.user_ordered:
            order = orders.setdefault((*path.steps[:-1], Step(node.module, node.name)), Order())
            after = order.add(path.steps)
        if before is None and is_entry:
            operation: Operation = "insert" if node.config and node.user_ordered else "create"
            yield Edit(operation, path, node, leaves=tuple(leaves), after=_path(after))
            return
        old = dict(zip(*before, strict=True)) if before is not None else {}
        if before is not None and before[0] is names and before[1] == values:
            return
        for name, value, leaf in leaves:
            yield from _leaf_edits(path, name, leaf, old.pop(name, None), value)
        for name, value in old.items():
            yield from _leaf_edits(path, name, leaf_below(node, name), value, None)

    def _gone(self, part: Part, unseen: dict[Steps, Steps]) -> Iterator[Edit]:
        """What is known and no longer there; of an entry that is gone not what was in it."""
        gone: set[Steps] = set()
        for steps in sorted(unseen, key=len):
            known = part.known[unseen[steps]]
            names, values = known.pop(steps)
            if not known:
                del part.known[unseen[steps]]
            self._remember(-len(names))
            if any(steps[:length] in gone for length in range(1, len(steps))):
                continue
            path = DataPath(steps)
            node = node_of(self._tree, steps)
            if node.kind == "list" and part.whole and (part.content != "all" or has_key(node, names)):
                gone.add(steps)
                yield Edit("delete", path, node)
                continue
            for name, value in zip(names, values, strict=True):
                yield from _leaf_edits(path, name, leaf_below(node, name), value, None)

    def _remember(self, leaves: int) -> None:
        self.leaves += leaves
        if self.leaves > self._limit:
            raise TooMuch(self._limit)


def _leaf_edits(
    path: DataPath, names: tuple[str, ...], leaf: SchemaNode, old: Any, new: Any
) -> Iterator[Edit]:
    """What makes of one value another; None is no value."""
    if type(old) is type(new) and old == new:
        return
    if leaf.kind == "leaf":
        operation: Operation = "create" if old is None else "delete" if new is None else "replace"
        yield Edit(operation, path, leaf, names, new if new is not None else old)
        return
    before, now = old or [], new or []
    if not (leaf.config and leaf.user_ordered):
        yield from (Edit("delete", path, leaf, names, value) for value in before if value not in now)
        yield from (Edit("create", path, leaf, names, value) for value in now if value not in before)
        return
    yield from (Edit("delete", path, leaf, names, value) for value in before)
    for number, value in enumerate(now):
        point = DataPath((*path.steps, *_below(path, leaf, now[number - 1]))) if number else None
        yield Edit("insert", path, leaf, names, value, after=point)


def _below(path: DataPath, leaf: SchemaNode, value: Any) -> Iterator[Step]:
    """Steps from an instance down to one entry of a leaf-list in it."""
    assert leaf.type is not None
    chain = leaf.chain[len(path.steps) :]
    yield from (Step(level.module, level.name) for level in chain[:-1])
    yield Step(leaf.module, leaf.name, ((".", leaf.type.format(value)),))


def _path(steps: Steps | None) -> DataPath | None:
    return None if steps is None else DataPath(steps)
