"""From PostgreSQL to one output: events in order, interim updates and health, of the BNGs that we hold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta

import asyncpg
import orjson
import structlog

from collector import clock, metrics, schema
from collector.config import CollectorConfig
from collector.outputs import predecessor
from collector.outputs.interface import Displaced, Message, Output, Unavailable

log = structlog.get_logger()

MOST = 500
"""Messages in one step: what is in memory at a time."""
MOST_TURNS = 20
"""Steps for one BNG before the next has its turn."""
ROUND = 5.0
"""Seconds between looks at everything, whether or not PostgreSQL notified of it."""
RETRY_FIRST, RETRY_MOST = 0.5, 5.0

DATABASE = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)

_COUNTS = ", ".join(f"coalesce(e.{c}, a.{c}, h.{c}) AS {c}" for c in schema.COUNTERS)

EVENTS = f"""
    SELECT e.number, e.bng_id, e.seq, e.time_ns, e.instance_id, e.type, e.session_id, e.remote_id,
        e.circuit_id, e.username, e.mac_address, e.ip_address, e.status, e.profile, e.download_rate,
        e.started, e.terminate_cause, e.router, {_COUNTS}
    FROM events e
    LEFT JOIN sessions_active a
        ON (a.bng_id, a.session_id) = (e.bng_id, e.session_id) AND e.in_octets IS NULL
    LEFT JOIN sessions_history h
        ON (h.bng_id, h.session_id) = (e.bng_id, e.session_id) AND e.in_octets IS NULL
    WHERE e.bng_id = $1 AND e.number > $2 ORDER BY e.number LIMIT {MOST}"""

BEGIN = """
    SELECT coalesce((SELECT number FROM events WHERE bng_id = $1 AND number IS NOT NULL
                     ORDER BY number DESC OFFSET $2 LIMIT 1), 0)"""

NEWEST = "SELECT last_value FROM events_number"

INTERIM = f"""
    SELECT session_id, remote_id, circuit_id, username, mac_address, ip_address, status, profile,
        download_rate, {", ".join(schema.COUNTERS)}, tick, sampled_at
    FROM sessions_active WHERE bng_id = $1 AND status IN ('active', 'idle') AND tick IS NOT NULL
        AND sampled_at > $2"""

HEALTH = """
    SELECT DISTINCT ON (h.bng_id) h.bng_id, h.time, h.cpu_usage, h.memory_usage, h.memory_limit, c.instance_id
    FROM health_samples h JOIN cursors c USING (bng_id)
    WHERE h.bng_id = ANY($1) AND h.time > $2 AND c.instance_id IS NOT NULL ORDER BY h.bng_id, h.time DESC"""

ADDRESSES = "SELECT bng_id, gnmi_address FROM bngs WHERE bng_id = ANY($1) AND gnmi_address IS NOT NULL"

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def _host(address: str) -> str:
    """The host of host:port, an IPv6 address without its brackets."""
    return address.rpartition(":")[0].strip("[]")


class Relay:
    """One output's. `run` goes on until it is cancelled; nothing that breaks leaves it.

    Two relays of one BNG, as around a change of leases, do no harm: the output takes from one of them.
    """

    def __init__(
        self, config: Callable[[], CollectorConfig], output: Output, held: Callable[[], Collection[str]]
    ) -> None:
        self._config, self._output, self._held = config, output, held
        self._nas: dict[str, str] = {}
        self._positions: dict[str, int | None] = {}
        self._dirty: set[str] = set()
        self._wake = asyncio.Event()
        self._interim: dict[str, tuple[float, datetime]] = {}
        self._health_until: dict[str, datetime] = {}
        self._next_round = self._next_health = 0.0
        self._ready = False
        self._newest = 0
        metrics.OUTPUT_UP.labels(output.name).set(0)
        metrics.OUTPUT_FAILURES.labels(output.name)

    async def run(self) -> None:
        delay = RETRY_FIRST
        name = self._output.name
        try:
            while True:
                try:
                    await self._connected()
                except (Unavailable, *DATABASE) as error:
                    why = str(error) or type(error).__name__
                except Exception as error:
                    why = repr(error)
                    log.error("collector.output-defect", output=name, exc_info=error)
                delay = RETRY_FIRST if self._ready else min(delay * 2, RETRY_MOST)
                self._ready = False
                metrics.OUTPUT_UP.labels(name).set(0)
                metrics.OUTPUT_FAILURES.labels(name).inc()
                log.warning("collector.output-waiting", output=name, error=why, retry_in=delay)
                await asyncio.sleep(delay)
        finally:
            metrics.OUTPUT_UP.labels(name).set(0)
            await self._output.close()

    async def _connected(self) -> None:
        """Relay until the database or the output goes away."""
        connection = await asyncpg.connect(self._config().database, timeout=10)
        try:
            await connection.set_type_codec(
                "jsonb", schema="pg_catalog", encoder=orjson.dumps, decoder=orjson.loads
            )
            await connection.add_listener(schema.CHANNEL_SESSIONS, self._heard)
            self._next_round = 0.0
            while True:
                await self._turn(connection)
                if not self._ready:
                    self._ready = True
                    metrics.OUTPUT_UP.labels(self._output.name).set(1)
                    log.info("collector.output-ready", output=self._output.name)
                if not self._dirty:
                    await self._sleep()
        finally:
            connection.terminate()

    def _heard(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        self._dirty.add(str(orjson.loads(str(payload)).get("bng_id")))
        self._wake.set()

    async def _sleep(self) -> None:
        self._wake.clear()
        now = asyncio.get_running_loop().time()
        until = min(self._next_round, self._next_health or self._next_round) - now
        try:
            # not wait_for: in Python 3.11 it may swallow a cancellation that comes with the event
            async with asyncio.timeout(min(max(until, 0.01), 1.0)):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _turn(self, connection: asyncpg.Connection) -> None:
        now = asyncio.get_running_loop().time()
        held = sorted(self._held())
        if now >= self._next_round or not self._positions.keys() >= set(held):
            # also what tells that the output fell back to an older state while there was nothing to send
            self._positions = await self._output.positions(held)
            # targets may come and move while we run; those of the registry are only in the table
            self._nas = {target.bng_id: _host(target.address) for target in self._config().targets}
            for row in await connection.fetch(ADDRESSES, held):
                self._nas[row["bng_id"]] = _host(row["gnmi_address"])
            self._dirty.update(held)
            self._next_round = now + ROUND
        self._dirty.intersection_update(held)
        for bng_id in sorted(self._dirty):
            if await self._attempt(bng_id, self._drain(connection, bng_id)):
                self._dirty.discard(bng_id)
                await self._attempt(bng_id, self._interims(connection, bng_id, now))
        if not self._dirty:
            metrics.OUTPUT_CURRENT.labels(self._output.name).set_to_current_time()
        if self._output.pace.health and now >= self._next_health:
            self._next_health = now + self._output.pace.health
            await self._send_health(connection, held)

    async def _attempt(self, bng_id: str, step: object) -> bool:
        """Whether a step ended; when the output is elsewhere than we believed, go on from there."""
        try:
            return bool(await step)  # type: ignore[misc]
        except Displaced as displaced:
            log.info(
                "collector.output-displaced",
                output=self._output.name,
                bng_id=bng_id,
                expected=self._positions.get(bng_id),
                found=displaced.position,
            )
            self._positions[bng_id] = displaced.position
            self._dirty.add(bng_id)
            return False

    async def _publish(self, bng_id: str, upto: int | None, messages: list[Message]) -> bool:
        await self._output.publish(bng_id, self._positions[bng_id], upto, messages)
        if upto is not None:
            self._positions[bng_id] = upto
        for message in messages:
            metrics.OUTPUT_MESSAGES.labels(self._output.name, message["event_type"]).inc()
        return True

    async def _drain(self, connection: asyncpg.Connection, bng_id: str) -> bool:
        """Send what is committed and not sent. Returns whether that is all."""
        for _ in range(MOST_TURNS):
            position = self._positions[bng_id]
            if position is not None and position > self._newest:
                self._newest = await connection.fetchval(NEWEST)
            if position is None or position > self._newest:
                # new there, or it has seen another database than this (an older backup of it)
                position = await connection.fetchval(BEGIN, bng_id, self._output.depth)
            rows = await connection.fetch(EVENTS, bng_id, position)
            if not rows:
                return True
            found = [predecessor.event(row, self._nas.get(bng_id, "")) for row in rows]
            await self._publish(bng_id, rows[-1]["number"], [message for message in found if message])
            if len(rows) < MOST:
                return True
        return False

    async def _interims(self, connection: asyncpg.Connection, bng_id: str, now: float) -> bool:
        """Counters of live sessions, when they are due.

        What is read is one state, in which each session's start is committed; so whatever was committed
        before it is sent first.
        """
        due, since = self._interim.get(bng_id, (0.0, LONG_AGO))
        if not self._output.pace.interim or now < due:
            return True
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            if not await self._drain(connection, bng_id):
                return False
            instance = await connection.fetchval(
                "SELECT instance_id FROM cursors WHERE bng_id = $1 AND instance_id IS NOT NULL", bng_id
            )
            messages: list[Message] = []
            newest = since
            async for row in connection.cursor(INTERIM, bng_id, since, prefetch=MOST):
                newest = max(newest, row["sampled_at"])
                messages.append(predecessor.interim(row, bng_id, instance, self._nas.get(bng_id, "")))
                if len(messages) == MOST:
                    await self._publish(bng_id, None, messages)
                    messages = []
            if messages:
                await self._publish(bng_id, None, messages)
        self._interim[bng_id] = (now + self._output.pace.interim, newest)
        return True

    async def _send_health(self, connection: asyncpg.Connection, held: list[str]) -> None:
        recent = await clock.ask(connection) - timedelta(seconds=max(60.0, 3 * self._output.pace.health))
        for row in await connection.fetch(HEALTH, held, recent):
            bng_id = row["bng_id"]
            if row["time"] <= self._health_until.get(bng_id, LONG_AGO) or bng_id not in self._positions:
                continue
            if await self._attempt(bng_id, self._publish(bng_id, None, [predecessor.health(row)])):
                self._health_until[bng_id] = row["time"]
