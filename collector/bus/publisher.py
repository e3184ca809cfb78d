"""One BNG, as long as this publisher has its seat: what the BNG streams goes to the bus as it came."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc
import orjson
import structlog

from collector import decode, events, gaps, gnmi, link
from collector.budget import WINDOW_MOST, Budget
from collector.bus import chain, message
from collector.bus.chain import Chain
from collector.bus.jetstream import Bus, Refused, Unavailable
from collector.config import CollectorConfig, Target
from collector.metrics import BUS_OCTETS, BUS_PUBLISHED, TARGET_UP
from collector.session import EVENTS_PATH, HEALTH, MOST_MESSAGES, ROUTERS, Session, counters
from collector.writer import FencedError
from telemetry.protocol import gnmi_pb2

log = structlog.get_logger()

MOST_EVENTS = 64
"""Events in a message: few, as a writer joins what waits for it, and events that come steadily wait for it to
be full."""
HEAD = 256
"""Octets that are left for what is in front of samples."""
RETRY = 0.5
"""Seconds between attempts to publish while the bus is away."""


class Line:
    """Publishes one BNG's messages, one at a time, and knows of each what became of it."""

    def __init__(self, bus: Bus, bng_id: str, tenure: str) -> None:
        self._bus, self._bng_id = bus, bng_id
        self.chain = Chain(tenure)
        self._lock = asyncio.Lock()
        self._waiting = False

    @property
    def most(self) -> int:
        """Octets of a body that is one part."""
        return self._bus.most

    async def begin(self, owner: str) -> None:
        """Put our first message behind the last one: from then on the server refuses who was before us."""
        async with self._lock:
            while True:
                self.chain.follow(await self._last())
                made = self.chain.next(message.BEGIN, orjson.dumps({"owner": owner}), None, 1, 1)
                try:
                    self.chain.stored(await self._bus.publish(self._bng_id, made, self.chain.seq))
                    return
                except Refused:
                    continue  # the last owner's newest message
                except Unavailable as error:
                    await self._wait(error)

    async def send(self, kind: str, body: bytes, cursor: tuple[int, int] | None = None) -> None:
        """Publish; returns when the server has it, waits as long as the bus is away.

        Raises FencedError when another publisher has the BNG, ConnectionError when the chain is not where it
        was: what comes next is to be read from its cursor.
        """
        async with self._lock:
            if self.chain.pending:  # its sender was cancelled
                await self._settle()
                self.chain.pending = None
            for part, parts, octets in chain.parts(body, self._bus.most):
                await self._one(kind, octets, cursor if part == parts else None, part, parts)
        BUS_PUBLISHED.labels(self._bng_id, kind).inc()
        BUS_OCTETS.labels(self._bng_id).inc(len(body))

    async def _one(
        self, kind: str, body: bytes, cursor: tuple[int, int] | None, part: int, parts: int
    ) -> None:
        made = self.chain.next(kind, body, cursor, part, parts)
        while True:
            try:
                self.chain.stored(await self._bus.publish(self._bng_id, made, self.chain.seq))
            except Refused:
                await asyncio.sleep(0.01)
            except Unavailable as error:
                await self._wait(error)
            else:
                break
            if await self._settle() == chain.STORED:
                break
        if self._waiting:
            self._waiting = False
            log.info("collector.bus-back", bng_id=self._bng_id)

    async def _settle(self) -> str:
        verdict = self.chain.settle(await self._last())
        if verdict == chain.TAKEN:
            raise FencedError
        if verdict == chain.BACK:
            log.warning("collector.bus-went-back", bng_id=self._bng_id, seq=self.chain.cursor[0])
            raise ConnectionError("the bus has lost messages that it had acknowledged; reading again")
        return verdict

    async def _last(self) -> message.Message | None:
        while True:
            try:
                return await self._bus.last(self._bng_id)
            except Unavailable as error:
                await self._wait(error)

    async def _wait(self, error: Unavailable) -> None:
        if not self._waiting:
            self._waiting = True
            log.warning("collector.bus-unavailable", bng_id=self._bng_id, error=str(error))
        await asyncio.sleep(RETRY)


