"""Rows → PostgreSQL. Each write is one transaction that a newer lease fences off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import asyncpg
import numpy as np
import orjson

from collector import clock, decode, metrics, schema
from collector.announce import announce
from collector.copyformat import SAMPLE, STAGED_COUNTERS, SampleEncoder
from collector.fold import Changes, Row, fold
from collector.gaps import Told, missed, torn, usual_step
from collector.rollup import NOTE
from collector.template import SESSION_ID, newest
from collector.ticks import Part, Written

STAGED = ("session_id", *schema.SESSION)
STOPPED = ("session_id", "stopped", "terminate_cause", "reason", *schema.COUNTERS)


class FencedError(Exception):
    """Another collector owns this BNG now."""


def _merge(column: str) -> str:
    return f"{column} = coalesce(excluded.{column}, live.{column})"


UPSERT = f"""
    INSERT INTO sessions_active AS live (bng_id, session_id, {", ".join(schema.SESSION)})
    SELECT $1, * FROM staged_sessions
    ON CONFLICT (bng_id, session_id) DO UPDATE SET {", ".join(_merge(c) for c in schema.SESSION)}"""

# Final counters first, then one atomic move: a reader sees the session in exactly one of the tables.
MOVE = f"""
    WITH gone AS (
        DELETE FROM sessions_active a USING staged_stops s
        WHERE a.bng_id = $1 AND a.session_id = s.session_id
        RETURNING a.*, s.stopped, s.terminate_cause, s.reason,
            {", ".join(f"s.{c} AS final_{c}" for c in schema.COUNTERS)})
    INSERT INTO sessions_history (bng_id, session_id, {", ".join(schema.SESSION)},
        {", ".join(schema.COUNTERS)}, tick, sampled_at, stopped, terminate_cause, reason)
    SELECT bng_id, session_id, {", ".join(schema.SESSION)},
        {", ".join(f"coalesce(final_{c}, {c})" for c in schema.COUNTERS)},
        tick, sampled_at, stopped, terminate_cause, reason
    FROM gone
    ON CONFLICT (bng_id, session_id) DO UPDATE SET (stopped, terminate_cause, reason)
        = (excluded.stopped, excluded.terminate_cause, excluded.reason)"""

ROUTER_COLUMNS = (
    *("remote_id", "name", "address", "reachability", "configured", "last_seen"),
    *("round_trip_time", "active_sessions"),
)
ROUTER = f"""
    INSERT INTO access_routers AS known (bng_id, {", ".join(ROUTER_COLUMNS)})
    VALUES ($1, $2, $3, $4::text::inet, $5, coalesce($6, true), $7, $8, $9)
    ON CONFLICT (bng_id, remote_id) DO UPDATE SET
        {", ".join(f"{c} = coalesce(excluded.{c}, known.{c})" for c in ROUTER_COLUMNS[1:])}"""

STAGE = (
    f"CREATE TEMP TABLE staged_sessions ON COMMIT DELETE ROWS AS SELECT {', '.join(STAGED)} "
    "FROM sessions_active WITH NO DATA",
    f"CREATE TEMP TABLE staged_stops ON COMMIT DELETE ROWS AS SELECT {', '.join(STOPPED)} "
    "FROM sessions_history WITH NO DATA",
    "CREATE TEMP TABLE staged_counters (time timestamptz, session_id text, tick bigint, "
    + ", ".join(f"{c} bigint" for c in schema.COUNTERS)
    + ") ON COMMIT DELETE ROWS",
)

UNSTAGE = "DELETE FROM staged_sessions; DELETE FROM staged_stops"
"""Before another `apply` in the same transaction."""

COUNT = f"""
    UPDATE sessions_active a SET ({", ".join(schema.COUNTERS)}, tick, sampled_at)
        = ({", ".join(f"s.{c}" for c in schema.COUNTERS)}, s.tick, s.time)
    FROM staged_counters s WHERE a.bng_id = $1 AND a.session_id = s.session_id"""

# Samples may be rolled up before it is known which access node their session is on. Of older ones the samples
# may be gone, and with them what a window would be made again from.
STARTED_LATE = """
    INSERT INTO rollups_late
    SELECT 60, $1, m FROM unnest($2::timestamptz[]) m
    WHERE m < (SELECT closed_to FROM rollups WHERE step = 60) AND m > now() - interval '30 minutes'
    ON CONFLICT DO NOTHING"""


async def prepare(connection: asyncpg.Connection) -> None:
    """Make a new connection ready for the functions below: staging tables and JSON columns."""
    for statement in STAGE:
        await connection.execute(statement)
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        # binary, as COPY wants it: a version octet, then the text
        encoder=lambda content: b"\x01" + orjson.dumps(content),
        decoder=lambda octets: orjson.loads(octets[1:]),
        format="binary",
    )
    await connection.set_type_codec(
        "macaddr",
        schema="pg_catalog",
        encoder=lambda text: bytes.fromhex(text.replace(":", "")),
        decoder=lambda octets: octets.hex(":"),
        format="binary",
    )


async def fence(connection: asyncpg.Connection, sql: str, *args: Any) -> None:
    """Run an UPDATE of the one row of `cursors` that has our epoch. Raises FencedError if there is none."""
    if await connection.execute(sql, *args) != "UPDATE 1":
        raise FencedError


async def write_events(
    connection: asyncpg.Connection, bng_id: str, epoch: int, events: Sequence[Row]
) -> None:
    """Append events, apply them to live and past sessions, and move the cursor: all of it or nothing.

    `events` are rows of `decode.event` in order, the first one following the cursor. Raises FencedError.
    """
    changes = fold(events)
    last = events[-1]
    async with connection.transaction():
        await fence(
            connection,
            "UPDATE cursors SET seq = $3, time_ns = $4, instance_id = coalesce($5, instance_id) "
            "WHERE bng_id = $1 AND epoch = $2",
            *(bng_id, epoch, last["seq"], last["time_ns"], changes.instance_id),
        )
        await append_events(connection, bng_id, events, changes)


async def append_events(
    connection: asyncpg.Connection, bng_id: str, events: Sequence[Row], changes: Changes | None = None
) -> None:
    """What `write_events` does behind its fence, in a transaction of the caller's."""
    changes = changes or fold(events)
    await connection.copy_records_to_table(
        "events",
        columns=schema.EVENT,
        records=[(bng_id, *(event[c] for c in schema.EVENT[1:])) for event in events],
    )
    await apply(connection, bng_id, changes.live, changes.stopped)
    started = {e["time"].replace(second=0, microsecond=0) for e in events if e["type"] == "session-start"}
    if started:
        await connection.execute(STARTED_LATE, bng_id, list(started))
    for router in changes.routers.values():
        await connection.execute(ROUTER, bng_id, *(router.get(c) for c in ROUTER_COLUMNS))
    sessions, last = sorted({*changes.live, *changes.stopped}), events[-1]
    announce(connection, schema.CHANNEL_SESSIONS, bng_id=bng_id, seq=last["seq"], session_ids=sessions[:100])


