"""Live data: database notifications in, one stream per browser out.

One `Hub` per process listens and asks the database once for all browsers. It keeps the live sessions in
memory (`Board`), computes rates from successive samples, and hands each subscriber a snapshot and then what
changed. A subscriber that does not keep up loses its backlog and gets a new snapshot.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import asyncpg
import orjson
import structlog
from pydantic import TypeAdapter

from oss.database import UNAVAILABLE, connect
from oss.domain.outbox import CHANNEL as OUTBOX
from oss.domain.redelivery import CHANNEL as BNGS
from oss.domain.sessions import SELECT_ACTIVE, SELECT_EVENTS, Event, Session

log = structlog.get_logger()

SESSIONS, SAMPLES, HEALTH = "aether_sessions", "aether_samples", "aether_health"
CHANNELS = (SESSIONS, SAMPLES, HEALTH, BNGS, OUTBOX)

QUEUE_LIMIT = 256
"""Messages that wait for one browser."""
MAX_SUBSCRIBERS = 200
SNAPSHOT_PART = 500
"""Sessions in one message of a snapshot."""
LONGEST_STREAM = 1800.0
_EVENTS_AT_ONCE = 5000
_COALESCE = 0.1
"""Seconds in which notifications of one kind are taken together."""

Key = tuple[str, str]
Message = tuple[str, Any]

_TOTALS = ("in_octets", "out_octets", "in_discards", "out_discards")
"""Counters that the live rows carry: those that the console shows."""
_COUNTERS_OF_BNG = (
    f"SELECT session_id, {', '.join(_TOTALS)}, sampled_at FROM sessions_active WHERE bng_id = $1"  # noqa: S608
)

# From one instance to the next along the primary key: events are many, instances few.
_NEWEST_EVENTS = """
WITH RECURSIVE instances AS (
    (SELECT bng_id, instance_id FROM events ORDER BY bng_id, instance_id LIMIT 1)
    UNION ALL
    SELECT n.* FROM instances i CROSS JOIN LATERAL (
        SELECT e.bng_id, e.instance_id FROM events e
        WHERE (e.bng_id, e.instance_id) > (i.bng_id, i.instance_id)
        ORDER BY e.bng_id, e.instance_id LIMIT 1) n
)
SELECT bng_id, max((SELECT max(seq) FROM events e
    WHERE e.bng_id = i.bng_id AND e.instance_id = i.instance_id)) AS seq
FROM instances i GROUP BY bng_id"""


class Board:
    """The live sessions with their rates. Pure: rows in, what changed out."""

    def __init__(self) -> None:
        self.sessions: dict[Key, Session] = {}

    def of_bng(self, bng_id: str) -> set[str]:
        return {session_id for bng, session_id in self.sessions if bng == bng_id}

    def put(self, session: Session) -> Session:
        """A session as the database has it now; rates are kept from before."""
        key = (session.bng_id, session.session_id)
        known = self.sessions.get(key)
        if known is not None:
            session.in_rate, session.out_rate = known.in_rate, known.out_rate
            if known.sampled_at and (session.sampled_at is None or session.sampled_at > known.sampled_at):
                # the next sample must find what the rates are to be computed from
                session.in_octets, session.out_octets = known.in_octets, known.out_octets
                session.sampled_at = known.sampled_at
        self.sessions[key] = session
        return session

    def remove(self, bng_id: str, session_id: str) -> bool:
        return self.sessions.pop((bng_id, session_id), None) is not None

    def sample(self, bng_id: str, rows: Iterable[Mapping[str, Any]]) -> list[list[Any]]:
        """Take new counters; answers what moved.

        Rows of the answer: ``[session_id, in_rate, out_rate, in_octets, out_octets, in_discards,
        out_discards]``: rates in bit/s, counters as totals of the session.
        """
        changed: list[list[Any]] = []
        for row in rows:
            session = self.sessions.get((bng_id, row["session_id"]))
            if session is None or row["sampled_at"] is None:
                continue
            rates = _rates(session, row)
            if rates is None:
                continue
            totals = [row[name] for name in _TOTALS]
            moved = rates != (session.in_rate, session.out_rate) or totals != [
                getattr(session, name) for name in _TOTALS
            ]
            session.in_rate, session.out_rate = rates
            for name, total in zip(_TOTALS, totals, strict=True):
                setattr(session, name, total)
            session.sampled_at = row["sampled_at"]
            if moved:
                changed.append([session.session_id, *rates, *totals])
        return changed

    def totals(self) -> dict[str, tuple[float, float]]:
        """Rates of all sessions added up, per BNG."""
        sums: dict[str, tuple[float, float]] = {}
        for (bng_id, _), session in self.sessions.items():
            into, out = sums.get(bng_id, (0.0, 0.0))
            sums[bng_id] = (into + (session.in_rate or 0.0), out + (session.out_rate or 0.0))
        return sums


def _rates(session: Session, row: Mapping[str, Any]) -> tuple[float | None, float | None] | None:
    """Rates since the last sample; None when this is no new sample."""
    at: datetime = row["sampled_at"]
    if session.sampled_at is None:
        return (None, None)
    seconds = (at - session.sampled_at).total_seconds()
    if seconds <= 0:
        return None
    return (
        _rate(session.in_octets, row["in_octets"], seconds),
        _rate(session.out_octets, row["out_octets"], seconds),
    )


def _rate(before: int, now: int, seconds: float) -> float:
    """Bit/s, to the bit. A total that went down was counted anew."""
    return float(round((now - before if now >= before else now) * 8 / seconds))


class Subscriber:
    """A browser's queue: bounded. One that overflows is emptied, and the browser gets a new snapshot."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Message | None] = asyncio.Queue(QUEUE_LIMIT)
        self._stale = True

    def offer(self, message: Message) -> None:
        try:
            self._queue.put_nowait(message)
        except asyncio.QueueFull:
            self.start_over()

    def start_over(self) -> None:
        """What was queued is void: the next thing to send is a snapshot."""
        while not self._queue.empty():
            self._queue.get_nowait()
        self._stale = True
        self._queue.put_nowait(None)

    async def next(self) -> Message | None:
        """The next message; None when a snapshot is due instead."""
        if not self._stale:
            message = await self._queue.get()
            if message is not None:
                return message
        while not self._queue.empty():
            self._queue.get_nowait()
        self._stale = False
        return None


