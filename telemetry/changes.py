"""Sources of state and configuration that are read again when they may have changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from telemetry.known import Known, packed
from telemetry.memory import StreamMemory
from telemetry.packing import Entry
from telemetry.plan import Feed, Part, Permission
from telemetry.reader import Look
from telemetry.records import Projection
from telemetry.source import Source, Wake, follow
from telemetry.subscribe import Timer
from yang.datastore.past import Commit
from yang.path import DataPath


class ChangeSource(Source):
    """Reads a part when it may have changed, and sends what differs from what the client has.

    Args:
        memory: bounds what is remembered.
        interval: of looking, nanoseconds; 0 when a change is announced.
    """

    def __init__(
        self, part: Part, look: Look, memory: StreamMemory, *, interval: int, heartbeat: int
    ) -> None:
        super().__init__()
        self._part = part
        self._look = look
        self._known = Known(part, look, memory)
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

    def shows(self, commit: Commit) -> bool:
        """Whether a commit changed something at, above or below what is selected."""
        return any(commit.touches(path.schema_path) for path in self._part.paths)

    def touch(self) -> None:
        """Look at the next turn."""
        self._dirty = True

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
        async for message in packed(self._look, self._compare_all()):
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
        async for message in packed(self._look, changed):
            yield message

    async def _compare_all(self, repeat: bool = False) -> AsyncIterator[Entry]:
        if self._projection is not None:
            self._version = self._part.provider.version
        entries = self._look.read_slowly(self._part.paths, self._part.content)
        async for entry in self._known.compared(entries, repeat=repeat):
            yield entry

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
            leaves = self._look.reach.kept(path, leaves)
            found = (
                self._known.difference(path, leaves)
                if leaves
                else self._known.gone(path)
                if path in self._known
                else None
            )
            if found is not None:
                yield found
            if number % 64 == 0:
                await asyncio.sleep(0)
        self._known.count()

    def close(self) -> None:
        """Listen no more."""
        self._known.clear()
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
