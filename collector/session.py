"""One BNG, as long as this collector owns it: samples and events, each from its stream into its tables."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import asyncpg
import grpc
import numpy as np
import structlog

from collector import decode, gaps, gnmi, lease, metrics, template, writer
from collector.config import CollectorConfig, Target
from collector.metrics import EVENTS, RECONNECTS, SAMPLES
from telemetry.protocol import gnmi_pb2

log = structlog.get_logger()

COUNTERS = gnmi.path("aether-subscriber:sessions", "session", "counters")
EVENTS_PATH = gnmi.path("aether-events:events", "event")
HEALTH = gnmi.path("aether-health:health")
ROUTERS = gnmi.path("aether-access-router:access-routers")

MOST_EVENTS = 500
MOST_MESSAGES = 256


RETRY_FIRST, RETRY_MOST = 0.5, 10.0
"""Seconds between attempts to connect: doubled from the first to the most."""

EXPECTED = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, decode.DecodeError)


def _by_tick(found: Sequence[template.Samples]) -> Iterator[template.Samples]:
    """Messages of one tick joined, in order of time. A tick may come in many messages."""
    for time_ns, group in groupby(found, key=lambda samples: samples.time_ns):
        parts = list(group)
        sessions = [session for part in parts for session in part.sessions]
        yield template.Samples(time_ns, sessions, np.concatenate([part.values for part in parts]))


def _leaves(problem: BaseException) -> Iterator[BaseException]:
    if isinstance(problem, BaseExceptionGroup):
        for inner in problem.exceptions:
            yield from _leaves(inner)
    else:
        yield problem


class Session:
    """Collects from one target under one lease. `run` goes on until it is cancelled or fenced off."""

    def __init__(self, config: CollectorConfig, target: Target, epoch: int) -> None:
        self.config, self.target, self.epoch = config, target, epoch
        self.log = log.bind(bng_id=target.bng_id, epoch=epoch)

    async def run(self) -> None:
        """Connect, collect, and connect again after whatever breaks. Raises FencedError."""
        clock = asyncio.get_running_loop().time
        delay = RETRY_FIRST
        while True:
            began = clock()
            try:
                await self._connected()
                error = "the BNG ended the stream"
            except Exception as problem:
                error = self._why(problem)
            RECONNECTS.labels(self.target.bng_id).inc()
            metrics.TARGET_UP.labels(self.target.bng_id).set(0)
            self.log.warning("collector.disconnected", error=error, retry_in=delay)
            await self._say("unreachable", error)
            await asyncio.sleep(delay)
            delay = RETRY_FIRST if clock() - began > 30 else min(delay * 2, RETRY_MOST)

    def _why(self, problem: Exception) -> str:
        """What broke, for a person. Raises FencedError if that is among it; a defect is logged whole."""
        causes = list(_leaves(problem))
        if any(isinstance(cause, writer.FencedError) for cause in causes):
            metrics.FENCED.inc()
            raise writer.FencedError from None
        for cause in causes:
            if isinstance(cause, grpc.aio.AioRpcError):
                return f"{cause.code().name}: {cause.details()}"
        if not all(isinstance(cause, EXPECTED) for cause in causes):
            self.log.error("collector.defect", exc_info=problem)
        return "; ".join(str(cause) or type(cause).__name__ for cause in causes)

    async def _say(self, state: str, error: str | None, **columns: Any) -> None:
        """Put the state of this target on record, if the database is there."""
        try:
            connection = await asyncpg.connect(self.config.database, timeout=5)
            try:
                await writer.write_state(
                    connection,
                    self.target.bng_id,
                    state=state,
                    error=error,
                    gnmi_address=self.target.address,
                    **columns,
                )
            finally:
                await connection.close()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as problem:
            self.log.warning("collector.state-not-written", error=str(problem))

    async def _connected(self) -> None:
        client = gnmi.Client(self.target)
        try:
            await client.capabilities()
            identity = await self._identity(client)
            now = datetime.now(UTC)
            await self._say("connected", None, connected_since=now, last_seen=now, **identity)
            metrics.TARGET_UP.labels(self.target.bng_id).set(1)
            self.log.info("collector.connected", address=self.target.address, **identity)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._with_database(client, self._events))
                group.create_task(self._with_database(client, self._samples))
                group.create_task(self._with_database(client, self._condition))
        finally:
            await client.close()

    async def _with_database(self, client: gnmi.Client, work: Any) -> None:
        connection = await lease.connect(self.config.database, self.config.lease_ttl)
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
        async for batch in client.batches(request, most=MOST_MESSAGES, quiet=0.2):
            found = [samples for message in batch if (samples := reader.read(message))]
            for tick in _by_tick(found):
                with metrics.writing("samples"):
                    await writer.write_samples(
                        connection,
                        encoder,
                        (self.target.bng_id, self.epoch),
                        tick,
                        self.config.sample_interval,
                    )
                SAMPLES.labels(self.target.bng_id).inc(len(tick.sessions))
                metrics.committed(self.target.bng_id, "samples", tick.time_ns)

    async def _condition(self, client: gnmi.Client, connection: asyncpg.Connection) -> None:
        """Health and access routers."""
        request = gnmi.stream(
            gnmi.sampled(HEALTH, self.config.sample_interval),
            gnmi.sampled(ROUTERS, max(self.config.sample_interval, 10)),
        )
        async for batch in client.notifications(request, most=MOST_MESSAGES, quiet=0.2):
            health: dict[str, Any] = {}
            routers: dict[str, dict[str, Any]] = {}
            for notification in batch:
                for _, leaves in decode.entries(notification, below="health"):
                    health.update(leaves)
                for below in ("access-router", "discovered"):
                    for path, leaves in decode.entries(notification, below=below):
                        row = {**path[-1][1], **leaves}
                        routers.setdefault(f"{below}:{sorted(path[-1][1].values())}", {"_": below}).update(
                            row
                        )
            if health:
                time = datetime.fromtimestamp(batch[-1].timestamp / 1e9, UTC)
                with metrics.writing("health"):
                    await writer.write_health(connection, self.target.bng_id, time, decode.health(health))
                await writer.write_state(connection, self.target.bng_id, last_seen=datetime.now(UTC))
            if routers:
                rows = [
                    decode.router(row, configured=row.pop("_") == "access-router") for row in routers.values()
                ]
                with metrics.writing("routers"):
                    await writer.write_routers(
                        connection, self.target.bng_id, [row for row in rows if row["remote_id"]]
                    )