class TooManySubscribers(Exception):
    """MAX_SUBSCRIBERS streams are open."""


class Hub:
    """Listens, keeps the board, tells the subscribers."""

    def __init__(self, pool: asyncpg.Pool, database: str) -> None:
        self.board = Board()
        self._pool = pool
        self._database = database
        self._subscribers: set[Subscriber] = set()
        self._dirty: dict[str, set[str]] = {}
        self._wakeup = asyncio.Event()
        self._seen: dict[str, int] = {}
        self.ready = asyncio.Event()
        """Set while the board reflects the database."""
        self.ended = False

    @property
    def subscribers(self) -> int:
        return len(self._subscribers)

    @contextlib.contextmanager
    def subscribe(self) -> Iterator[Subscriber]:
        if len(self._subscribers) >= MAX_SUBSCRIBERS:
            raise TooManySubscribers
        subscriber = Subscriber()
        self._subscribers.add(subscriber)
        try:
            yield subscriber
        finally:
            self._subscribers.discard(subscriber)

    def end(self) -> None:
        """The process is about to end: so do all streams, at once."""
        self.ended = True
        for subscriber in self._subscribers:
            subscriber.start_over()

    async def run(self) -> None:
        """Follow the database until cancelled; whatever it lost meanwhile is read again."""
        while True:
            try:
                await self._follow()
            except asyncpg.UndefinedTableError:
                log.info("live.waiting_for_collector")
            except UNAVAILABLE as error:
                log.warning("live.database_lost", error=str(error))
            self.ready.clear()
            await asyncio.sleep(2)

    async def _follow(self) -> None:
        connection = await connect(self._database)
        connection.add_termination_listener(lambda _: self._wakeup.set())
        try:
            for channel in CHANNELS:
                await connection.add_listener(channel, self._notified)
            await self._load()
            while True:
                try:
                    await asyncio.wait_for(self._wakeup.wait(), 10)
                except TimeoutError:
                    await connection.execute("SELECT 1")  # finds out that the other side is gone silently
                    continue
                self._wakeup.clear()
                if connection.is_closed():
                    raise ConnectionError("the connection that listens was closed")
                await asyncio.sleep(_COALESCE)
                dirty, self._dirty = self._dirty, {}
                await self._publish(dirty)
        finally:
            with contextlib.suppress(*UNAVAILABLE):
                await connection.close(timeout=2)

    def _notified(self, _connection: object, _pid: int, channel: str, payload: object) -> None:
        try:
            bng_id = str(orjson.loads(str(payload))["bng_id"])
        except (orjson.JSONDecodeError, KeyError, TypeError):
            bng_id = ""
        self._dirty.setdefault(channel, set()).add(bng_id)
        self._wakeup.set()

    async def _load(self) -> None:
        self._seen = {row["bng_id"]: row["seq"] for row in await self._pool.fetch(_NEWEST_EVENTS)}
        board = Board()
        for row in await self._pool.fetch(SELECT_ACTIVE):
            session = Session(**row)
            known = self.board.sessions.get((session.bng_id, session.session_id))
            if known is not None:
                board.sessions[(session.bng_id, session.session_id)] = known
            board.put(session)
        self.board = board
        self.ready.set()
        for subscriber in self._subscribers:
            subscriber.start_over()

    async def _publish(self, dirty: dict[str, set[str]]) -> None:
        for bng_id in dirty.get(SESSIONS, ()):
            await self._sessions(bng_id)
        for bng_id in dirty.get(SAMPLES, ()):
            await self._samples(bng_id)
        if SAMPLES in dirty:
            totals = self.board.totals()
            self._tell("traffic", {bng: list(rates) for bng, rates in totals.items()})
        for channel, event in ((HEALTH, "health"), (BNGS, "bngs")):
            if channel in dirty:
                self._tell(event, {"bng_ids": sorted(dirty[channel])})
        if OUTBOX in dirty:
            self._tell("deliveries", {})
            # the customer of a line may have changed: services are few, events of theirs rare
            await self._owners()

    async def _sessions(self, bng_id: str) -> None:
        rows = await self._pool.fetch(
            f"{SELECT_EVENTS} WHERE s.bng_id = $1 AND s.seq > $2 ORDER BY s.seq LIMIT {_EVENTS_AT_ONCE}",
            bng_id,
            self._seen.get(bng_id, 0),
        )
        if len(rows) == _EVENTS_AT_ONCE:
            await self._load()
            return
        if not rows:
            return
        self._seen[bng_id] = rows[-1]["seq"]
        await self._refresh(bng_id, {row["session_id"] for row in rows if row["session_id"]})
        self._tell("events", [Event(**row).model_dump(mode="json") for row in rows[-100:]])

    async def _refresh(self, bng_id: str, session_ids: set[str]) -> None:
        rows = await self._pool.fetch(
            f"{SELECT_ACTIVE} WHERE s.bng_id = $1 AND s.session_id = ANY($2)", bng_id, list(session_ids)
        )
        upsert = [self.board.put(Session(**row)) for row in rows]
        gone = session_ids - {session.session_id for session in upsert}
        remove = [session_id for session_id in gone if self.board.remove(bng_id, session_id)]
        if upsert or remove:
            self._tell(
                "sessions",
                {
                    "bng_id": bng_id,
                    "upsert": [session.model_dump(mode="json") for session in upsert],
                    "remove": remove,
                },
            )

    async def _samples(self, bng_id: str) -> None:
        rows = await self._pool.fetch(_COUNTERS_OF_BNG, bng_id)
        differing = {row["session_id"] for row in rows} ^ self.board.of_bng(bng_id)
        if differing:
            await self._refresh(bng_id, differing)
        changed = self.board.sample(bng_id, rows)
        if changed:
            self._tell("rates", {"bng_id": bng_id, "rows": changed})

    async def _owners(self) -> None:
        rows = await self._pool.fetch(SELECT_ACTIVE)
        for row in rows:
            key = (row["bng_id"], row["session_id"])
            known = self.board.sessions.get(key)
            if known is None or all(getattr(known, n) == row[n] for n in _OWNER_FIELDS):
                continue
            session = self.board.put(Session(**row))
            self._tell(
                "sessions",
                {"bng_id": session.bng_id, "upsert": [session.model_dump(mode="json")], "remove": []},
            )

    def _tell(self, event: str, data: Any) -> None:
        for subscriber in self._subscribers:
            subscriber.offer((event, data))


