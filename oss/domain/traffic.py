"""Traffic over time, computed from counters.

A sample holds totals. The octets between two successive samples of a session are spread evenly over the
time between them and then added up per bucket: a missing sample makes the curve coarser, never wrong. A
total that went down was counted anew, so the whole new total is what passed since. Over more than two hours
without a sample nothing is spread. A row of a rollup is a sample that was kept, so that series of coarse
buckets are computed from rollups in the same way. Of all sessions of an access node, a BNG or the network the
collector has added the octets up already (`oss.domain.node_traffic`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import asyncpg
from pydantic import BaseModel

from collector.node_traffic import MOST_APART
from oss.database import Where
from oss.domain import node_traffic

Range = Literal["15m", "1h", "6h", "24h"]

RANGES: dict[str, timedelta] = {
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "24h": timedelta(hours=24),
}
DEFAULT_BUCKET: dict[str, int] = {"15m": 10, "1h": 60, "6h": 300, "24h": 300}

LOOKBACK = timedelta(minutes=5)
"""How far outside of the range the samples may lie that the first and the last difference are taken from, at
least."""


class TrafficPoint(BaseModel):
    """Mean rates within one bucket, bit/s; None where nothing was sampled. `time` is the bucket's start."""

    time: datetime
    in_rate: float | None
    out_rate: float | None


class TrafficSeries(BaseModel):
    range: Range
    bucket: int
    """Seconds."""
    points: list[TrafficPoint]


_OF_SESSIONS = """
samples AS (
    SELECT s.time, in_octets, out_octets,
           lag(s.time) OVER w AS before,
           lag(in_octets) OVER w AS in_before, lag(out_octets) OVER w AS out_before
    FROM {samples} s
    WHERE s.time >= $1::timestamptz - interval '{lookback}'
      AND s.time <= $2::timestamptz + interval '{lookback}' {conditions}
    WINDOW w AS (PARTITION BY s.bng_id COLLATE "C", s.session_id COLLATE "C" ORDER BY s.time)
), deltas AS (
    SELECT before, time,
           CASE WHEN in_octets >= in_before THEN in_octets - in_before ELSE in_octets END AS in_delta,
           CASE WHEN out_octets >= out_before THEN out_octets - out_before ELSE out_octets END AS out_delta
    FROM samples WHERE time > before AND time > $1 AND time - before <= interval '{most_apart}'
), intervals AS (  -- samples of one sweep share their times: one row each, however many sessions there are
    SELECT before, time, sum(in_delta) AS in_delta, sum(out_delta) AS out_delta
    FROM deltas GROUP BY before, time
)"""

_SERIES = """
WITH {intervals}, shares AS (
    SELECT n, in_delta * part AS in_octets, out_delta * part AS out_octets
    FROM intervals i
    CROSS JOIN LATERAL generate_series(
        greatest(0, floor(extract(epoch FROM i.before - $1::timestamptz) / $4::float8)::int),
        ceil(extract(epoch FROM least(i.time, $2::timestamptz) - $1) / $4::float8)::int - 1
    ) AS n
    CROSS JOIN LATERAL (
        SELECT extract(epoch FROM
                   least(i.time, $1 + (n + 1) * $3::interval) - greatest(i.before, $1 + n * $3))
               / extract(epoch FROM i.time - i.before) AS part
    ) overlap
), rates AS (
    SELECT n, sum(in_octets)::float8 * 8 / $4::float8 AS in_rate,
           sum(out_octets)::float8 * 8 / $4::float8 AS out_rate
    FROM shares GROUP BY n
)
SELECT $1 + n * $3::interval AS time, in_rate, out_rate
FROM generate_series(0, (extract(epoch FROM $2::timestamptz - $1::timestamptz) / $4::float8)::int - 1) AS n
LEFT JOIN rates USING (n)
ORDER BY n
"""


