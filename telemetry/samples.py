"""Sources that are sampled: members of the groups of the sampling wheel."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from telemetry.plan import Part, Permission
from telemetry.reader import Look
from telemetry.sampler import ColumnProducer, ColumnTick, Producer, ReadProducer, Sampler, Tick, deletes
from telemetry.source import Source, Wake
from telemetry.subscribe import Mailbox, Terms, Timer


class SampleSource(Source):
    """A member of a group of the sampling wheel."""

    def __init__(self, part: Part, look: Look, terms: Terms | None, sampler: Sampler, columns: bool) -> None:
        super().__init__()
        self._look = look
        self._terms = terms
        self._sampler = sampler
        self._suppress = columns and terms is not None and (terms.suppress_redundant or part.on_change)
        self._permission = Permission(look.tree, look.user, (part.node, *part.leaves)) if columns else None
        self._part = part
        self._key = _group_key(part, look, terms, columns)
        self._producer: Producer = ColumnProducer(part, look) if columns else ReadProducer(part, look)
        self._mailbox: Mailbox[Tick] = Mailbox()
        self._sent: ColumnTick | None = None
        self._heartbeat: Timer | None = None
        self._everything = False
        self._wake: Wake | None = None

    def start(self, wake: Wake) -> None:
        """Join the wheel."""
        self._wake = wake
        if self._terms is not None:
            self._producer = self._sampler.join(self._key, self._terms.interval, self._producer, self)
            if self._terms.heartbeat and self._suppress:
                self._heartbeat = Timer(self._terms.heartbeat, time.monotonic_ns())
                self.timers.append(self._heartbeat)

    def deliver(self, tick: Tick) -> bool:
        """Called by the wheel. False when the tick before was not read."""
        prompt = not self._mailbox
        self._mailbox.put(tick)
        if self._wake is not None:
            self._wake()
        return prompt

    @property
    def ready(self) -> bool:
        """A tick is waiting."""
        return bool(self._mailbox)

    def expired(self, timer: Timer) -> None:
        """The next tick is sent in full: its values are those that a heartbeat repeats."""
        self._everything = self._everything or timer is self._heartbeat

    async def initial(self) -> AsyncIterator[bytes]:
        """A tick of its own."""
        async for message in self._send(self._producer.tick(), 0, everything=True):
            yield message

    async def skip(self) -> AsyncIterator[bytes]:
        """Remember what is not sent."""
        tick = self._producer.tick()
        if isinstance(tick, ColumnTick):
            self._sent = tick
        return
        yield b""  # makes this a generator

    async def messages(self) -> AsyncIterator[bytes]:
        """The newest tick."""
        if not self._mailbox:
            return
        tick, duplicates = self._mailbox.take()
        everything, self._everything = self._everything or not self._suppress, False
        async for message in self._send(tick, duplicates, everything=everything):
            yield message

    async def _send(self, tick: Tick, duplicates: int, *, everything: bool) -> AsyncIterator[bytes]:
        if self._permission is not None and not self._permission.granted:
            tick = ReadProducer(
                self._part, self._look
            ).tick()  # the rules changed; this obeys them leaf by leaf
        before = self._sent
        if isinstance(tick, ColumnTick):
            self._sent = tick
            if before is not None:
                for message in self._deletes(before, tick):
                    yield message
            if before is not None and not everything:
                for number, changed in enumerate(tick.changes(before, duplicates)):
                    if changed is not None:
                        yield changed
                    elif number % 8 == 7:
                        await asyncio.sleep(0)
                return
        number = 0
        while (made := tick.message(number, duplicates)) is not None:
            yield made
            number += 1

    def _deletes(self, before: ColumnTick, tick: ColumnTick) -> Sequence[bytes]:
        if before.layout is tick.layout or not isinstance(self._producer, ColumnProducer):
            return ()
        gone = before.layout.gone(tick.layout)
        return list(deletes(self._producer.shape, gone, tick.time_ns))

    def close(self) -> None:
        """Leave the wheel."""
        self._wake = None
        self._sampler.leave(self._key, self)


def _group_key(part: Part, look: Look, terms: Terms | None, columns: bool) -> tuple[Any, ...]:
    """All that makes ticks differ. Who may read all counters gets the same ones as everybody who may."""
    interval = terms.interval if terms is not None else 0
    who = None if columns else look.user
    return (
        interval,
        part.paths,
        part.content,
        columns,
        look.encoding,
        look.aggregate,
        look.origin,
        look.target,
        who,
    )
