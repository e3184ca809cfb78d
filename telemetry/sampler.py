"""The sampling wheel at work: one tick per group, encoded once, whoever reads it.

A tick is not encoded when it is due but when its first reader takes it, message by message, so that the
loop is never held for long and a tick that nobody takes costs nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Hashable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import structlog

from telemetry.encoder import ColumnEncoder, Layout
from telemetry.packing import Entry, elements, messages
from telemetry.plan import Part
from telemetry.protocol import gnmi_pb2 as pb
from telemetry.protocol.model import gnmi_path
from telemetry.reader import Look
from telemetry.rows import ColumnShape, Key
from telemetry.subscribe import Wheel
from yang.path import DataPath

log = structlog.get_logger()

READ_MESSAGE = 64 * 1024
"""Octets of a message of ordinary protobuf: making one takes the loop about two milliseconds."""


class Tick(Protocol):
    """One sample of one group, as messages that are made on demand."""

    def message(self, number: int, duplicates: int) -> bytes | None:
        """Message `number`, counted from 0 and asked for in order; None behind the last."""
        ...

    def retire(self) -> None:
        """A newer tick exists: keep no messages for readers that may come."""
        ...

    def expect(self, readers: int, prompt: int) -> None:
        """It was given to so many readers, of whom so many had taken the tick before."""
        ...


class Shared:
    """Messages of a tick that was given to several readers: each is kept until all have had it.

    With one reader nothing is kept: the octets of a message are gone before the next is made, and so memory
    that the processor's cache still has is used again.
    """

    def __init__(self) -> None:
        self._readers = 1
        self._kept: dict[int, tuple[bytes, int]] = {}

    def expect(self, readers: int) -> None:
        """So many may ask for each message."""
        self._readers = readers

    def take(self, number: int) -> bytes | None:
        """A message that is kept."""
        found = self._kept.get(number)
        if found is None:
            return None
        message, left = found
        if left > 1:
            self._kept[number] = message, left - 1
        else:
            del self._kept[number]
        return message

    def keep(self, number: int, message: bytes) -> None:
        """For those who have not asked for it yet."""
        if self._readers > 1:
            self._kept[number] = message, self._readers - 1

    def retire(self) -> None:
        """Nobody else is expected."""
        self._readers = 1
        self._kept.clear()


class Producer(Protocol):
    """Makes the ticks of a group."""

    def tick(self) -> Tick: ...

    def shift(self, interval: int, /) -> int:
        """Nanoseconds by which the group's next tick should come later than after its interval."""
        ...


class Member(Protocol):
    """A subscriber of a group."""

    def deliver(self, tick: Any) -> bool:
        """Take a tick. False when the one before has not been read and is forgotten."""
        ...


class ColumnTick:
    """Counters of all entries at one time."""

    def __init__(self, layout: Layout, values: np.ndarray, time_ns: int) -> None:
        self.layout = layout
        self.values = values
        self.time_ns = time_ns
        self._shared = Shared()

    def message(self, number: int, duplicates: int) -> bytes | None:
        """See `Tick`. Messages without duplicates are shared with the other readers of this tick."""
        if number >= len(self.layout.blocks):
            return None
        if duplicates == 0 and (shared := self._shared.take(number)) is not None:
            return shared
        block, rows = self.layout.blocks[number]
        made = block.message(self.values.take(rows, axis=0), self.time_ns, duplicates)
        if duplicates == 0:
            self._shared.keep(number, made)
        return made

    def expect(self, readers: int, prompt: int) -> None:
        """See `Tick`. Who is late gets messages of its own, with duplicates."""
        self._shared.expect(min(readers, prompt))

    def retire(self) -> None:
        """See `Tick`."""
        self._shared.retire()

    def changes(self, base: ColumnTick, duplicates: int) -> Iterator[bytes | None]:
        """Messages with what is not as it was in an older tick; None where a block has nothing."""
        known = dict(base.layout.blocks)
        position: dict[Any, int] | None = None
        for block, rows in self.layout.blocks:
            values = self.values.take(rows, axis=0)
            before = known.get(block)
            if before is not None:
                mask = values != base.values[before]
            else:
                position = base.layout.rows() if position is None else position
                old = np.array([position.get(key, -1) for key in block.keys], np.intp)
                mask = (old < 0)[:, None] | (values != base.values[old] if len(base.values) else True)
            yield block.changed(values, mask, self.time_ns, duplicates)