async def apply(
    connection: asyncpg.Connection, bng_id: str, live: dict[str, Row], stopped: dict[str, Row]
) -> None:
    """Write sessions as `fold.Changes` has them, in a transaction of the caller's."""
    if live:
        rows = [(session, *(row.get(c) for c in schema.SESSION)) for session, row in live.items()]
        await connection.copy_records_to_table("staged_sessions", columns=STAGED, records=rows)
        await connection.execute(UPSERT, bng_id)
    if stopped:
        rows = [(session, *(row[c] for c in STOPPED[1:])) for session, row in stopped.items()]
        await connection.copy_records_to_table("staged_stops", columns=STOPPED, records=rows)
        await connection.execute(MOVE, bng_id)


async def rebaseline(
    connection: asyncpg.Connection,
    bng_id: str,
    epoch: int,
    *,
    cursor: tuple[int, int],
    live: dict[str, Row],
    lost: tuple[int, int],
    reason: str,
) -> None:
    """Begin anew from what the BNG says is there, and put the missing range of events on record.

    Sessions that are no longer there go to the history with the time of now: how they ended is not known.
    Raises FencedError.
    """
    end = {
        "stopped": await clock.ask(connection),
        "terminate_cause": None,
        "reason": reason,
        **dict.fromkeys(schema.COUNTERS),
    }
    async with connection.transaction():
        await fence(
            connection,
            "UPDATE cursors SET seq = $3, time_ns = $4 WHERE bng_id = $1 AND epoch = $2",
            *(bng_id, epoch, *cursor),
        )
        rows = await connection.fetch("SELECT session_id FROM sessions_active WHERE bng_id = $1", bng_id)
        gone = {row["session_id"] for row in rows} - set(live)
        await apply(connection, bng_id, live, dict.fromkeys(gone, end))
        await record_gap(connection, bng_id, "events", *lost, reason)
        announce(connection, schema.CHANNEL_SESSIONS, bng_id=bng_id, seq=cursor[0], session_ids=[])


