"""Sources of state and configuration that are read again when they may have changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from telemetry.packing import Entry, elements, messages
from telemetry.plan import Feed, Part, Permission
from telemetry.reader import Look, same
from telemetry.records import Leaf, Projection
from telemetry.sampler import READ_MESSAGE
from telemetry.source import Source, Wake, follow
from telemetry.subscribe import Timer
from yang.path import DataPath
from yang.provider import Change


class ChangeSource(Source):
    """Reads a part when it may have changed, and sends what differs from what the client has.

    Args:
        interval: of looking, nanoseconds; 0 when a change is announced.
    """

    def __init__(self, part: Part, look: Look, *, interval: int, heartbeat: int) -> None:
        super().__init__()
        self._part = part
        self._look = look
        self._known: dict[DataPath, tuple[tuple[tuple[str, ...], ...], tuple[Any, ...]]] = {}
        self._name_sets: dict[tuple[tuple[str, ...], ...], tuple[tuple[str, ...], ...]] = {}
        self._dirty = False
        self._everything = False
        self._follower: asyncio.Task[None] | None = None
        now = time.monotonic_ns()
        self._poll = Timer(interval, now) if interval else None
        self._heartbeat = Timer(heartbeat, now) if heartbeat else None
        self.timers.extend(timer for timer in (self._poll, self._heartbeat) if timer is not None)
        self._projection = _watch_projection(part)
        self._version = 0
        self._permission = Permission(look.tree, look.user, (part.node, *part.leaves))

    def start(self, wake: Wake) -> None:
        """Listen to the bus, unless the part is polled."""
        if self._poll is not None:
            return

        def touched() -> None:
            self._dirty = True
            wake()

        watch = self._look.tree.bus.watch(*{path.schema_path for path in self._part.paths})
        self._follower = asyncio.create_task(follow(watch, touched), name="gnmi-watch")

    @property
    def ready(self) -> bool:
        """Something may have changed."""
        return self._dirty or self._everything

    def expired(self, timer: Timer) -> None:
        """It is time to look, or to repeat everything."""
        if timer is self._heartbeat:
            self._everything = True
        else:
            self._dirty = True

    async def initial(self) -> AsyncIterator[bytes]:
        """Everything."""
        self._known.clear()
        async for message in self._packed(self._compare_all()):
            yield message

    async def skip(self) -> AsyncIterator[bytes]:
        """Read everything and keep it to oneself."""
        async for _ in self._compare_all():
            pass
        return
        yield b""  # makes this a generator

    async def messages(self) -> AsyncIterator[bytes]:
        """What changed; after a heartbeat, everything."""
        repeat, self._everything, self._dirty = self._everything, False, False
        changed = (
            self._compare_changes()
            if self._projection is not None and not repeat
            else self._compare_all(repeat)
        )
        async for message in self._packed(changed):
            yield message

    async def _packed(self, entries: AsyncIterator[Entry]) -> AsyncIterator[bytes]:
        """Messages of at most about `READ_MESSAGE` octets."""
        batch: list[Entry] = []
        size = 0
        async for entry in entries:
            batch.append(entry)
            size += len(entry.updates) + len(entry.deletes)
            if size >= 500:
                for message in messages(self._look.prefix, batch, time.time_ns(), size=READ_MESSAGE):
                    yield message
                batch, size = [], 0
        for message in messages(self._look.prefix, batch, time.time_ns(), size=READ_MESSAGE):
            yield message

    async def _compare_all(self, repeat: bool = False) -> AsyncIterator[Entry]:
        if self._projection is not None:
            self._version = self._part.provider.version
        unseen = dict.fromkeys(self._known)
        async for path, leaves in self._look.read_slowly(self._part.paths, self._part.content):
            unseen.pop(path, None)
            entry = self._difference(path, leaves, repeat=repeat)
            if entry is not None:
                yield entry
        for path in unseen:
            yield self._gone(path)

    async def _compare_changes(self) -> AsyncIterator[Entry]:
        provider = self._part.provider
        version = provider.version
        changes = provider.changes(self._version)
        if self._projection is None or changes is None or not self._permission.granted:
            async for entry in self._compare_all():
                yield entry
            return
        self._version = version
        for number, change in enumerate(changes, 1):
            path = DataPath.of_node(self._part.node, change.keys)
            leaves = self._projection.leaves(change.record) if change.record is not None else []
            found = (
                self._difference(path, leaves)
                if leaves
                else self._gone(path)
                if path in self._known
                else None
            )
            if found is not None:
                yield found
            if number % 64 == 0:
                await asyncio.sleep(0)

    def _changed(self, path: DataPath, change: Change) -> Entry | None:
        if change.record is None:
            return self._gone(path) if path in self._known else None
        if self._projection is None:
            return None
        leaves = self._projection.leaves(change.record)
        return self._difference(path, leaves) if leaves or path in self._known else None

    def _difference(self, path: DataPath, leaves: Sequence[Leaf], *, repeat: bool = False) -> Entry | None:
        """What the client does not know of an entry, which it is then taken to know."""
        names = tuple(leaf[0] for leaf in leaves)
        names = self._name_sets.setdefault(names, names)
        values = tuple(leaf[1] for leaf in leaves)
        before = self._known.get(path)
        self._known[path] = (names, values)
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

    def _gone(self, path: DataPath) -> Entry:
        """An entry is no longer there, or has none of the leaves that are selected.

        Where only some leaves of entries are selected, these are gone; so too in a configured list whose
        state is gone.
        """
        names, _ = self._known.pop(path)
        owned = self._part.content != "state" or not self._part.node.config
        whole = owned and len(path.steps) >= self._part.depth
        return Entry(elements(path.to_gnmi()), deletes=[()] if whole else names)

    def close(self) -> None:
        """Listen no more."""
        if self._follower is not None:
            self._follower.cancel()


def _watch_projection(part: Part) -> Projection | None:
    """How to read the records that a provider says have changed; None where it does not say which."""
    if part.feed is not Feed.WATCH:
        return None
    exact = any(step.keys for path in part.paths for step in path.steps)
    if exact or not Projection.possible(part.node, part.leaves):
        return None
    state = [leaf for leaf in part.leaves if not leaf.config or not part.node.config]
    return Projection(part.node, state)