def window(
    now: datetime, range_: Range, bucket: int, newest: datetime | None = None
) -> tuple[datetime, datetime]:
    """Start and end of the range, on whole buckets, so that a series does not jitter from call to call.

    Args:
        newest: time up to which there are samples. The bucket that it lies in is known in part only: the
            range ends before it.
    """
    known = now if newest is None else min(now, newest)
    end = datetime.fromtimestamp(known.timestamp() // bucket * bucket, UTC)
    count = max(1, int(RANGES[range_].total_seconds()) // bucket)
    return end - timedelta(seconds=bucket * count), end


# the slowest of the BNGs that are sampled; one that has been silent for longer leaves a gap
_NEWEST = """
SELECT min(newest) FROM (
    SELECT max(time) AS newest FROM session_samples
    WHERE time > $1 AND time <= $2 AND ($3::text IS NULL OR bng_id = $3) GROUP BY bng_id
) n"""
LEVELS: tuple[tuple[int, str], ...] = (
    (3600, "session_samples_1h"),
    (300, "session_samples_5m"),
    (60, "session_samples_1m"),
)
"""Seconds between the samples that a rollup kept, and its table. Buckets are computed from the coarsest
rollup that has a sample for each of them."""

_ROLLED = "SELECT step, rolled_to, totals_from FROM rollups"
_ROLLED_TO = "(SELECT rolled_to FROM rollups WHERE step = {})"


def _source(bucket: int) -> tuple[str, int]:
    """Where buckets of so many seconds are computed from, as SQL, and the seconds between its samples.

    What a rollup does not have yet is taken from the next finer one, and in the end from the samples as they
    came.
    """
    levels = [(step, table) for step, table in LEVELS if step <= bucket]
    parts, since = [], ""
    for step, table in levels:
        until = _ROLLED_TO.format(step)
        parts.append(f"SELECT {_COLUMNS} FROM {table} WHERE time < {until} {since}")  # noqa: S608
        since = f"AND time >= {until}"
    parts.append(f"SELECT {_COLUMNS} FROM session_samples WHERE true {since}")  # noqa: S608
    return f"({' UNION ALL '.join(parts)})", levels[0][0] if levels else 0


_COLUMNS = "time, bng_id, session_id, in_octets, out_octets"
_LATE = timedelta(seconds=30)
"""How much later than the end of its bucket the last sample of a bucket may arrive."""


async def series(
    pool: asyncpg.Pool,
    range_: Range,
    bucket: int | None,
    *,
    bng_id: str | None = None,
    session_id: str | None = None,
    remote_id: str | None = None,
    customer_id: int | None = None,
    now: datetime | None = None,
) -> TrafficSeries:
    """Traffic of all sessions, or of those that match, in buckets of so many seconds."""
    bucket = bucket or DEFAULT_BUCKET[range_]
    now = now or datetime.now(UTC)
    newest = await pool.fetchval(_NEWEST, now - _LATE, now, bng_id)
    start, end = window(now, range_, bucket, newest)
    where = Where([start, end, timedelta(seconds=bucket), float(bucket)])
    asked = _Asked.of(where, bng_id, session_id, remote_id, customer_id)
    rolled = {row["step"]: (row["rolled_to"], row["totals_from"]) for row in await pool.fetch(_ROLLED)}
    if session_id is None and customer_id is None and node_traffic.covers(rolled, bucket, start):
        intervals = asked.lines + node_traffic.intervals(rolled, bucket, asked.of_nodes, asked.of_sessions)
    else:
        samples, step = _source(bucket)
        lookback = max(LOOKBACK, timedelta(seconds=2 * step))
        intervals = asked.lines + _OF_SESSIONS.format(
            samples=samples, lookback=lookback, most_apart=MOST_APART, conditions=asked.of_sessions
        )
    rows = await pool.fetch(_SERIES.format(intervals=intervals), *where.parameters)
    return TrafficSeries(range=range_, bucket=bucket, points=[TrafficPoint(**row) for row in rows])


@dataclass(frozen=True, slots=True)
class _Asked:
    """Whose traffic is asked for.

    Attributes:
        lines: CTE of sessions that the conditions name, or nothing.
        of_sessions: condition on samples `s`.
        of_nodes: condition on what was added up for access nodes, `s`.
    """

    lines: str
    of_sessions: str
    of_nodes: str

    @classmethod
    def of(
        cls,
        where: Where,
        bng_id: str | None,
        session_id: str | None,
        remote_id: str | None,
        customer_id: int | None,
    ) -> _Asked:
        """With their values as parameters of `where`."""
        bng = where.parameter(bng_id) if bng_id is not None else None
        of_bng = f" AND s.bng_id = {bng}" if bng else ""
        of_sessions = of_bng + (
            f" AND s.session_id = {where.parameter(session_id)}" if session_id is not None else ""
        )
        if remote_id is None and customer_id is None:
            return cls("", of_sessions, of_bng)
        remote = where.parameter(remote_id) if remote_id is not None else None
        customer = where.parameter(customer_id) if customer_id is not None else None
        lines, among = _of_lines(bng, remote, customer)
        return cls(lines, of_sessions + among, of_bng + (f" AND s.remote_id = {remote}" if remote else ""))


def _of_lines(bng: str | None, remote: str | None, customer: str | None) -> tuple[str, str]:
    """Samples carry no access line: those of the sessions, live and past, that have it.

    A customer's are those from the time the line was theirs. Takes the places of parameters. Returns the set
    of sessions, which is found once, and the condition of the samples.
    """
    service = """JOIN services v ON v.bng_id = l.bng_id AND v.remote_id = l.remote_id
            AND v.circuit_id = l.circuit_id"""
    named = (("v.customer_id", customer), ("l.remote_id", remote), ("l.bng_id", bng))
    of = " AND ".join(f"{column} = {place}" for column, place in named if place)
    since, until = ("v.created", "v.terminated") if customer else ("NULL::timestamptz",) * 2
    lines = f"""lines AS MATERIALIZED (
    SELECT DISTINCT l.bng_id, l.session_id, {since} AS since, {until} AS until
    FROM (SELECT bng_id, session_id, remote_id, circuit_id FROM sessions_active
          UNION ALL
          SELECT bng_id, session_id, remote_id, circuit_id FROM sessions_history WHERE stopped >= $1) l
    {service if customer else ""} WHERE {of}
), """  # noqa: S608
    # IS TRUE keeps this a look-up in a hash: a join would be planned for far fewer sessions than there are
    among = " AND ((s.bng_id, s.session_id) IN (SELECT bng_id, session_id FROM lines)) IS TRUE"
    theirs = """ AND EXISTS (
        SELECT 1 FROM lines l WHERE l.bng_id = s.bng_id AND l.session_id = s.session_id
          AND l.since <= s.time AND (l.until IS NULL OR l.until > s.time))"""
    return lines, among + (theirs if customer else "")