async def write_samples(
    connection: asyncpg.Connection,
    encoder: SampleEncoder,
    owner: tuple[str, int],
    parts: Sequence[tuple[Part, float]],
    interval: float,
) -> None:
    """Append samples of one or more ticks and bring the live sessions' counters up to the newest, in one
    transaction.

    `owner` is (bng_id, epoch); `parts` are in order, each with `seen`, which with `interval` is as in
    `gaps.missed`. Ticks that are missing since the last one become rows of `gaps`; so does the last one, if
    another stream brought a part of it. A sample of a window that was rolled up already leaves a note for
    it. Raises FencedError.
    """
    bng_id, epoch = owner
    found = [part.samples for part, _ in parts if part.samples]
    if not found:
        await close_tick(connection, owner)
        return
    long, short = encoder.long(found), encoder.short(newest(found))
    times = [decode.stamp(samples.time_ns) for samples in found]
    tick, nested = found[-1].tick, connection.is_in_transaction()
    async with connection.transaction():
        last = await connection.fetchrow(
            "SELECT tick, sampled_at, tick_whole, tick_step FROM cursors "
            "WHERE bng_id = $1 AND epoch = $2 FOR UPDATE",
            *owner,
        )
        if last is None:
            raise FencedError
        missing, usual = _missing(last, parts, interval)
        # looks at closed_to with the lock in hand: see `rollup.settled`
        closed = await connection.fetchval(
            "UPDATE cursors SET tick = $3, sampled_at = $4, tick_whole = $5, tick_step = $6 "
            "WHERE bng_id = $1 AND epoch = $2 RETURNING (SELECT closed_to FROM rollups WHERE step = 60)",
            *(bng_id, epoch, tick, times[-1], parts[-1][0].whole, usual),
        )
        for first, until, reason in missing:
            await record_gap(connection, bng_id, "samples", first, until, reason)
        for minute in {time.replace(second=0, microsecond=0) for time in times if closed and time < closed}:
            await connection.execute(NOTE, 60, bng_id, minute)
        await connection.copy_to_table(
            "session_samples", source=BytesIO(long), columns=SAMPLE, format="binary"
        )
        if nested:  # what was written before in the transaction
            await connection.execute("DELETE FROM staged_counters")
        await connection.copy_to_table(
            "staged_counters", source=BytesIO(short), columns=STAGED_COUNTERS, format="binary"
        )
        await connection.execute(COUNT, bng_id)
        announce(connection, schema.CHANNEL_SAMPLES, bng_id=bng_id, tick=tick)
    if missing:
        metrics.GAPS.labels(bng_id, "samples").inc(len(missing))


def _missing(
    last: Mapping[str, Any], parts: Sequence[tuple[Part, float]], interval: float
) -> tuple[list[tuple[int, int, str]], int | None]:
    """What is missing before each part, and the usual number of ticks between samples from now on. `last` is
    the cursor: tick, sampled_at, tick_whole, tick_step."""
    before, whole, usual = (last["tick"], last["sampled_at"]), last["tick_whole"], last["tick_step"]
    found = []
    for part, seen in parts:
        if part.samples:
            this = part.samples.tick, decode.stamp(part.samples.time_ns)
            gap = missed(before, this, interval, Told(seen, part.samples.skipped, usual))
            usual = usual_step(before, this, interval, usual)
            if part.first and not whole and before != this:
                gap = torn(before[0], gap)
            found.append(gap)
            before = this
        whole = part.whole
    return [gap for gap in found if gap], usual


