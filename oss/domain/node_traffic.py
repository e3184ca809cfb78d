"""Intervals of traffic from what the collector adds up for each access node (`collector.node_traffic`).

What is not rolled up yet, the newest minute or so, comes from samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from collector.node_traffic import MOST_APART

LEVELS: tuple[tuple[int, str], ...] = (
    (3600, "node_traffic_1h"),
    (300, "node_traffic_5m"),
    (60, "node_traffic_1m"),
)
"""Seconds between samples, and what is added up of them."""

Rolled = Mapping[int, tuple[datetime, datetime]]
"""Step → rolled_to, totals_from."""


def covers(rolled: Rolled, bucket: int, start: datetime) -> bool:
    """Whether all that buckets of so many seconds are read from has been added up since a time."""
    return 60 in rolled and all(
        since <= start for step, (_, since) in rolled.items() if step <= max(60, bucket)
    )


def intervals(rolled: Rolled, bucket: int, conditions: str, live_conditions: str) -> str:
    """CTEs up to `intervals` (before, time, in_delta, out_delta) from $1 to $2.

    `rolled` may be older than what the statement finds: each part ends where the next one begins.
    """
    parts, since = [], ""
    levels = [(rolled[step][0], table) for step, table in LEVELS if step <= bucket]
    for until, table in [*levels, (rolled[60][0], "node_traffic")]:
        parts.append(f"""
        SELECT before, time, in_octets AS in_delta, out_octets AS out_delta FROM {table} s
        WHERE time > $1::timestamptz AND time <= $2::timestamptz + interval '{MOST_APART}' AND before < $2
          AND time < {_literal(until)} {since} {conditions}""")  # noqa: S608
        since = f"AND time >= {_literal(until)}"
    live = _literal(rolled[60][0])
    return f"""
    newest AS (
        SELECT time, in_octets, out_octets, lag(time) OVER life AS before,
               lag(in_octets) OVER life AS in_before, lag(out_octets) OVER life AS out_before
        FROM (
            SELECT time, bng_id, session_id, in_octets, out_octets FROM session_samples
            WHERE time >= {live} AND time > $1::timestamptz
              AND time <= $2::timestamptz + interval '{MOST_APART}'
            UNION ALL
            SELECT time, bng_id, session_id, in_octets, out_octets FROM session_samples_1m
            WHERE time >= {live} - interval '5 minutes' AND time < {live}
        ) s WHERE true {live_conditions}
        WINDOW life AS (PARTITION BY bng_id COLLATE "C", session_id COLLATE "C" ORDER BY time)
    ), deltas AS (
        SELECT before, time,
            CASE WHEN in_octets >= in_before THEN in_octets - in_before ELSE in_octets END AS in_delta,
            CASE WHEN out_octets >= out_before THEN out_octets - out_before ELSE out_octets END AS out_delta
        FROM newest
        WHERE time >= {live} AND time > before AND time - before <= interval '{MOST_APART}'
        UNION ALL {" UNION ALL ".join(parts)}
    ), intervals AS (
        SELECT before, time, sum(in_delta) AS in_delta, sum(out_delta) AS out_delta
        FROM deltas GROUP BY before, time
    )"""  # noqa: S608


def _literal(time: datetime) -> str:
    """As a constant, so that partitions are passed over when the statement is planned."""
    return f"'{time.isoformat()}'::timestamptz"
