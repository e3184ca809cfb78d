"""One Subscribe RPC, from its first message to its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc

from telemetry.changes import ChangeSource
from telemetry.config_subscription import ConfigSubscription, parts_of_configuration
from telemetry.errors import EXPECTED, invalid, refusal
from telemetry.history import PastSource, history_of, parts_with_a_past
from telemetry.logs import LogSource
from telemetry.memory import OF_A_STREAM, Memory, StreamMemory
from telemetry.packing import SYNC_RESPONSE
from telemetry.plan import Feed, Part, Planner
from telemetry.protocol import gnmi_pb2 as pb
from telemetry.protocol.model import data_path
from telemetry.reach import Reach
from telemetry.reader import Look
from telemetry.requests import MALFORMED, NOT_PROTOBUF, Extras, check_encoding, models_of, prefix_of
from telemetry.sampler import Sampler
from telemetry.samples import SampleSource
from telemetry.source import Source
from telemetry.subscribe import Limits, Terms, terms
from yang.access import User
from yang.tree import Tree

MAXIMUM_SUBSCRIPTIONS_OF_A_LIST = 1000
_SLICE = 64
"""Sources that are started before other tasks get their turn."""


@dataclass(frozen=True, slots=True)
class Service:
    """What all streams share."""

    tree: Tree
    sampler: Sampler
    limits: Limits
    memory: Memory = field(default_factory=Memory)


class Stream:
    """Writes what one client subscribed to.

    Attributes:
        writing_since: monotonic time at which a write began that has not ended, else None. The
            server ends streams whose clients take nothing.
        user: who subscribed.
    """

    def __init__(self, service: Service, user: User, context: Any) -> None:
        self.writing_since: float | None = None
        self.user = user
        self._service = service
        self._context = context
        self._memory = StreamMemory(service.memory, user.name, OF_A_STREAM)
        self._wake = asyncio.Event()
        self._sources: list[Source] = []

    async def run(self) -> None:
        """Serve the client until one side ends. Raises Refused."""
        try:
            await self._serve()
        except EXPECTED as error:
            raise refusal(error) from None
        finally:
            for source in self._sources:
                source.close()

    async def _serve(self) -> None:
        first = await self._read()
        if first is grpc.aio.EOF or first.WhichOneof("request") != "subscribe":
            raise invalid("the first message of a Subscribe must hold a subscription list")
        asked = first.subscribe
        builder = Builder(self._service, self.user, self._memory, asked, first.extension)
        self._sources = await builder.sources()
        if asked.mode == pb.SubscriptionList.ONCE:
            await self._answer(asked.updates_only)
        elif asked.mode == pb.SubscriptionList.POLL:
            await self._poll(asked.updates_only)
        else:
            await self._stream(asked.updates_only)

    async def _answer(self, updates_only: bool) -> None:
        for source in self._sources if not updates_only else ():
            async for message in source.initial():
                await self._write(message)
        await self._write(SYNC_RESPONSE)

    async def _poll(self, updates_only: bool) -> None:
        """First what there is, as in the other modes; then all of it for each poll (3.5.1.2)."""
        await self._answer(updates_only)
        while (message := await self._read()) is not grpc.aio.EOF:
            if message.WhichOneof("request") != "poll":
                raise invalid("only polls may follow the subscription list")
            await self._answer(updates_only=False)

    async def _stream(self, updates_only: bool) -> None:
        reading = asyncio.ensure_future(self._refuse_more())
        reading.add_done_callback(lambda _: self._wake.set())
        try:
            for number, source in enumerate(self._sources, 1):
                source.start(self._wake.set)
                if number % _SLICE == 0:
                    await asyncio.sleep(0)
            for source in self._sources:
                async for message in source.skip() if updates_only else source.initial():
                    await self._write(message)
            self._memory.complete = True
            await self._write(SYNC_RESPONSE)
            while not (self._sources and all(source.ended for source in self._sources)):
                await self._turn(reading)
        finally:
            reading.cancel()

    async def _refuse_more(self) -> None:
        """A client may close its side, and need not; it may not subscribe to more."""
        if await self._read() is not grpc.aio.EOF:
            raise invalid("a stream has one subscription list; open another Subscribe for more")

    async def _turn(self, reading: asyncio.Future[None]) -> None:
        """Send what each source has, then wait until one has more."""
        self._wake.clear()
        now = time.monotonic_ns()
        for source in self._sources:
            for timer in source.timers:
                if timer.expired(now):
                    source.expired(timer)
            if source.ready:
                async for message in source.messages():
                    await self._write(message)
            if reading.done():
                reading.result()
        if not any(source.ready for source in self._sources):
            await self._wait()

    async def _wait(self) -> None:
        due = min((timer.due_at for source in self._sources for timer in source.timers), default=None)
        if due is None:
            await self._wake.wait()
            return
        delay = max(0, due - time.monotonic_ns()) / 1e9
        alarm = asyncio.get_running_loop().call_later(delay, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            alarm.cancel()

    async def _read(self) -> Any:
        """The client's next message, or EOF when it has closed its side."""
        message = await self._context.read()
        if message is MALFORMED:
            raise invalid(NOT_PROTOBUF)
        return message

    async def _write(self, message: bytes) -> None:
        self.writing_since = time.monotonic()
        await self._context.write(message)
        self.writing_since = None


