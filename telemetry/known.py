"""What a client knows of a part of the tree, and what it has to be told when that is something else.

`yang.observe` compares for YANG-push, by other rules: of configuration what was set explicitly, leaf-lists
value by value with their order, no counters, and nothing is repeated. Here defaults in use are values,
leaf-lists are values as a whole, counters are compared where a client asks for that, and so often, and
heartbeats repeat all.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from telemetry.memory import StreamMemory
from telemetry.packing import Entry, elements, messages
from telemetry.plan import Part
from telemetry.reader import Look, same
from telemetry.records import Leaf
from telemetry.sampler import READ_MESSAGE
from yang.path import DataPath

_AT_ONCE = 500
"""Updates and deletes after which messages are made."""


class Known:
    """Compares entry by entry with what the client was told before.

    Args:
        memory: bounds what is known.
    """

    def __init__(self, part: Part, look: Look, memory: StreamMemory) -> None:
        self._part = part
        self._look = look
        self._entries: dict[DataPath, tuple[tuple[tuple[str, ...], ...], tuple[Any, ...]]] = {}
        self._name_sets: dict[tuple[tuple[str, ...], ...], tuple[tuple[str, ...], ...]] = {}
        self._memory = memory
        self._counted = 0

    def __contains__(self, path: DataPath) -> bool:
        return path in self._entries

    def clear(self) -> None:
        """The client knows nothing."""
        self._entries.clear()
        self.count()

    def count(self) -> None:
        """Tell the memory how much is known now. Raises Refused (RESOURCE_EXHAUSTED): it is too much."""
        more = len(self._entries) - self._counted
        self._counted += more
        self._memory.grow(more)

    def difference(self, path: DataPath, leaves: Sequence[Leaf], *, repeat: bool = False) -> Entry | None:
        """What the client does not know of an entry, which it is then taken to know.

        Args:
            repeat: tell all of it.
        """
        names = tuple(leaf[0] for leaf in leaves)
        names = self._name_sets.setdefault(names, names)
        values = tuple(leaf[1] for leaf in leaves)
        before = self._entries.get(path)
        self._entries[path] = (names, values)
        if before is None or repeat:
            return self._look.entry(path, leaves)
        if before[0] is names:
            changed = [leaf for leaf, old in zip(leaves, before[1], strict=True) if not same(leaf[1], old)]
            missing: list[tuple[str, ...]] = []
        else:
            old_values = dict(zip(*before, strict=True))
            changed = [
                leaf for leaf in leaves if leaf[0] not in old_values or not same(leaf[1], old_values[leaf[0]])
            ]
            missing = [name for name in before[0] if name not in set(names)]
        if not changed and not missing:
            return None
        return self._look.entry(path, leaves if self._look.aggregate else changed, missing)

    def gone(self, path: DataPath) -> Entry:
        """An entry is no longer there, or has none of the leaves that are selected.

        Where only some leaves of entries are selected, these are gone; so too in a configured list whose
        state is gone.
        """
        names, _ = self._entries.pop(path)
        owned = self._part.content != "state" or not self._part.node.config
        whole = owned and len(path.steps) >= self._part.depth
        return Entry(elements(path.to_gnmi()), deletes=[()] if whole else names)

    async def compared(
        self, entries: AsyncIterator[tuple[DataPath, list[Leaf]]], *, repeat: bool = False
    ) -> AsyncIterator[Entry]:
        """The differences from all that there is now."""
        unseen = dict.fromkeys(self._entries)
        number = 0
        async for path, leaves in entries:
            unseen.pop(path, None)
            number += 1
            if number % _AT_ONCE == 0:
                self.count()
            entry = self.difference(path, leaves, repeat=repeat)
            if entry is not None:
                yield entry
        for path in unseen:
            yield self.gone(path)
        self.count()


async def packed(
    look: Look, entries: AsyncIterator[Entry], clock: Callable[[], int] = time.time_ns
) -> AsyncIterator[bytes]:
    """Messages of at most about `READ_MESSAGE` octets.

    Args:
        clock: nanoseconds since the epoch, of each message.
    """
    batch: list[Entry] = []
    size = 0
    async for entry in entries:
        batch.append(entry)
        size += len(entry.updates) + len(entry.deletes)
        if size >= _AT_ONCE:
            for message in messages(look.prefix, batch, clock(), size=READ_MESSAGE):
                yield message
            batch, size = [], 0
    for message in messages(look.prefix, batch, clock(), size=READ_MESSAGE):
        yield message