async def newest_tick(connection: asyncpg.Connection, owner: tuple[str, int]) -> Written:
    """The tick of samples that was written last, by whomever. Raises FencedError."""
    async with connection.transaction():
        # a stream that broke off may have left a transaction that is just being committed: it has the lock
        await connection.execute("SELECT FROM cursors WHERE bng_id = $1 FOR UPDATE", owner[0])
        row = await connection.fetchrow(
            """SELECT tick, sampled_at, tick_whole, ARRAY(
                   SELECT a.session_id FROM sessions_active a
                   WHERE a.bng_id = c.bng_id AND a.tick = c.tick AND a.sampled_at = c.sampled_at) AS sessions
               FROM cursors c WHERE bng_id = $1 AND epoch = $2""",
            *owner,
        )
    if row is None:
        raise FencedError
    if row["sampled_at"] is None:
        return Written()
    time_ns = (row["sampled_at"] - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
    return Written(row["tick"], time_ns, row["tick_whole"], np.array(row["sessions"], SESSION_ID))


async def close_tick(connection: asyncpg.Connection, owner: tuple[str, int]) -> None:
    """All of the newest tick was read and is written. Raises FencedError."""
    sql = "UPDATE cursors SET tick_whole = true WHERE bng_id = $1 AND epoch = $2"
    await fence(connection, sql, *owner)


async def record_gap(
    connection: asyncpg.Connection, bng_id: str, kind: str, first: int, last: int, reason: str
) -> None:
    """Put a range of events (seq) or samples (tick) that is missing on record. Behind the last number that
    there is, it is that number: what an element counts must not keep us from writing."""
    first, last = min(first, decode.MAX_BIGINT), min(last, decode.MAX_BIGINT)
    await connection.execute(
        "INSERT INTO gaps (bng_id, kind, first, last, reason) VALUES ($1, $2, $3, $4, $5)",
        *(bng_id, kind, first, last, reason),
    )


async def write_routers(connection: asyncpg.Connection, bng_id: str, routers: Sequence[Row]) -> None:
    """Make `access_routers` of a BNG what it says of them; those that it no longer knows go."""
    async with connection.transaction():
        for router in routers:
            await connection.execute(ROUTER, bng_id, *(router.get(c) for c in ROUTER_COLUMNS))
        await connection.execute(
            "DELETE FROM access_routers WHERE bng_id = $1 AND remote_id <> ALL($2)",
            bng_id,
            [router["remote_id"] for router in routers],
        )


async def write_health(
    connection: asyncpg.Connection, bng_id: str, time: datetime, row: Row, seen: datetime
) -> None:
    """Append one health report, of `time`; the BNG was last seen when it came."""
    columns = ("time", "bng_id", *schema.HEALTH, "radius_servers", "dhcp_servers")
    places = ", ".join(f"${i}" for i in range(1, len(columns) + 1))
    async with connection.transaction():
        await connection.execute(
            f"INSERT INTO health_samples ({', '.join(columns)}) VALUES ({places})",
            *(time, bng_id, *(row.get(c) for c in columns[2:])),
        )
        await write_state(connection, bng_id, last_seen=seen)
        announce(connection, schema.CHANNEL_HEALTH, bng_id=bng_id)


async def write_state(connection: asyncpg.Connection, bng_id: str, **columns: Any) -> None:
    """Set columns of `bngs`: state, error, version, instance_id, …"""
    names = ", ".join(columns)
    places = ", ".join(f"${i}" for i in range(2, len(columns) + 2))
    updates = ", ".join(f"{name} = excluded.{name}" for name in columns)
    await connection.execute(
        f"INSERT INTO bngs (bng_id, {names}) VALUES ($1, {places}) "
        f"ON CONFLICT (bng_id) DO UPDATE SET {updates}",
        *(bng_id, *columns.values()),
    )
    announce(connection, schema.CHANNEL_BNGS, bng_id=bng_id, state=columns.get("state"))


async def write_target_state(
    connection: asyncpg.Connection, owner: tuple[str, int], state: str, reason: str | None, collector: str
) -> None:
    """Begin a row of `target_state` if the state is another one, and end the one before.

    A target that stays down is one row with the first reason, however often and by whom it is tried; one
    that is up is another row with another collector. Raises FencedError when another collector owns the
    target.
    """
    target, epoch = owner
    async with connection.transaction():
        if not await connection.fetchval(
            "SELECT true FROM cursors WHERE bng_id = $1 AND epoch = $2 FOR UPDATE", target, epoch
        ):
            raise FencedError
        await connection.execute(
            """WITH same AS (
                   SELECT id FROM target_state WHERE target = $1 AND until IS NULL AND state = $2
                       AND (state = 'down' OR collector = $3)),
               ended AS (
                   UPDATE target_state SET until = now() WHERE target = $1 AND until IS NULL
                       AND NOT EXISTS (SELECT 1 FROM same))
               SELECT 1""",
            *(target, state, collector),
        )
        await connection.execute(
            """INSERT INTO target_state (target, state, reason, collector)
               SELECT $1, $2, $3, $4
               WHERE NOT EXISTS (SELECT 1 FROM target_state WHERE target = $1 AND until IS NULL)""",
            *(target, state, reason, collector),
        )
