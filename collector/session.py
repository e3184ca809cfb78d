"""One BNG, as long as this collector owns it: samples and events, each from its stream into its tables."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any

import asyncpg
import grpc

from collector import (
    apart,
    clock,
    copyformat,
    decode,
    events,
    gaps,
    gnmi,
    link,
    metrics,
    rejected,
    template,
    ticks,
    writer,
)
from collector.budget import WINDOW_MOST, Budget
from collector.config import CollectorConfig, Target
from collector.metrics import EVENTS, SAMPLES
from collector.store import Store
from telemetry.protocol import gnmi_pb2

COUNTERS = gnmi.path("aether-subscriber:sessions", "session", "counters")
EVENTS_PATH = gnmi.path("aether-events:events", "event")
HEALTH = gnmi.path("aether-health:health")
ROUTERS = gnmi.path("aether-access-router:access-routers")
INSTANCE = gnmi.path("aether-bng:bng", "identity", "instance-id")
"""Sampled behind the counters, in the same stream: it says that the tick before it is whole. A BNG sends what
one subscription is due before it looks at the next."""

MOST_EVENTS = 500
MOST_MESSAGES = 256


CLOCK_AHEAD, CLOCK_BEHIND = 60.0, 300.0
"""Seconds that the time of a sample may differ from PostgreSQL's when it is read. One of a clock that is
further off gets PostgreSQL's time: samples beyond the partitions could not be kept, and the past would be
counted into the future."""


def near(time_ns: int, now: int) -> bool:
    """Whether a BNG's time is to be taken as it is."""
    return -CLOCK_BEHIND <= (time_ns - now) / 1e9 <= CLOCK_AHEAD


def counters(interval: float) -> gnmi_pb2.SubscribeRequest:
    """All counters every `interval` seconds, and what says that a tick is whole."""
    return gnmi.stream(gnmi.sampled(COUNTERS, interval), gnmi.sampled(INSTANCE, interval))


def merge(live: dict[str, dict[str, Any]], notification: gnmi_pb2.Notification) -> str:
    """Add what a notification tells of sessions; what belongs to one of them may come in several.

    Returns why something of it could not be read: of such a session no more is known than that it is there.
    """
    trouble = ""
    try:
        for path, leaves in decode.entries(notification, below="session"):
            known = live.setdefault(path[-1][1].get("id", ""), {})
            try:
                found = decode.session(leaves)
            except decode.DecodeError as error:
                trouble = str(error)
                continue
            known.update({name: leaf for name, leaf in found.items() if leaf is not None})
    except decode.DecodeError as error:
        trouble = str(error)
    return trouble


