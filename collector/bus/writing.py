"""One BNG, as long as this writer holds its lease: from the bus into the tables."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import asyncpg
import orjson
from google.protobuf.message import DecodeError as ProtobufError

from collector import copyformat, decode, events, gaps, metrics, rejected, template, ticks, writer
from collector.budget import Budget
from collector.bus import message
from collector.bus.chain import Age, Follower, Place
from collector.bus.jetstream import Bus
from collector.bus.message import Assembler, Message
from collector.bus.reader import read
from collector.config import CollectorConfig, Target
from collector.metrics import BUS_HOLES, BUS_WAITING, SAMPLES, TARGET_UP
from collector.session import Session, merge
from collector.store import Store
from telemetry.protocol import gnmi_pb2

WISH_AGAIN = 5.0
"""Seconds until a publisher is told again that events are missing."""

TOLD = frozenset({"gnmi_address", "instance_id", "version"})
"""Columns of `bngs` that a publisher may tell."""

PLACE = """
    UPDATE cursors SET bus_seq = $3, bus_id = $4, bus_time_ns = $5, bus_stream = $6
    WHERE bng_id = $1 AND epoch = $2"""
UP = "SELECT state = 'connected' FROM bngs WHERE bng_id = $1"
NEWEST = "SELECT coalesce(max(seq), 0) FROM events WHERE bng_id = $1"


def _update(octets: bytes) -> gnmi_pb2.Notification | None:
    """What a SubscribeResponse carries. Raises DecodeError."""
    try:
        response = gnmi_pb2.SubscribeResponse.FromString(octets)
    except Exception as error:  # protobuf's own DecodeError has no stable place
        raise decode.DecodeError(f"not a SubscribeResponse: {error}") from None
    return response.update if response.HasField("update") else None


@dataclass(slots=True)
class _Run:
    """What some messages have of one stream of samples.

    Attributes:
        stream: the subscription that it is of.
        begins: how, if nothing of the stream was taken before (`ticks.Ticks`).
        broken: what was before it could not be read.
        samples: as `ticks.Ticks` takes them.
        stored: when the server stored the last message with samples of this time, in seconds by its clock.
    """

    stream: str
    begins: str
    broken: bool = False
    samples: list[template.Samples | None] = field(default_factory=list)
    stored: dict[int, float] = field(default_factory=dict)


class Writing(Session):
    """Writes one BNG's messages. Place and rows are one transaction, which the epoch fences."""

    def __init__(
        self,
        config: CollectorConfig,
        target: Target,
        epoch: int,
        bus: Bus,
        budget: Budget,
        store: Store | None = None,
    ) -> None:
        super().__init__(config, target, epoch, budget, store=store)
        self._bus = bus
        self._tracker = gaps.Tracker(0, 0)
        self._known_until = 0
        self._assembler = Assembler()
        self._age = Age()
        self._stream = ""
        self._ticks: ticks.Ticks | None = None
        self._pace = gaps.Pace()
        self._encoder = copyformat.SampleEncoder(self.name)
        self._wish: dict[str, Any] | None = None
        self._wish_at = 0.0
        self._knows_state = False

    async def say(self, up: bool, error: str | None, **columns: Any) -> None:
        """The target's state is its publisher's to say."""

    async def connected(self) -> None:
        """Follow the chain from where PostgreSQL says, until something breaks."""
        async with self.store.borrow() as connection:
            row = await connection.fetchrow(
                # waits for what a reader that broke off is just committing
                "SELECT seq, time_ns, bus_seq, bus_id, bus_time_ns, bus_stream FROM cursors "
                "WHERE bng_id = $1 AND epoch = $2 FOR UPDATE",
                *(self.name, self.epoch),
            )
            if row is None:
                raise writer.FencedError
            self._tracker, self._wish = gaps.Tracker(row["seq"], row["time_ns"]), None
            # a hole may have been met before, and what was in it not been made up
            self._assembler, self._known_until, self._knows_state = Assembler(), 0, False
            if row["seq"] and not row["time_ns"]:  # a baseline, and nothing new since
                self._known_until = await connection.fetchval(NEWEST, self.name)
        self._age, self._stream, self._ticks = Age(), row["bus_stream"] or "", None
        follower = Follower(Place(row["bus_seq"] or 0, row["bus_id"] or "", row["bus_time_ns"] or 0))
        self.log.info("collector.bus-reading", after=follower.place.seq)
        holes = 0
        async with aclosing(read(self._bus, self.name, follower, self.budget)) as batches:
            async for batch in batches:
                BUS_WAITING.labels(self.name).set(batch.waiting)
                self._age.hear(batch.clock_ns, await self.store.clock.now_ns())
                if follower.holes != holes:
                    holes, self._wish = follower.holes, None  # what was wished for may be gone as well
                    self._stream, self._ticks = "", None  # and what belongs to the tick
                    self._knows_state, self._wish_at = False, 0.0
                    BUS_HOLES.labels(self.name).inc()
                    self.log.warning("collector.bus-hole", before=batch.messages[0].seq)
                await self._write(batch.messages)
                await self._wish_again()

    async def _write(self, messages: Sequence[Message]) -> None:
        whole = [found for found in map(self._assembler.add, messages) if found]
        try:
            await self._write_whole(whole)
        except (AttributeError, KeyError, TypeError, ValueError, ProtobufError) as error:
            if isinstance(error, decode.DecodeError):
                raise
            seqs = f"{whole[0].seq} to {whole[-1].seq}"
            raise message.FormatError(f"messages {seqs} of the bus have a broken body: {error!r}") from error

    async def _write_whole(self, whole: Sequence[Message]) -> None:
        for kind, group in groupby(whole, key=lambda found: found.kind):
            same = list(group)
            if kind == message.EVENTS:
                await self._write_event_messages(same)
            elif kind == message.SAMPLES:
                await self._write_sample_messages(same)
            elif kind == message.CONDITION:
                await self._write_conditions(same)
            elif kind == message.STATE:
                for one in same:
                    await self._write_told(one)
            elif kind == message.BASELINE:
                for one in same:
                    await self._write_baseline(one)

    @asynccontextmanager
    async def _placed(self, at: Message) -> AsyncIterator[asyncpg.Connection]:
        """A connection with a transaction that moves the place too. Raises FencedError."""
        async with self.store.borrow() as connection, connection.transaction():
            yield connection
            stream = self._stream if self._ticks is None or self._ticks.settled else ""
            place = at.seq, at.id, at.time_ns, stream
            await writer.fence(connection, PLACE, self.name, self.epoch, *place)

    # -- events ---------------------------------------------------------------------------------------

    async def _write_event_messages(self, found: Sequence[Message]) -> None:
        fresh: list[events.Entry] = []
        for one in found:
            for octets in message.unpack(one.body):
                update = _update(octets)
                event = events.read(update) if update else None
                if event is None:
                    continue
                verdict = self._tracker.judge(event.seq, event.time_ns)
                if verdict == gaps.NEXT:
                    fresh.append(event)
                    self._wish = None
                elif verdict == gaps.BROKEN:
                    self._want(one.seq)
            await asyncio.sleep(0)  # other BNGs' turn
        if self._known_until and fresh:
            fresh = await self._unknown(fresh)
        if fresh:
            async with self._placed(found[-1]) as connection:
                await self._write_events(connection, fresh)

    async def _unknown(self, fresh: list[events.Entry]) -> list[events.Entry]:
        """After a baseline the journal is read from its oldest event: without those that are there."""
        async with self.store.borrow() as connection:
            left = await rejected.unknown(connection, self.name, fresh)
        if self._tracker.seq > self._known_until:
            self._known_until = 0
        return left

    def _want(self, found: int) -> None:
        """Events are missing on the bus. The BNG's journal may have them: its publisher is asked for them."""
        if self._wish is None:
            seq, time_ns = self._tracker.seq, self._tracker.time_ns
            # the same one while it is the same hole
            self._wish = {"seq": seq, "time_ns": time_ns, "wish": f"{self.config.owner} {self.epoch} {found}"}
            self._wish_at = 0.0
            self.log.warning("collector.bus-events-missing", after=seq)

    async def _wish_again(self) -> None:
        """Ask the publisher for what is missing, until it comes: events, or how its target is."""
        now = asyncio.get_running_loop().time()
        if now < self._wish_at or (self._wish is None and self._knows_state):
            return
        self._wish_at = now + WISH_AGAIN
        heard = await self._bus.wish(self.name, {**(self._wish or {}), "state": not self._knows_state})
        if self._wish is not None:
            self.log.info("collector.bus-events-wished", after=self._wish["seq"], heard=heard)

    async def _write_baseline(self, one: Message) -> None:
        """Begin anew from what the BNG says is there, as `Session` does."""
        head, *rest = message.unpack(one.body)
        told = orjson.loads(head)
        live: dict[str, dict[str, Any]] = {}
        for octets in rest:
            self._baseline_trouble(merge(live, gnmi_pb2.Notification.FromString(octets)))
            await asyncio.sleep(0)  # other BNGs' turn
        before, oldest, reason = self._tracker.seq, told["oldest"], told["reason"]
        if type(oldest) is not int or not 1 <= oldest <= decode.MAX_BIGINT or not isinstance(reason, str):
            raise TypeError("no number of an event, or no reason")
        lost = (before + 1, max(before + 1, oldest - 1))
        async with self._placed(one) as connection:
            await self._rebaseline(connection, oldest, live, lost, rejected.line(reason))
        self._tracker, self._known_until, self._wish = gaps.Tracker(oldest - 1, 0), before, None

    # -- samples, condition, state --------------------------------------------------------------------

    async def _write_sample_messages(self, found: Sequence[Message]) -> None:
        """All ticks of some messages, in one transaction."""
        runs: list[_Run] = []
        for one in found:
            await self._read_samples(one, runs)
        with metrics.writing("samples"):
            async with self._placed(found[-1]) as connection:
                for run in runs:
                    await self._write_run(connection, run)
        numbers = [samples for run in runs for samples in run.samples if samples]
        SAMPLES.labels(self.name).inc(sum(len(samples.sessions) for samples in numbers))
        if numbers:
            metrics.committed(self.name, "samples", numbers[-1].time_ns)

    async def _read_samples(self, one: Message, runs: list[_Run]) -> None:
        """Add what a message has to the last run; to another where the last one does not go on."""
        head, *rest = message.unpack(one.body)
        told = orjson.loads(head)
        if not isinstance(told["stream"], str) or len(told["stream"]) > message.MOST_HEADER:
            raise TypeError("no name of a stream")
        if not runs or runs[-1].stream != told["stream"]:
            runs.append(_Run(told["stream"], ticks.NEW if told["number"] == 1 else ticks.CUT))
        now = self._age.at(one.time_ns)
        for octets in rest:
            try:
                (samples,) = await self._read([octets], now)
            except decode.DecodeError as error:
                self.log.error("collector.bus-undecodable", seq=one.seq, error=str(error))
                runs.append(_Run(told["stream"], ticks.CUT, broken=True))
                continue
            runs[-1].samples.append(samples)
            if samples:
                runs[-1].stored[samples.time_ns] = one.time_ns / 1e9

    async def _write_run(self, connection: asyncpg.Connection, run: _Run) -> None:
        owner, interval = (self.name, self.epoch), self.config.sample_interval
        goes_on = run.stream == self._stream and not run.broken
        if self._ticks is None or not goes_on:
            last = await writer.newest_tick(connection, owner)
            self._ticks = ticks.Ticks(last, ticks.GOES_ON if goes_on else run.begins)
            self._stream, self._pace = run.stream, gaps.Pace()
        parts = [
            (
                part,
                self._pace.seen(part.samples.tick, run.stored[part.samples.time_ns]) if part.samples else 0.0,
            )
            for part in self._ticks.take(run.samples, more=False)
        ]
        if parts:
            await writer.write_samples(connection, self._encoder, owner, parts, interval)

    async def _write_conditions(self, found: Sequence[Message]) -> None:
        """Each report for itself: their order is their time."""
        for one in found:
            async with self._placed(one) as connection:
                try:
                    batch = [update for update in map(_update, message.unpack(one.body)) if update]
                    if batch:
                        async with connection.transaction():
                            await self._write_condition(connection, batch, self._age.at(one.time_ns))
                except message.FormatError:
                    raise
                except rejected.REFUSED as error:
                    self.log.error("collector.bus-undecodable", seq=one.seq, error=str(error))

    async def _write_told(self, one: Message) -> None:
        """The state of the target, as its publisher says."""
        up = False
        async with self._placed(one) as connection:
            try:
                async with connection.transaction():
                    up = await self._write_state(connection, orjson.loads(one.body), one.time_ns)
            except rejected.REFUSED as error:
                self.log.error("collector.bus-undecodable", seq=one.seq, error=str(error) or repr(error))
        TARGET_UP.labels(self.name).set(up)

    async def _write_state(self, connection: asyncpg.Connection, told: dict[str, Any], time_ns: int) -> bool:
        """Returns whether the target is up."""
        up: bool = told["state"] == "up"
        await writer.write_target_state(
            connection, (self.name, self.epoch), told["state"], told["error"], told["owner"]
        )
        if told["state"] != "removed":
            # names go into SQL: none but those that are known
            columns = {name: content for name, content in told["columns"].items() if name in TOLD}
            if up and not (told.get("again") and await connection.fetchval(UP, self.name)):
                since = decode.stamp(self._age.at(time_ns))
                columns.update(connected_since=since, last_seen=since)
            state = "connected" if up else "unreachable"
            await writer.write_state(connection, self.name, state=state, error=told["error"], **columns)
        return up