class ColumnProducer:
    """Ticks from the matrix of a ColumnProvider."""

    def __init__(self, part: Part, look: Look) -> None:
        self._provider = part.provider
        parent = DataPath.of_node(part.node.parent) if part.node.parent is not None else DataPath()
        depth = len(part.node.chain)
        leaves = tuple(tuple(node.json_name for node in leaf.chain[depth:]) for leaf in part.leaves)
        columns = [tuple(names) for names in self._provider.columns().leaves]
        selected = [columns.index(names) for names in leaves]
        self._selected = slice(None) if selected == list(range(len(columns))) else selected
        self.shape = ColumnShape(
            gnmi_path(parent, origin=look.origin, target=look.target),
            part.node.json_name,
            part.node.keys,
            leaves,
        )
        self._encoder = ColumnEncoder(self.shape)
        self._rhythm = Rhythm()

    def tick(self) -> ColumnTick:
        """What the matrix has now."""
        columns = self._provider.columns()
        self._rhythm.saw(columns.tick, columns.time_ns, time.time_ns())
        layout = self._encoder.layout(columns.keys, columns.membership)
        return ColumnTick(layout, columns.values[:, self._selected], columns.time_ns)

    def shift(self, interval: int, /) -> int:
        """See `Producer`: away from the sweeps."""
        return self._rhythm.shift(interval)


class ReadTick:
    """A part of the tree, read while its first reader takes it."""

    def __init__(self, entries: Iterator[Entry], look: Look) -> None:
        self._source = messages(look.prefix, entries, time.time_ns(), size=READ_MESSAGE)
        self._next = 0
        self._shared = Shared()

    def message(self, number: int, duplicates: int) -> bytes | None:
        """See `Tick`."""
        made = self._shared.take(number)
        while made is None:
            made = next(self._source, None)
            if made is None:
                return None
            self._shared.keep(self._next, made)
            self._next += 1
            if self._next <= number:
                made = None
        return with_duplicates(made, duplicates) if duplicates else made

    def expect(self, readers: int, prompt: int) -> None:
        """See `Tick`. Who is late is among them: what was read cannot be read again."""
        self._shared.expect(max(readers, prompt))

    def retire(self) -> None:
        """See `Tick`. What was read cannot be read again: it stays for the readers that are under way."""


def with_duplicates(response: bytes, duplicates: int) -> bytes:
    """A SubscribeResponse whose updates stand for values that were not sent."""
    parsed = pb.SubscribeResponse.FromString(response)
    for update in parsed.update.update:
        update.duplicates = duplicates
    octets: bytes = parsed.SerializeToString()
    return octets


class ReadProducer:
    """Ticks by reading the tree."""

    def __init__(self, part: Part, look: Look) -> None:
        self._part = part
        self._look = look

    def tick(self) -> ReadTick:
        """Starts to read; access control is that of now."""
        look = self._look
        entries = (
            look.entry(path, leaves) for path, leaves in look.read(self._part.paths, self._part.content)
        )
        return ReadTick(entries, look)

    def shift(self, _interval: int, /) -> int:
        """See `Producer`: what is read at any time needs none."""
        return 0


def deletes(shape: ColumnShape, gone: Sequence[Key], time_ns: int) -> Iterator[bytes]:
    """Messages that say that these entries no longer exist."""
    entries = (Entry(elements([(shape.list_name, shape.key_texts(key))]), deletes=[()]) for key in gone)
    return messages(shape.prefix, entries, time_ns)