_OWNER_FIELDS = ("customer_id", "customer_name", "service_id", "plan_name")


async def stream(hub: Hub, subscriber: Subscriber, keepalive: float = 15.0) -> AsyncIterator[bytes]:
    """The subscriber's messages as text/event-stream (WHATWG HTML, section 9.2).

    Events: ``snapshot`` {first, last, ready, sessions} in parts, then ``sessions`` {bng_id, upsert, remove},
    ``rates`` {bng_id, rows}, ``traffic`` {bng_id: [in_rate, out_rate]}, ``events`` […], and the hints
    ``health``, ``bngs`` and ``deliveries`` that something is to be read anew. A comment now and then finds
    out who has left. Ends after half an hour: the browser comes back by itself, and shows again who it is.
    """
    end = asyncio.get_running_loop().time() + LONGEST_STREAM
    yield b"retry: 2000\n\n"
    while asyncio.get_running_loop().time() < end:
        try:
            message = await asyncio.wait_for(subscriber.next(), keepalive)
        except TimeoutError:
            yield b": alive\n\n"
            continue
        if message is not None:
            yield encode(*message)
            continue
        if hub.ended:
            return
        # objects may change while the parts are sent: what is newer than the snapshot comes again after it
        sessions = list(hub.board.sessions.values())
        for start in range(0, max(1, len(sessions)), SNAPSHOT_PART):
            part = sessions[start : start + SNAPSHOT_PART]
            yield encode(
                "snapshot",
                {
                    "first": start == 0,
                    "last": start + SNAPSHOT_PART >= len(sessions),
                    "ready": hub.ready.is_set(),
                    "sessions": orjson.Fragment(_SESSIONS.dump_json(part)),
                },
            )


_SESSIONS = TypeAdapter(list[Session])


def encode(event: str, data: Any) -> bytes:
    return b"event: " + event.encode() + b"\ndata: " + orjson.dumps(data) + b"\n\n"