class Builder:
    """Makes the sources of a subscription list."""

    def __init__(
        self,
        service: Service,
        user: User,
        memory: StreamMemory,
        asked: pb.SubscriptionList,
        extensions: Iterable[Any],
    ) -> None:
        self._service = service
        self._memory = memory
        self._asked = asked
        check_encoding(asked.encoding)
        if not asked.subscription:
            raise invalid("the subscription list is empty")
        if len(asked.subscription) > MAXIMUM_SUBSCRIPTIONS_OF_A_LIST:
            raise invalid(f"a list holds at most {MAXIMUM_SUBSCRIPTIONS_OF_A_LIST} subscriptions")
        if asked.mode not in (pb.SubscriptionList.STREAM, pb.SubscriptionList.ONCE, pb.SubscriptionList.POLL):
            raise invalid(f"mode {asked.mode} does not exist")
        extras = Extras.of(extensions)
        self._history = history_of(extras, asked.mode)
        self._config_only = extras.config_subscription
        self._user = user
        self._reach = Reach(extras.depth, models_of(service.tree.schema, asked.use_models))
        self._planner = Planner(service.tree, user, columns=asked.encoding == pb.PROTO, reach=self._reach)

    async def sources(self) -> list[Source]:
        """One for each part of each subscription. Raises Refused and what `refusal` knows.

        A path with wildcards may take tens of milliseconds, and a list holds many: others get their turn.
        """
        self._service.tree.check_exec("/ietf-netconf:get", self._user)  # what a Subscribe is in NETCONF
        found: list[Source] = []
        for subscription in self._asked.subscription:
            found.extend(self._of(subscription))
            await asyncio.sleep(0)
        if self._config_only and self._history is None:
            return [ConfigSubscription(self._service.tree.past, self._user.name, found)]
        return found

    def _of(self, subscription: pb.Subscription) -> Sequence[Source]:
        prefix = self._asked.prefix if self._asked.HasField("prefix") else None
        path = data_path(self._service.tree.schema, prefix, subscription.path)
        agreed = (
            terms(subscription, self._service.limits)
            if self._asked.mode == pb.SubscriptionList.STREAM
            else None
        )
        mode = agreed.mode if agreed is not None else None
        if self._history is not None:
            parts = parts_with_a_past(self._planner, path, mode, config_only=self._config_only)
        elif self._config_only:
            parts = parts_of_configuration(self._planner, path, mode)
        else:
            parts = self._planner.plan(path, mode)
        asked = prefix_of(self._asked)
        look = Look(
            self._service.tree,
            self._user,
            self._asked.encoding,
            self._asked.allow_aggregation,
            asked.origin or subscription.path.origin,
            asked.target,
            self._reach,
        )
        return [self._source(part, look, agreed) for part in parts]

    def _source(self, part: Part, look: Look, agreed: Terms | None) -> Source:
        if part.feed is Feed.LOG:
            return LogSource(part, look, self._history)
        if self._history is not None:
            return PastSource(part, look, self._memory, self._history, boundaries=self._config_only)
        sampled = part.feed in (Feed.COLUMNS, Feed.READ)
        suppressed = agreed is not None and agreed.suppress_redundant and part.feed is Feed.READ
        if sampled and not suppressed:
            columns = part.feed is Feed.COLUMNS
            return SampleSource(part, look, agreed, self._service.sampler, columns)
        if agreed is None:
            raise AssertionError(f"a single look has no part with the feed {part.feed}")
        interval = agreed.interval if sampled or part.feed is Feed.POLL else 0
        return ChangeSource(part, look, self._memory, interval=interval, heartbeat=agreed.heartbeat)