class Publishing(Session):
    """Reads from one BNG as `Session` does, and publishes. `run` raises FencedError when another has it."""

    def __init__(
        self,
        config: CollectorConfig,
        target: Target,
        line: Line,
        budget: Budget | None = None,
        window: int = WINDOW_MOST,
    ) -> None:
        super().__init__(config, target, 0, budget, window)
        self.line = line
        self.log = log.bind(bng_id=target.bng_id, tenure=line.chain.tenure)
        self._wished = asyncio.Event()
        self._rewind: tuple[int, int] | None = None
        self._served: object = None
        self._streams = 0
        self._asked = asyncio.Event()
        self._told = b""

    def wish(self, told: dict[str, Any]) -> None:
        """A writer lacks the state: say it again. Or it lacks events: read them again from its cursor; the
        same wish is served once."""
        if told.get("state") is True:
            self._asked.set()
        wanted = told.get("seq"), told.get("time_ns")
        known = all(type(number) is int and 0 <= number <= decode.MAX_BIGINT for number in wanted)
        if told.get("wish") == self._served or not known:
            return
        self._served, self._rewind = told.get("wish"), wanted  # type: ignore[assignment]
        self._wished.set()

    async def run(self) -> None:
        await self.line.begin(self.config.owner)
        await super().run()

    async def say(self, up: bool, error: str | None, **columns: Any) -> None:
        """The state of the target, for writers to put on record."""
        TARGET_UP.labels(self.name).set(up)
        told = {
            "state": "up" if up else "down",
            "error": error,
            "owner": self.config.owner,
            "columns": {"gnmi_address": self.target.address, **columns},
        }
        self._told = orjson.dumps({**told, "again": True})
        try:
            await self.line.send(message.STATE, orjson.dumps(told))
            self._asked.clear()
        except ConnectionError as problem:
            self.log.warning("collector.state-not-written", error=str(problem))

    async def say_again(self) -> None:
        """The state, when a writer lacks it. Goes on for ever."""
        while True:
            await self._asked.wait()
            await self.line.send(message.STATE, self._told)
            self._asked.clear()
            await asyncio.sleep(RETRY)  # not as often as somebody asks

    async def removed(self) -> None:
        """The target is no longer configured. Raises FencedError, ConnectionError."""
        told = {
            "state": "removed",
            "error": "no longer configured",
            "owner": self.config.owner,
            "columns": {},
        }
        await self.line.send(message.STATE, orjson.dumps(told))

    async def connected(self) -> None:
        """Three streams into one line, and what writers ask for."""
        self._served = None  # the line may have lost what was wished for
        client = self.client()
        try:
            await client.capabilities()
            identity = await self._identity(client)
            await self.say(True, None, **identity)
            self.log.info("collector.connected", address=self.target.address, **identity)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._events_again(client))
                group.create_task(self.publish_samples(client))
                group.create_task(self._publish_condition(client))
                group.create_task(self.say_again())
        finally:
            await client.close()

    async def publish_samples(self, client: gnmi.Client) -> None:
        """Goes on until something breaks. Nothing is decoded; what says that a tick is whole is passed
        on, too."""
        self._streams += 1
        stream, number = f"{self.line.chain.tenure}/{self._streams}", 0
        async for batch in client.batches(
            counters(self.config.sample_interval), most=MOST_MESSAGES, quiet=0.2
        ):
            for group in message.groups(batch, self.line.most - HEAD):
                number += 1
                head = orjson.dumps({"stream": stream, "number": number})
                await self.line.send(message.SAMPLES, message.pack([head, *group]))
        raise ConnectionError("the BNG ended the stream")

    async def _publish_condition(self, client: gnmi.Client) -> None:
        """Health and routers, as they came."""
        interval = self.config.sample_interval
        request = gnmi.stream(gnmi.sampled(HEALTH, interval), gnmi.sampled(ROUTERS, max(interval, 10)))
        async for batch in client.batches(request, most=MOST_MESSAGES, quiet=0.2):
            for group in message.groups(batch, self.line.most):
                await self.line.send(message.CONDITION, message.pack(group))
        raise ConnectionError("the BNG ended the stream")

    # -- events ---------------------------------------------------------------------------------------

    async def _events_again(self, client: gnmi.Client) -> None:
        """Read the journal; from another place when a writer wishes so."""
        while True:
            reading = asyncio.create_task(self._journal(client))
            wished = asyncio.create_task(self._wished.wait())
            try:
                await asyncio.wait({reading, wished}, return_when=asyncio.FIRST_COMPLETED)
                if reading.done():
                    reading.result()
            finally:
                for task in (reading, wished):
                    task.cancel()
                await asyncio.gather(reading, wished, return_exceptions=True)

    async def _journal(self, client: gnmi.Client) -> None:
        if self._rewind is not None:
            cursor, self._rewind = self._rewind, None
            self._wished.clear()
            self.log.warning("collector.bus-rewound", seq=cursor[0])
        else:
            cursor = self.line.chain.cursor
        tracker = gaps.Tracker(*cursor)
        subscription = gnmi_pb2.Subscription(path=EVENTS_PATH, mode=gnmi_pb2.ON_CHANGE)
        request = gnmi.stream(subscription, since_ns=tracker.time_ns)
        try:
            batches = client.batches(request, most=MOST_EVENTS, quiet=0.02, weight=gnmi.WEIGHT_DECODED)
            async for batch in batches:
                if not await self._event_octets(tracker, batch):
                    await self._send_baseline(client, "the journal began anew or has a hole")
                    return
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.DATA_LOSS:
                raise
            await self._send_baseline(client, "the journal no longer holds these events")
            return
        raise ConnectionError("the BNG ended the stream")

    async def _event_octets(self, tracker: gaps.Tracker, batch: Sequence[bytes]) -> bool:
        """Publish what follows; False when something is missing before the next event."""
        fresh: list[bytes] = []
        whole = True
        for octets in batch:
            response = gnmi_pb2.SubscribeResponse.FromString(octets)
            event = events.read(response.update) if response.HasField("update") else None
            if event is None:
                continue
            verdict = tracker.judge(event.seq, event.time_ns)
            if verdict == gaps.BROKEN:
                whole = False
                break
            if verdict == gaps.NEXT:
                fresh.append(octets)
        if fresh:
            await self.line.send(message.EVENTS, message.pack(fresh), (tracker.seq, tracker.time_ns))
        return whole

    async def _send_baseline(self, client: gnmi.Client, reason: str) -> None:
        """What is there now, in place of the events that are missing."""
        oldest, after = 1, self.line.chain.cursor[0]
        for notification in await client.get(gnmi.path("aether-events:events", "journal")):
            for _, leaves in decode.entries(notification, below="journal"):
                oldest = decode.integer(leaves.get("oldest-seq")) or oldest
        told = [orjson.dumps({"oldest": oldest, "reason": reason})]
        async for notification in client.once(gnmi.path("aether-subscriber:sessions", "session")):
            told.append(notification.SerializeToString())
        await self.line.send(message.BASELINE, message.pack(told), (oldest - 1, 0))
        self.log.warning("collector.bus-baseline", after=after, oldest=oldest, reason=reason)
        await asyncio.sleep(link.RETRY_FIRST)