class Rhythm:
    """How old a matrix is when it is sampled, and when it is sampled best.

    Samples as far apart as the sweeps, and made at the same moments, would have one sweep twice and miss
    another whenever one of both is a little late. They are moved, once, to halfway between two sweeps.
    """

    MARGIN = 0.2
    """Samples nearer to a sweep than this share of the time between two sweeps are moved."""
    ATTEMPTS = 2
    """Moves in a row that did not help: then sweeps follow the samples, and moves would only delay both."""

    def __init__(self) -> None:
        self._last: tuple[int, int] | None = None
        self._period = 0
        self._age = 0
        self._moves = 0

    def saw(self, tick: int, made: int, now: int) -> None:
        """Sweep `tick`, made at that time, was sampled now; nanoseconds since the epoch."""
        if self._last is not None and tick > self._last[0]:
            self._period = max(0, made - self._last[1]) // (tick - self._last[0])
        if self._last is None or tick != self._last[0]:
            self._last = tick, made
        self._age = now - made

    def shift(self, interval: int) -> int:
        """Nanoseconds by which the next sample comes later (negative: earlier) than after `interval`."""
        if not 0 < self._period <= interval * 1.1 or not 0 <= self._age <= self._period * 1.2:
            return 0  # many samples of each sweep, sweeps that are not regular, or a clock that was set
        share = self._age / self._period
        if self.MARGIN <= share <= 1 - self.MARGIN:
            self._moves = 0
            return 0
        self._moves += 1
        return int((0.5 - share) * self._period) if self._moves <= self.ATTEMPTS else 0


class Sampler:
    """Drives the wheel."""

    def __init__(self) -> None:
        self._wheel: Wheel[Hashable, Member] = Wheel()
        self._producers: dict[Hashable, Producer] = {}
        self._latest: dict[Hashable, Tick] = {}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to tick; called in the event loop that shall tick."""
        self._task = asyncio.create_task(self._run(), name="gnmi-sampler")

    async def stop(self) -> None:
        """Tick no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def join(self, key: Hashable, interval: int, producer: Producer, member: Member) -> Producer:
        """Subscribe to a group; the producer is used if the group is new. Returns the group's."""
        self._wheel.join(key, interval, member, time.monotonic_ns())
        self._changed.set()
        return self._producers.setdefault(key, producer)

    def leave(self, key: Hashable, member: Member) -> None:
        """End a subscription; safe to call twice."""
        self._wheel.leave(key, member)
        if key not in self._wheel.groups:
            self._producers.pop(key, None)
            self._latest.pop(key, None)

    async def _run(self) -> None:
        while True:
            due = self._wheel.next_due()
            self._changed.clear()
            delay = None if due is None else max(0, due - time.monotonic_ns()) / 1e9
            waiting = asyncio.ensure_future(self._changed.wait())
            try:
                await asyncio.wait([waiting], timeout=delay)
            finally:
                waiting.cancel()
            moves: dict[int, int] = {}
            for group in self._wheel.due(time.monotonic_ns()):
                self._tick(group.key, list(group.members))
                interval = group.timer.interval
                moves[interval] = moves.get(interval) or self._producers[group.key].shift(interval)
            for interval, by in moves.items():
                if by:  # who samples something else beside counters, to know that they are whole, gets both
                    self._wheel.shift(interval, by)

    def _tick(self, key: Hashable, members: Sequence[Member]) -> None:
        before = self._latest.get(key)
        if before is not None:
            before.retire()
        try:
            tick = self._latest[key] = self._producers[key].tick()
        except Exception:  # a provider that fails must not end the samples of all others
            log.exception("gnmi.sample.failed", group=str(key))
            return
        prompt = sum(member.deliver(tick) for member in members)  # they read it at a later turn of the loop
        tick.expect(len(members), prompt)
