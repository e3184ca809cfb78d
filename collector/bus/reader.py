"""Reading one BNG's chain from JetStream, from a place on. Thin I/O."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from nats.aio.subscription import Subscription
from nats.js import api
from nats.js.errors import NotFoundError

from collector.budget import Budget
from collector.bus.chain import Follower
from collector.bus.jetstream import TIMEOUT, Bus, Unavailable, translated
from collector.bus.message import FormatError, Message, parse
from collector.gnmi import WEIGHT_RAW

MOST_FETCHED = 8 << 20
"""Octets that are asked for at a time, of one BNG."""
MOST_MESSAGES = 256
IDLE = 3.0
"""Seconds without a message until a reader looks whether its consumer is still there."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What was read at a time.

    Attributes:
        messages: in order; none when nothing came for a while.
        waiting: how many more there are.
        clock_ns: what the server's clock shows now, None where that is not known.
    """

    messages: list[Message]
    waiting: int
    clock_ns: int | None = None


async def read(bus: Bus, bng_id: str, follower: Follower, budget: Budget) -> AsyncGenerator[Batch, None]:
    """Messages of a BNG behind the follower's place. Goes on for ever. Raises Unavailable, FormatError."""
    while True:
        async with translated():
            reader = Reader(bus, bng_id)
            await reader.open(follower)
        try:
            async with aclosing(reader.batches(budget)) as batches:
                async for batch in batches:
                    taken, broken = [], False
                    for message in batch.messages:
                        verdict = follower.accept(message)
                        if verdict is False:
                            broken = True
                            break
                        if verdict:
                            taken.append(message)
                    if taken or not batch.messages:
                        yield replace(batch, messages=taken)
                    if broken or (not batch.messages and not await reader.alive()):
                        break
        finally:
            await reader.close()


class Reader:
    """An ephemeral consumer: where it stands is ours to know, not the server's."""

    def __init__(self, bus: Bus, bng_id: str) -> None:
        self._bus, self._subject = bus, bus.data(bng_id)
        self._consumer = ""
        self._inbox: Subscription | None = None
        self._address = ""
        self._made = 0, 0.0  # by the server's clock, and by ours

    async def open(self, follower: Follower) -> None:
        """Make the consumer. Raises what nats-py does."""
        js = await self._bus.context()
        info = await js.stream_info(self._bus.config.stream)
        follower.resume(info.state.last_seq)
        wanted = api.ConsumerConfig(
            filter_subject=self._subject,
            ack_policy=api.AckPolicy.NONE,
            inactive_threshold=60,
            mem_storage=True,
            num_replicas=1,
        )
        place = follower.place
        if follower.anew and place.time_ns:
            wanted.deliver_policy = api.DeliverPolicy.BY_START_TIME
            # to the microsecond below; the follower skips what is not after its place
            wanted.opt_start_time = datetime.fromtimestamp(place.time_ns // 1000 / 1_000_000, UTC)
        elif follower.anew or not place.seq:
            wanted.deliver_policy = api.DeliverPolicy.ALL
        else:
            wanted.deliver_policy = api.DeliverPolicy.BY_START_SEQUENCE
            wanted.opt_start_seq = place.seq + 1
        made = await js.add_consumer(self._bus.config.stream, wanted)
        self._consumer = str(made.name)
        self._made = int(made.created.timestamp() * 1e9), time.monotonic()
        self._address = self._bus.client.new_inbox()
        self._inbox = await self._bus.client.subscribe(self._address)

    async def close(self) -> None:
        with suppress(Exception):
            if self._inbox:
                await self._inbox.unsubscribe()
            if self._consumer and self._bus.client:
                js = await self._bus.context()
                await js.delete_consumer(self._bus.config.stream, self._consumer)

    async def alive(self) -> bool:
        """Whether the server still has the consumer. Raises Unavailable."""
        async with translated():
            js = await self._bus.context()
            try:
                await js.consumer_info(self._bus.config.stream, self._consumer)
            except NotFoundError:
                return False
            return True

    async def batches(self, budget: Budget) -> AsyncGenerator[Batch, None]:
        """What comes, as long as the budget has room; an empty list after IDLE seconds of nothing.

        While a batch is worked on the next one is fetched, if more is waiting and the budget has room.
        """
        waiting, begun = 0, False
        ahead: asyncio.Task[tuple[list[Message], int]] | None = None
        try:
            while True:
                clock_ns = None
                if ahead is None:
                    await budget.wait()
                    fresh = begun and not waiting
                    found, waiting = await self._next(waiting)
                    if not begun:
                        clock_ns = self._made[0] + int((time.monotonic() - self._made[1]) * 1e9)
                    elif fresh and found:
                        clock_ns = found[0].time_ns  # it was waited for
                    begun = True
                else:
                    fetching, ahead = ahead, None
                    budget.give(MOST_FETCHED)
                    found, waiting = await fetching
                held = WEIGHT_RAW * sum(len(message.body) for message in found)
                budget.take(held)
                if waiting and budget.room:
                    budget.take(MOST_FETCHED)
                    ahead = asyncio.ensure_future(self._next(waiting))
                try:
                    yield Batch(found, waiting, clock_ns)
                finally:
                    budget.give(held)
        finally:
            if ahead:
                budget.give(MOST_FETCHED)
                ahead.cancel()
                await asyncio.gather(ahead, return_exceptions=True)

    async def _next(self, waiting: int) -> tuple[list[Message], int]:
        async with translated():
            if waiting:
                return await self._pull(min(waiting, MOST_MESSAGES), 0)
            return await self._pull(1, IDLE)

    async def _pull(self, most: int, patience: float) -> tuple[list[Message], int]:
        """At most so many messages, and how many are waiting behind them."""
        client = self._bus.client
        assert self._inbox
        request: dict[str, Any] = {"batch": most, "max_bytes": max(MOST_FETCHED, 2 * client.max_payload)}
        request.update({"expires": int(patience * 1e9)} if patience else {"no_wait": True})
        stream = self._bus.config.stream
        await client.publish(
            f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{self._consumer}",
            json.dumps(request).encode(),
            self._address,
        )
        found: list[Message] = []
        waiting = 0
        deadline = time.monotonic() + patience + TIMEOUT
        while len(found) < most:
            try:
                message = await self._bus.unless_broken(
                    self._inbox.next_msg(timeout=max(0.01, deadline - time.monotonic()))
                )
            except ConnectionError as error:
                raise Unavailable(f"NATS: {error}") from None
            except TimeoutError:
                raise Unavailable("NATS: the server is silent") from None
            if status := (message.headers or {}).get("Status"):
                if status == "100":
                    continue
                break  # no messages, time is over, octets are used up, or there is no such consumer
            where = message.metadata
            waiting = where.num_pending
            found.append(
                parse(message.headers, message.data, where.sequence.stream, _nanoseconds(message.reply))
            )
        return found, waiting


def _nanoseconds(reply: str) -> int:
    """When a message was stored, of the subject that acknowledges it: exact, which a datetime is not."""
    tokens = reply.split(".")
    try:
        return int(tokens[7] if len(tokens) == 9 else tokens[9])
    except (IndexError, ValueError):
        raise FormatError(f"a message without its time: {reply!r}") from None
