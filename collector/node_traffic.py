"""Traffic of access nodes: octets of their sessions added up, made with the rollups.

A row says what passed between two successive samples, from `before` to `time`, of all sessions of an access
node that were sampled at both times. Sweeps sample all sessions of a BNG at once, so that one row stands for
as many samples as there are sessions; readers spread its octets over its time, as they would those of
each session. A total that went down was counted anew. Between samples further apart than MOST_APART nothing
is known to have passed, here and for every reader of samples.

There is a table for samples as they came and one for each rollup, computed from what that rollup kept. Rows
are written in the transaction that rolls their window up, and made again with it; those of windows that were
rolled up before there were these tables are filled in backwards, a few windows in each turn: `totals_from` in
`rollups` is how far that has come, `totals_due` where it ends.

A session belongs to the access node that it was on when its window was rolled up ('' if that is not known).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import asyncpg

MOST_APART = timedelta(hours=2)
"""Between two samples of a session; what is further apart is a gap, over which nothing is spread."""

KEPT = {60: "session_samples_1m", 300: "session_samples_5m", 3600: "session_samples_1h"}
"""Seconds of a window → the rollup."""

TABLES = {
    "session_samples": "node_traffic",
    "session_samples_1m": "node_traffic_1m",
    "session_samples_5m": "node_traffic_5m",
    "session_samples_1h": "node_traffic_1h",
}
"""Samples → what is added up of them."""

WINDOWS_AT_ONCE = 10
"""Windows of a level that are filled in backwards in one transaction."""

_COLUMNS = "time, bng_id, session_id, in_octets, out_octets"


def sources(step: int) -> tuple[str, ...]:
    """Tables that are added up when windows of a level are rolled up."""
    return ("session_samples", KEPT[step]) if step == 60 else (KEPT[step],)


def statement(step: int, source: str, *, of_one: bool) -> str:
    """INSERT of the rows of `source` with a time from $1 to $2 (whole windows); of BNG $3 only with `of_one`.

    The sample before the first one of a session in the windows is looked for in the rollup: the last sample
    of a window is always kept. Most are in the window before; those of sessions that were silent are not.
    """
    only = "AND bng_id = $3" if of_one else ""
    return f"""
    WITH fresh AS MATERIALIZED (
        SELECT {_COLUMNS} FROM {source} WHERE time >= $1::timestamptz AND time < $2::timestamptz {only}
    ), near AS MATERIALIZED (
        SELECT DISTINCT ON (bng_id, session_id) {_COLUMNS} FROM {KEPT[step]}
        WHERE time >= $1 - interval '{step} s' AND time < $1 {only}
        ORDER BY bng_id, session_id, time DESC
    ), silent AS MATERIALIZED (
        SELECT bng_id, session_id FROM fresh EXCEPT SELECT bng_id, session_id FROM near
    ), far AS (
        SELECT DISTINCT ON (bng_id, session_id) {_COLUMNS}
        FROM {KEPT[step]} JOIN silent USING (bng_id, session_id)
        WHERE time >= $1 - interval '{MOST_APART}' AND time < $1 - interval '{step} s' {only}
        ORDER BY bng_id, session_id, time DESC
    ), homes AS MATERIALIZED (
        SELECT bng_id, session_id, coalesce(a.remote_id, (
            SELECT remote_id FROM sessions_history h
            WHERE h.bng_id = s.bng_id AND h.session_id = s.session_id), '') AS remote_id
        FROM (SELECT DISTINCT bng_id, session_id FROM fresh) s
        LEFT JOIN sessions_active a USING (bng_id, session_id)
    ), pairs AS (
        SELECT *, lag(time) OVER life AS before,
               lag(in_octets) OVER life AS in_before, lag(out_octets) OVER life AS out_before
        FROM (SELECT * FROM fresh UNION ALL SELECT * FROM near UNION ALL SELECT * FROM far) s
        WINDOW life AS (PARTITION BY bng_id, session_id ORDER BY time)
    )
    INSERT INTO {TABLES[source]} (time, before, bng_id, remote_id, in_octets, out_octets)
    SELECT time, before, bng_id, remote_id,
           sum(CASE WHEN in_octets >= in_before THEN in_octets - in_before ELSE in_octets END),
           sum(CASE WHEN out_octets >= out_before THEN out_octets - out_before ELSE out_octets END)
    FROM pairs JOIN homes USING (bng_id, session_id)
    WHERE time >= $1 AND time > before AND time - before <= interval '{MOST_APART}'
    GROUP BY time, before, bng_id, remote_id"""  # noqa: S608


async def make(connection: asyncpg.Connection, step: int, begin: datetime, end: datetime) -> None:
    """Add up windows that were rolled up just now. In the transaction of the rollup."""
    for source in sources(step):
        await connection.execute(statement(step, source, of_one=False), begin, end)


async def again(
    connection: asyncpg.Connection, step: int, bng_id: str, begins: list[datetime], rolled: datetime
) -> None:
    """Add up windows of a BNG again, and what comes after them as far as a sample of them may be the one
    before. In the transaction that rolls them up again."""
    for begin, end in spans(begins, timedelta(seconds=step) + MOST_APART, rolled):
        for source in sources(step):
            await connection.execute(
                f"DELETE FROM {TABLES[source]} WHERE bng_id = $1 AND time >= $2 AND time < $3",  # noqa: S608
                *(bng_id, begin, end),
            )
            await connection.execute(statement(step, source, of_one=True), begin, end, bng_id)


def spans(begins: list[datetime], width: timedelta, limit: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Times from each of `begins` on, `width` long, none after `limit`; those that touch as one."""
    held: tuple[datetime, datetime] | None = None
    for begin in sorted(begins):
        if held and begin <= held[1]:
            held = held[0], begin + width
            continue
        if held:
            yield held[0], min(held[1], limit)
        held = begin, begin + width
    if held:
        yield held[0], min(held[1], limit)


async def back(connection: asyncpg.Connection, step: int) -> bool:
    """Fill in some of what was rolled up before there were these tables. Returns whether there is more."""
    async with connection.transaction():
        state = await connection.fetchrow(
            "SELECT totals_from, totals_due FROM rollups WHERE step = $1 FOR UPDATE SKIP LOCKED", step
        )
        if state is None or state["totals_from"] <= state["totals_due"]:
            return False
        end = state["totals_from"]
        begin = max(state["totals_due"], end - timedelta(seconds=step) * WINDOWS_AT_ONCE)
        for source in sources(step):  # windows that samples came late for were made again already
            await connection.execute(
                f"DELETE FROM {TABLES[source]} WHERE time >= $1 AND time < $2",  # noqa: S608
                *(begin, end),
            )
        await make(connection, step, begin, end)
        await connection.execute("UPDATE rollups SET totals_from = $2 WHERE step = $1", step, begin)
        return bool(begin > state["totals_due"])