def condition(batch: Sequence[gnmi_pb2.Notification]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The leaves of health, and those of each access router."""
    health: dict[str, Any] = {}
    routers: dict[str, dict[str, Any]] = {}
    for notification in batch:
        for _, leaves in decode.entries(notification, below="health"):
            health.update(leaves)
        for below in ("access-router", "discovered"):
            for path, leaves in decode.entries(notification, below=below):
                row = {**path[-1][1], **leaves}
                routers.setdefault(f"{below}:{sorted(path[-1][1].values())}", {"_": below}).update(row)
    return health, routers


class Session(link.Link):
    """Collects from one BNG."""

    def __init__(
        self,
        config: CollectorConfig,
        target: Target,
        epoch: int,
        budget: Budget | None = None,
        window: int = WINDOW_MOST,
        store: Store | None = None,
    ) -> None:
        super().__init__(config, target, target.bng_id, epoch, budget, window, store)
        self.target = target
        self._reader = template.Reader()
        self._clock_off = False
        self._stamped: tuple[int, int, int] | None = None

    async def said(self, connection: asyncpg.Connection, up: bool, error: str | None, **columns: Any) -> None:
        """The row of `bngs`."""
        if up:
            columns["connected_since"] = columns["last_seen"] = await clock.ask(connection)
        state = "connected" if up else "unreachable"
        await writer.write_state(
            connection, self.name, state=state, error=error, gnmi_address=self.target.address, **columns
        )

    async def connected(self) -> None:
        """Three streams."""
        client = self.client()
        try:
            await client.capabilities()
            identity = await self._identity(client)
            await self.say(True, None, **identity)
            self.log.info("collector.connected", address=self.target.address, **identity)
            async with asyncio.TaskGroup() as group:
                for stream in (self._events, self._samples, self._condition):
                    group.create_task(self._until_ended(stream(client)))
        finally:
            await client.close()

    @staticmethod
    async def _until_ended(stream: Coroutine[Any, Any, None]) -> None:
        await stream
        raise ConnectionError("the BNG ended the stream")

    async def _identity(self, client: gnmi.Client) -> dict[str, str]:
        found: dict[str, str] = {}
        for notification in await client.get(gnmi.path("aether-bng:bng", "identity")):
            for _, leaves in decode.entries(notification, below="identity"):
                for name in ("instance-id", "version"):
                    if leaves.get(name):
                        found[name.replace("-", "_")] = leaves[name]
        return found

    # -- events ---------------------------------------------------------------------------------------

    async def _events(self, client: gnmi.Client) -> None:
        async with self.store.borrow() as connection:
            cursor = await connection.fetchrow(
                # waits for what a stream that broke off is just committing
                "SELECT seq, time_ns FROM cursors WHERE bng_id = $1 AND epoch = $2 FOR UPDATE",
                self.target.bng_id,
                self.epoch,
            )
        if cursor is None:
            raise writer.FencedError
        tracker = gaps.Tracker(cursor["seq"], cursor["time_ns"])
        subscription = gnmi_pb2.Subscription(path=EVENTS_PATH, mode=gnmi_pb2.ON_CHANGE)
        request = gnmi.stream(subscription, since_ns=tracker.time_ns)
        try:
            async for batch in client.notifications(request, most=MOST_EVENTS, quiet=0.02):
                await self._event_batch(client, tracker, batch)
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.DATA_LOSS:
                raise
            await self._start_over(client, tracker, "the journal no longer holds these events")

    async def _event_batch(
        self,
        client: gnmi.Client,
        tracker: gaps.Tracker,
        batch: Sequence[gnmi_pb2.Notification],
    ) -> None:
        fresh: list[events.Entry] = []
        size = sum(notification.ByteSize() for notification in batch)
        for event in await apart.decoded(size, lambda: list(map(events.read, batch))):
            verdict = tracker.judge(event.seq, event.time_ns) if event else gaps.KNOWN
            if verdict == gaps.BROKEN:
                if fresh:
                    await self._write_fresh(fresh)
                await self._start_over(client, tracker, "the journal began anew or has a hole")
                return
            if verdict == gaps.NEXT and event:
                fresh.append(event)
        if fresh:
            await self._write_fresh(fresh)

    async def _write_fresh(self, fresh: Sequence[events.Entry]) -> None:
        async with self.store.borrow() as connection:
            await self._write_events(connection, fresh)

    async def _write_events(self, connection: asyncpg.Connection, fresh: Sequence[events.Entry]) -> None:
        with metrics.writing("events"):
            refused = await rejected.write_events(connection, (self.name, self.epoch), fresh)
        EVENTS.labels(self.name).inc(len(fresh) - refused)
        metrics.committed(self.name, "events", fresh[-1].time_ns)

    async def _start_over(self, client: gnmi.Client, tracker: gaps.Tracker, reason: str) -> None:
        """Baseline from what is there, record what is missing, read the journal from its oldest event."""
        oldest = 1
        for notification in await client.get(gnmi.path("aether-events:events", "journal")):
            for _, leaves in decode.entries(notification, below="journal"):
                oldest = decode.integer(leaves.get("oldest-seq")) or oldest
        live: dict[str, dict[str, Any]] = {}
        async for notification in client.once(gnmi.path("aether-subscriber:sessions", "session")):
            self._baseline_trouble(merge(live, notification))
        lost = (tracker.seq + 1, max(tracker.seq + 1, oldest - 1))
        async with self.store.borrow() as connection:
            await self._rebaseline(connection, oldest, live, lost, reason)
        raise ConnectionError(f"{reason}; subscribing anew")

    def _baseline_trouble(self, trouble: str) -> None:
        if trouble:
            self.log.error("collector.session-rejected", reason=trouble)

    async def _rebaseline(
        self,
        connection: asyncpg.Connection,
        oldest: int,
        live: dict[str, dict[str, Any]],
        lost: tuple[int, int],
        reason: str,
    ) -> None:
        more = {"cursor": (oldest - 1, 0), "lost": lost, "reason": reason}
        await rejected.rebaseline(connection, (self.name, self.epoch), live, **more)
        metrics.GAPS.labels(self.name, "events").inc()
        self.log.warning("collector.gap", first=lost[0], last=lost[1], reason=reason)

    # -- samples --------------------------------------------------------------------------------------

    async def _samples(self, client: gnmi.Client) -> None:
        encoder = copyformat.SampleEncoder(self.target.bng_id)
        request = counters(self.config.sample_interval)
        async with self.store.borrow() as connection:
            cutter = ticks.Ticks(await writer.newest_tick(connection, (self.name, self.epoch)))
        pace = gaps.Pace()
        writing: asyncio.Task[None] | None = None
        # what was read is decoded while what was read before is written; a write that fails ends both
        async with asyncio.TaskGroup() as group:
            try:
                async for batch in client.batches(request, most=MOST_MESSAGES, quiet=0.2):
                    found = await self._read(batch, await self.store.clock.now_ns())
                    parts = cutter.take(found, more=len(batch) == MOST_MESSAGES)
                    if parts:
                        seen = [(part, self._seen(pace, part)) for part in parts]
                        if writing:
                            await asyncio.wait([writing])
                        writing = group.create_task(self._write_parts(encoder, seen))
            except (grpc.aio.AioRpcError, decode.DecodeError):
                if writing:  # what came before the end of the stream is kept
                    await asyncio.wait([writing])
                raise

    @staticmethod
    def _seen(pace: gaps.Pace, part: ticks.Part) -> float:
        return pace.seen(part.samples.tick, time.monotonic()) if part.samples else 0.0

    async def _write_parts(
        self, encoder: copyformat.SampleEncoder, parts: Sequence[tuple[ticks.Part, float]]
    ) -> None:
        found = [part.samples for part, _ in parts if part.samples]
        rows = sum(len(samples.sessions) for samples in found)
        self.budget.take(rows * copyformat.OCTETS_PER_ROW)
        try:
            async with self.store.borrow() as connection:
                with metrics.writing("samples"):
                    owner, interval = (self.name, self.epoch), self.config.sample_interval
                    await writer.write_samples(connection, encoder, owner, parts, interval)
        finally:
            self.budget.give(rows * copyformat.OCTETS_PER_ROW)
        if found:
            SAMPLES.labels(self.name).inc(rows)
            metrics.committed(self.name, "samples", found[-1].time_ns)

    async def _read(self, batch: Sequence[bytes], now: int) -> list[template.Samples | None]:
        """The samples of each message, None where it has none."""
        found: list[template.Samples | None] = []
        for message in batch:
            size = 0 if self._reader.knows(message) else len(message)
            samples = await apart.decoded(size, partial(self._reader.read, message))
            found.append(samples and self._in_time(samples, now))
            if not self._reader.known:
                # a layout takes milliseconds to learn: no transaction of others shall wait for many
                await asyncio.sleep(0)
        return found

    def _in_time(self, samples: template.Samples, now: int) -> template.Samples:
        """The samples with PostgreSQL's time, `now`, where the BNG's clock is off."""
        ahead = (samples.time_ns - now) / 1e9
        off = not near(samples.time_ns, now)
        if off != self._clock_off:
            self._clock_off = off
            if off:
                self.log.warning("collector.clock-off", seconds_ahead=round(ahead))
            else:
                self.log.info("collector.clock-right")
        if not off:
            return samples
        told, stamped = (samples.time_ns, samples.tick), self._stamped
        if stamped is None or told[0] != stamped[0] or told[1] > stamped[1]:
            # one time for all messages of a tick; another one for the next, also of a clock that stands still
            self._stamped = stamped = *told, now
        return dataclasses.replace(samples, time_ns=stamped[2])

    async def _condition(self, client: gnmi.Client) -> None:
        """Health and access routers."""
        request = gnmi.stream(
            gnmi.sampled(HEALTH, self.config.sample_interval),
            gnmi.sampled(ROUTERS, max(self.config.sample_interval, 10)),
        )
        async for batch in client.notifications(request, most=MOST_MESSAGES, quiet=0.2):
            now = await self.store.clock.now_ns()
            try:
                async with self.store.borrow() as connection:
                    await self._write_condition(connection, batch, now)
            except rejected.REFUSED as error:  # the next report is a better one
                self.log.error("collector.condition-rejected", reason=str(error) or repr(error))

    async def _write_condition(
        self, connection: asyncpg.Connection, batch: Sequence[gnmi_pb2.Notification], now: int
    ) -> None:
        """`now` is PostgreSQL's time of when the batch came."""
        size = sum(notification.ByteSize() for notification in batch)
        health, routers = await apart.decoded(size, lambda: condition(batch))
        if health:
            told = batch[-1].timestamp
            at = decode.stamp(told if near(told, now) else now)
            with metrics.writing("health"):
                row, seen = decode.health(health), decode.stamp(now)
                await writer.write_health(connection, self.target.bng_id, at, row, seen)
        if routers:
            rows = [
                decode.router(row, configured=row.pop("_") == "access-router") for row in routers.values()
            ]
            with metrics.writing("routers"):
                await writer.write_routers(
                    connection, self.target.bng_id, [row for row in rows if row["remote_id"]]
                )
