"""One BNG, as long as this collector owns it: samples and events, each from its stream into its tables."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import asyncpg
import grpc
import numpy as np

from collector import decode, gaps, gnmi, link, metrics, template, writer
from collector.budget import WINDOW_MOST, Budget
from collector.config import CollectorConfig, Target
from collector.metrics import EVENTS, SAMPLES
from telemetry.protocol import gnmi_pb2

COUNTERS = gnmi.path("aether-subscriber:sessions", "session", "counters")
EVENTS_PATH = gnmi.path("aether-events:events", "event")
HEALTH = gnmi.path("aether-health:health")
ROUTERS = gnmi.path("aether-access-router:access-routers")

MOST_EVENTS = 500
MOST_MESSAGES = 256


CLOCK_AHEAD, CLOCK_BEHIND = 60.0, 300.0
"""Seconds that the time of a sample may differ from ours when it is read. One of a clock that is further
off gets our time: samples beyond the partitions could not be kept, and the past would be counted into the
future."""


def _by_tick(found: Sequence[template.Samples]) -> Iterator[template.Samples]:
    """Messages of one tick joined, in order of time. A tick may come in many messages."""
    for time_ns, group in groupby(found, key=lambda samples: samples.time_ns):
        parts = list(group)
        sessions = [session for part in parts for session in part.sessions]
        yield template.Samples(time_ns, sessions, np.concatenate([part.values for part in parts]))


class Session(link.Link):
    """Collects from one BNG."""

    def __init__(
        self,
        config: CollectorConfig,
        target: Target,
        epoch: int,
        budget: Budget | None = None,
        window: int = WINDOW_MOST,
    ) -> None:
        super().__init__(config, target, target.bng_id, epoch, budget, window)
        self.target = target
        self._clock_off = False
        self._stamped = 0, 0

    async def said(self, connection: asyncpg.Connection, up: bool, error: str | None, **columns: Any) -> None:
        """The row of `bngs`."""
        state = "connected" if up else "unreachable"
        await writer.write_state(
            connection, self.name, state=state, error=error, gnmi_address=self.target.address, **columns
        )

    async def connected(self) -> None:
        """Three streams, each with a connection to the database of its own."""
        client = self.client()
        try:
            await client.capabilities()
            identity = await self._identity(client)
            now = datetime.now(UTC)
            await self.say(True, None, connected_since=now, last_seen=now, **identity)
            self.log.info("collector.connected", address=self.target.address, **identity)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._with_database(client, self._events))
                group.create_task(self._with_database(client, self._samples))
                group.create_task(self._with_database(client, self._condition))
        finally:
            await client.close()

    async def _with_database(self, client: gnmi.Client, work: Any) -> None:
        connection = await self.database()
        try:
            await writer.prepare(connection)
            await work(client, connection)
            raise ConnectionError("the BNG ended the stream")
        finally:
            connection.terminate()

    async def _identity(self, client: gnmi.Client) -> dict[str, str]:
        found: dict[str, str] = {}
        for notification in await client.get(gnmi.path("aether-bng:bng", "identity")):
            for _, leaves in decode.entries(notification, below="identity"):
                for name in ("instance-id", "version"):
                    if leaves.get(name):
                        found[name.replace("-", "_")] = leaves[name]
        return found

    # -- events ---------------------------------------------------------------------------------------

    async def _events(self, client: gnmi.Client, connection: asyncpg.Connection) -> None:
        cursor = await connection.fetchrow(
            "SELECT seq, time_ns FROM cursors WHERE bng_id = $1 AND epoch = $2",
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
                await self._event_batch(client, connection, tracker, batch)
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.DATA_LOSS:
                raise
            await self._start_over(client, connection, tracker, "the journal no longer holds these events")

    async def _event_batch(
        self,
        client: gnmi.Client,
        connection: asyncpg.Connection,
        tracker: gaps.Tracker,
        batch: Sequence[gnmi_pb2.Notification],
    ) -> None:
        fresh: list[dict[str, Any]] = []
        for notification in batch:
            event = decode.event(notification)
            verdict = tracker.judge(event["seq"], event["time_ns"]) if event else gaps.KNOWN
            if verdict == gaps.BROKEN:
                if fresh:
                    await self._write_events(connection, fresh)
                await self._start_over(client, connection, tracker, "the journal began anew or has a hole")
                return
            if verdict == gaps.NEXT and event:
                fresh.append(event)
        if fresh:
            await self._write_events(connection, fresh)

    async def _write_events(self, connection: asyncpg.Connection, events: list[dict[str, Any]]) -> None:
        with metrics.writing("events"):
            await writer.write_events(connection, self.target.bng_id, self.epoch, events)
        EVENTS.labels(self.target.bng_id).inc(len(events))
        metrics.committed(self.target.bng_id, "events", events[-1]["time_ns"])

    async def _start_over(
        self, client: gnmi.Client, connection: asyncpg.Connection, tracker: gaps.Tracker, reason: str
    ) -> None:
        """Baseline from what is there, record what is missing, read the journal from its oldest event."""
        oldest = 1
        for notification in await client.get(gnmi.path("aether-events:events", "journal")):
            for _, leaves in decode.entries(notification, below="journal"):
                oldest = decode.integer(leaves.get("oldest-seq")) or oldest
        live = {}
        for notification in await client.get(gnmi.path("aether-subscriber:sessions", "session")):
            for path, leaves in decode.entries(notification, below="session"):
                live[path[-1][1]["id"]] = decode.session(leaves)
        lost = (tracker.seq + 1, max(tracker.seq + 1, oldest - 1))
        await writer.rebaseline(
            connection,
            self.target.bng_id,
            self.epoch,
            cursor=(oldest - 1, 0),
            live=live,
            lost=lost,
            reason=reason,
        )
        metrics.GAPS.labels(self.target.bng_id, "events").inc()
        self.log.warning("collector.gap", first=lost[0], last=lost[1], reason=reason)
        raise ConnectionError(f"{reason}; subscribing anew")

    # -- samples --------------------------------------------------------------------------------------

    async def _samples(self, client: gnmi.Client, connection: asyncpg.Connection) -> None:
        encoder = writer.SampleEncoder(self.target.bng_id)
        reader = template.Reader()
        request = gnmi.stream(gnmi.sampled(COUNTERS, self.config.sample_interval))
        owner = self.target.bng_id, self.epoch
        pace = gaps.Pace()
        open_tick: list[template.Samples] = []
        async for batch in client.batches(request, most=MOST_MESSAGES, quiet=0.2):
            now = time.time_ns()
            found = [self._in_time(samples, now) for message in batch if (samples := reader.read(message))]
            ticks = list(_by_tick([*open_tick, *found]))
            # a full batch may end within a tick: what began is written with the rest of it
            open_tick = [ticks.pop()] if len(ticks) > 1 and len(batch) == MOST_MESSAGES else []
            for tick in ticks:
                seen = pace.seen(int(tick.values[:, 0].max()), time.monotonic())
                with metrics.writing("samples"):
                    await writer.write_samples(
                        connection, encoder, owner, tick, self.config.sample_interval, seen
                    )
                SAMPLES.labels(self.target.bng_id).inc(len(tick.sessions))
                metrics.committed(self.target.bng_id, "samples", tick.time_ns)

    def _in_time(self, samples: template.Samples, now: int) -> template.Samples:
        """The samples with our time where the BNG's clock is off."""
        ahead = (samples.time_ns - now) / 1e9
        off = not -CLOCK_BEHIND <= ahead <= CLOCK_AHEAD
        if off != self._clock_off:
            self._clock_off = off
            if off:
                self.log.warning("collector.clock-off", seconds_ahead=round(ahead))
            else:
                self.log.info("collector.clock-right")
        if not off:
            return samples
        if samples.time_ns != self._stamped[0]:
            self._stamped = samples.time_ns, now  # one time for all messages of a tick
        return dataclasses.replace(samples, time_ns=self._stamped[1])

    async def _condition(self, client: gnmi.Client, connection: asyncpg.Connection) -> None:
        """Health and access routers."""
        request = gnmi.stream(
            gnmi.sampled(HEALTH, self.config.sample_interval),
            gnmi.sampled(ROUTERS, max(self.config.sample_interval, 10)),
        )
        async for batch in client.notifications(request, most=MOST_MESSAGES, quiet=0.2):
            await self._write_condition(connection, batch, datetime.now(UTC))

    async def _write_condition(
        self, connection: asyncpg.Connection, batch: Sequence[gnmi_pb2.Notification], seen: datetime
    ) -> None:
        health: dict[str, Any] = {}
        routers: dict[str, dict[str, Any]] = {}
        for notification in batch:
            for _, leaves in decode.entries(notification, below="health"):
                health.update(leaves)
            for below in ("access-router", "discovered"):
                for path, leaves in decode.entries(notification, below=below):
                    row = {**path[-1][1], **leaves}
                    routers.setdefault(f"{below}:{sorted(path[-1][1].values())}", {"_": below}).update(row)
        if health:
            at = datetime.fromtimestamp(batch[-1].timestamp / 1e9, UTC)
            with metrics.writing("health"):
                await writer.write_health(connection, self.target.bng_id, at, decode.health(health))
            await writer.write_state(connection, self.target.bng_id, last_seen=seen)
        if routers:
            rows = [
                decode.router(row, configured=row.pop("_") == "access-router") for row in routers.values()
            ]
            with metrics.writing("routers"):
                await writer.write_routers(
                    connection, self.target.bng_id, [row for row in rows if row["remote_id"]]
                )
