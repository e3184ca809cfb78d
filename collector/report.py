"""What the tables say of the collectors and of what is missing: for `aether collector status` and `gaps`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import asyncpg

STATUS = """
    SELECT coalesce(l.bng_id, c.bng_id) AS target, s.state, s.since, s.reason,
           CASE WHEN l.expires > now() THEN l.owner END AS collector, c.epoch,
           c.seq AS last_event, c.sampled_at AS last_sample,
           extract(epoch FROM now() - c.sampled_at)::float8 AS sample_age,
           (SELECT count(*) FROM gaps g WHERE g.bng_id = c.bng_id AND g.filled IS NULL) AS gaps,
           (SELECT count(*) FROM events_rejected r WHERE r.bng_id = c.bng_id AND r.stored IS NULL) AS rejected
    FROM cursors c
    FULL JOIN leases l USING (bng_id)
    LEFT JOIN target_state s ON s.target = coalesce(l.bng_id, c.bng_id) AND s.until IS NULL
    ORDER BY 1"""

COLLECTORS = """
    SELECT owner AS collector, since, expires > now() AS alive, cardinality(targets) AS targets,
           (SELECT count(*) FROM leases l WHERE l.owner = c.owner AND l.expires > now()) AS held
    FROM collectors c ORDER BY 1"""

ROLLUPS = """
    SELECT step, rolled_to, extract(epoch FROM now() - rolled_to)::float8 AS age,
           (SELECT count(*) FROM rollups_late l WHERE l.step = r.step) AS late
    FROM rollups r ORDER BY step"""

GAPS = """
    SELECT id, bng_id, kind, first, last, detected, reason, filled FROM (
        SELECT id, bng_id, kind, first, last, detected, reason, filled FROM gaps
        UNION ALL SELECT id, bng_id, 'rejected', seq, seq, detected, reason, stored FROM events_rejected) AS f
    WHERE ($1::text IS NULL OR bng_id = $1) AND ($2::text IS NULL OR kind = $2)
      AND ($3::timestamptz IS NULL OR detected >= $3)
    ORDER BY detected DESC, id DESC LIMIT $4"""

HISTORY = """
    SELECT target, state, since, until, reason, collector FROM target_state
    WHERE target = $1 ORDER BY since DESC LIMIT 50"""


def _plain(row: asyncpg.Record) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in dict(row).items()
    }


async def status(connection: asyncpg.Connection, target: str | None = None) -> dict[str, Any]:
    """All targets, or one with its past states; collectors and how many targets each holds; rollups."""
    rows = [_plain(row) for row in await connection.fetch(STATUS)]
    found: dict[str, Any] = {"targets": [row for row in rows if target in (None, row["target"])]}
    if target is not None:
        found["history"] = [_plain(row) for row in await connection.fetch(HISTORY, target)]
    found["collectors"] = [_plain(row) for row in await connection.fetch(COLLECTORS)]
    found["rollups"] = [_plain(row) for row in await connection.fetch(ROLLUPS)]
    return found


async def gaps(
    connection: asyncpg.Connection,
    bng_id: str | None = None,
    kind: str | None = None,
    since: datetime | None = None,
    most: int = 1000,
) -> list[dict[str, Any]]:
    """Ranges that are missing and events that PostgreSQL did not take (kind `rejected`, whose `filled` is
    when it took them after all), the newest first."""
    return [_plain(row) for row in await connection.fetch(GAPS, bng_id, kind, since, most)]


def table(rows: Iterable[dict[str, Any]], columns: Sequence[str]) -> str:
    """Rows as aligned text with a head; None as '-'."""
    lines = [[column.replace("_", " ") for column in columns]]
    lines += [["-" if row[c] is None else _short(row[c]) for c in columns] for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.1f}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = "".join(c if c.isprintable() else " " for c in str(value))
    return text if len(text) <= 60 else text[:59] + "…"
