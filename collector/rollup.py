"""Rollups: samples thinned to one per minute, five minutes and hour. Counters stay counters.

A row of a rollup is a sample that was kept, with its own time and totals, so that whoever computes rates from
samples computes the same from rollups, only coarser. Of each session are kept

- the last sample of each window,
- the last one before a counter went down, and the first one after: what passed on both sides is not lost,
- the first one after a window without any: the edge of a gap, or the begin of the session.

`samples` is how many samples the window had, on its last row, and 0 on the others.

**Exactly once**, with any number of collectors: a window is written in the transaction that moves
`rolled_to` in `rollups`, under the lock of that row. A window is *closed* first (`closed_to`), and nothing
is rolled up before every transaction of samples that began earlier has ended (`settled`). Whoever writes a
sample that belongs to a closed window leaves a note in `rollups_late` in the same transaction; such a
window is made again. So is what is added up of it for each access node (`node_traffic`).
"""

from __future__ import annotations

from datetime import datetime, timedelta

import asyncpg

from collector import node_traffic
from collector.schema import COUNTERS

LEVELS = {
    60: ("session_samples", "session_samples_1m"),
    300: ("session_samples_1m", "session_samples_5m"),
    3600: ("session_samples_5m", "session_samples_1h"),
}
"""Seconds of a window → where from, where to."""

GRACE = timedelta(seconds=10)
"""How long after its end a minute is closed. Later samples are not lost, they cost the window a second
time."""

MOST_WINDOWS = 10
"""Windows in one transaction, after an outage."""

MOST_LATE = 200
"""Windows that are made again in one turn."""

_COUNTERS = ", ".join(COUNTERS)
_WENT_DOWN = " OR ".join(f"lead({c}) OVER life < {c} OR lag({c}) OVER life > {c}" for c in COUNTERS)
_MARKED = ", ".join(f"m.{c}" for c in COUNTERS)
_BELOW_KNOWN = " OR ".join(f"m.{c} < k.{c}" for c in COUNTERS)


def statement(step: int, *, of_one: bool) -> str:
    """INSERT of the windows from $1 to $2 (whole ones); of BNG $3 only with `of_one`."""
    source, target = LEVELS[step]
    samples = "1" if step == 60 else "samples"
    only = "AND bng_id = $3" if of_one else ""
    return f"""
    WITH source AS (
        SELECT time, bng_id, session_id, {_COUNTERS}, {samples} AS samples,
               date_bin('{step} s', time, '2000-01-01 00:00+00') AS bin
        FROM {source} WHERE time >= $1::timestamptz AND time < $2::timestamptz {only}
    ), known AS (
        SELECT DISTINCT ON (bng_id, session_id) bng_id, session_id, {_COUNTERS} FROM {target}
        WHERE time >= $1::timestamptz - interval '{step} s' AND time < $1 {only}
        ORDER BY bng_id, session_id, time DESC
    ), marked AS (
        SELECT *, sum(samples) OVER (PARTITION BY bng_id, session_id, bin) AS total,
               lead(bin) OVER life IS DISTINCT FROM bin AS is_last,
               ({_WENT_DOWN}) AS went_down,
               lag(bin) OVER life AS bin_before
        FROM source WINDOW life AS (PARTITION BY bng_id, session_id ORDER BY time)
    )
    INSERT INTO {target} (time, bng_id, session_id, samples, {_COUNTERS})
    SELECT time, bng_id, session_id, CASE WHEN is_last THEN total ELSE 0 END, {_MARKED}
    FROM marked m LEFT JOIN known k USING (bng_id, session_id)
    WHERE is_last OR went_down OR bin_before < bin - interval '{step} s'
       OR (bin_before IS NULL AND (bin > $1 OR k.in_octets IS NULL OR {_BELOW_KNOWN}))"""  # noqa: S608


async def turn(connection: asyncpg.Connection, now: datetime | None = None) -> int:
    """Roll up all that is due. `now` is for tests; else it is the database's. Returns the windows that were
    made."""
    await connection.execute(
        "UPDATE rollups SET closed_to = greatest(closed_to, "
        "date_bin('60 s', coalesce($1, now()) - $2::interval, '2000-01-01 00:00+00')) WHERE step = 60",
        now,
        GRACE,
    )
    await settled(connection)
    made = 0
    for step in LEVELS:
        if step > 60:
            await _close_above(connection, step)
        while windows := await _roll(connection, step):
            made += windows
        made += await _again(connection, step)
        await node_traffic.back(connection, step)
    return made


async def settled(connection: asyncpg.Connection) -> None:
    """Wait until each transaction of samples that may not know of the last closing has ended.

    They hold the lock of their BNG's cursor while they write, and look at `closed_to` after they got it.
    """
    rows = await connection.fetch("SELECT bng_id FROM cursors")
    busy = {row["bng_id"] for row in rows}
    free = await connection.fetch("SELECT bng_id FROM cursors FOR SHARE SKIP LOCKED")
    for bng_id in busy - {row["bng_id"] for row in free}:
        # one by one, so that waiting for one holds up no other
        await connection.execute("SELECT 1 FROM cursors WHERE bng_id = $1 FOR SHARE", bng_id)


async def _close_above(connection: asyncpg.Connection, step: int) -> None:
    below = max(other for other in LEVELS if other < step)
    await connection.execute(
        """UPDATE rollups SET closed_to = greatest(closed_to, (
               SELECT date_bin($3::interval, rolled_to, '2000-01-01 00:00+00') FROM rollups WHERE step = $2))
           WHERE step = $1""",
        *(step, below, timedelta(seconds=step)),
    )


async def _roll(connection: asyncpg.Connection, step: int) -> int:
    """The next closed windows of a level, MOST_WINDOWS at most."""
    async with connection.transaction():
        state = await connection.fetchrow(
            "SELECT rolled_to, closed_to FROM rollups WHERE step = $1 FOR UPDATE SKIP LOCKED", step
        )
        if state is None or state["rolled_to"] >= state["closed_to"]:
            return 0
        end = min(state["closed_to"], state["rolled_to"] + timedelta(seconds=step) * MOST_WINDOWS)
        await connection.execute(statement(step, of_one=False), state["rolled_to"], end)
        await node_traffic.make(connection, step, state["rolled_to"], end)
        await connection.execute("UPDATE rollups SET rolled_to = $2 WHERE step = $1", step, end)
        return int((end - state["rolled_to"]) // timedelta(seconds=step))


async def _again(connection: asyncpg.Connection, step: int) -> int:
    """Make windows again that samples came late for, and tell the level above."""
    width = timedelta(seconds=step)
    above = min((other for other in LEVELS if other > step), default=None)
    async with connection.transaction():
        rolled = await connection.fetchval(
            "SELECT rolled_to FROM rollups WHERE step = $1 FOR UPDATE SKIP LOCKED", step
        )
        if rolled is None:
            return 0
        late = await connection.fetch(
            """DELETE FROM rollups_late WHERE ctid IN (
                   SELECT ctid FROM rollups_late WHERE step = $1 AND time < $2 ORDER BY time LIMIT $3)
               RETURNING bng_id, time""",
            *(step, rolled, MOST_LATE),
        )
        windows = {(row["bng_id"], row["time"]) for row in late}
        # the next one begins where this one ends: it may have to keep its first sample now
        windows |= {(bng_id, begin + width) for bng_id, begin in windows if begin + width < rolled}
        for bng_id, begin in sorted(windows):
            await connection.execute(
                f"DELETE FROM {LEVELS[step][1]} WHERE bng_id = $1 AND time >= $2 AND time < $3",  # noqa: S608
                *(bng_id, begin, begin + width),
            )
            await connection.execute(statement(step, of_one=True), begin, begin + width, bng_id)
            if above:
                await connection.execute(NOTE, above, bng_id, begin)
        for bng_id in {bng_id for bng_id, _ in windows}:
            begins = [begin for known, begin in windows if known == bng_id]
            await node_traffic.again(connection, step, bng_id, begins, rolled)
        return len(late)


NOTE = """
    INSERT INTO rollups_late
    SELECT $1::int, $2, date_bin(make_interval(secs => $1::int), $3::timestamptz, '2000-01-01 00:00+00')
    ON CONFLICT DO NOTHING"""
"""Note that a sample of BNG $2 and time $3 belongs to a window of level $1 that was closed."""
