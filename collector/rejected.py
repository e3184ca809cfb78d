"""Events that PostgreSQL does not take: each is put on record whole, and those around it are written."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import asyncpg
import structlog
from google.protobuf import json_format
from google.protobuf.message import Error

from collector import decode, schema, writer
from collector.events import Entry
from collector.fold import Row
from collector.metrics import REJECTED

log = structlog.get_logger()

Owner = tuple[str, int]
"""BNG and epoch."""

REFUSED = (
    *(asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.ProgramLimitExceededError),
    *(ValueError, TypeError, KeyError, AttributeError, OverflowError),
)
"""What comes of a value that PostgreSQL, or asyncpg on the way to it, does not take, and of nothing else: a
server that is away, full or busy, and a lease that is lost, are other exceptions. asyncpg's own for values
is a ValueError."""

MOST_REASON = 500

INSERT = """
    INSERT INTO events_rejected
        (bng_id, instance_id, seq, time, time_ns, type, session_id, reason, notification)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING"""


async def write_events(connection: asyncpg.Connection, owner: Owner, entries: Sequence[Entry]) -> int:
    """`writer.write_events` for entries of any kind, in order: all that is to be had of them, or nothing.

    Returns how many were rejected. One that was written or rejected before is left out, so that a journal
    may be read again. Raises FencedError.
    """
    rows = [entry.row for entry in entries if entry.row is not None]
    if len(rows) == len(entries):
        with suppress(*REFUSED):
            await writer.write_events(connection, *owner, rows)
            return 0
    async with connection.transaction():
        named = [entry for entry in entries if entry.seq is not None]
        if named:
            place = named[-1].seq, named[-1].time_ns
            moved = "UPDATE cursors SET seq = $3, time_ns = $4 WHERE bng_id = $1 AND epoch = $2"
            await writer.fence(connection, moved, *owner, *place)
        else:
            same = "UPDATE cursors SET seq = seq WHERE bng_id = $1 AND epoch = $2"
            await writer.fence(connection, same, *owner)
        refused = await _sift(connection, owner, await unknown(connection, owner[0], entries))
    if refused:
        REJECTED.labels(owner[0]).inc(len(refused))
        first = refused[0]
        log.error(
            "collector.events-rejected",
            bng_id=owner[0],
            count=len(refused),
            seq=first.seq,
            reason=first.reason,
        )
    return len(refused)


async def unknown(connection: asyncpg.Connection, bng_id: str, entries: Sequence[Entry]) -> list[Entry]:
    """The entries without those whose event is in the table already."""
    rows = await connection.fetch(
        "SELECT instance_id::text, seq, time_ns FROM events WHERE bng_id = $1 AND seq = ANY($2::bigint[])",
        *(bng_id, [entry.seq for entry in entries if entry.seq is not None]),
    )
    there = {tuple(row) for row in rows}
    return [
        entry
        for entry in entries
        if entry.row is None or (entry.row["instance_id"], entry.seq, entry.time_ns) not in there
    ]


async def _sift(connection: asyncpg.Connection, owner: Owner, entries: Sequence[Entry]) -> list[Entry]:
    """Write what can be written, in order, by halves; put the rest on record and return it."""
    rows = [entry.row for entry in entries if entry.row is not None]
    reason = entries[0].reason if entries else ""
    if len(rows) == len(entries):
        try:
            async with connection.transaction():
                await _append(connection, owner, rows)
            return []
        except REFUSED as error:
            reason = str(error) or type(error).__name__
    if len(entries) == 1:
        new = await record(connection, owner[0], entries[0], reason)
        return [dataclasses.replace(entries[0], reason=line(reason))] if new else []
    middle = len(entries) // 2
    halves = entries[:middle], entries[middle:]
    return [entry for half in halves for entry in await _sift(connection, owner, half)]


async def _append(connection: asyncpg.Connection, owner: Owner, rows: list[Row]) -> None:
    if rows:
        instance = rows[-1]["instance_id"]
        sql = "UPDATE cursors SET instance_id = coalesce($3, instance_id) WHERE bng_id = $1 AND epoch = $2"
        await writer.fence(connection, sql, *owner, instance)
        await connection.execute(writer.UNSTAGE)
        await writer.append_events(connection, owner[0], rows)


def _json(entry: Entry) -> str:
    """All of the event, always the same text for the same event."""
    try:
        return str(json_format.MessageToJson(entry.notification, indent=None, sort_keys=True))
    except (TypeError, ValueError, RecursionError, json_format.Error, Error):
        # an Any of a type that nobody here knows, that is broken, or with others in it
        octets = entry.notification.SerializeToString(deterministic=True)
        return json.dumps({"protobuf": base64.b64encode(octets).decode()})


async def rebaseline(connection: asyncpg.Connection, owner: Owner, live: dict[str, Row], **more: Any) -> None:
    """`writer.rebaseline`; of a live session that PostgreSQL does not take no more is written than that it is
    there. Raises FencedError."""
    with suppress(*REFUSED):
        await writer.rebaseline(connection, *owner, live=live, **more)
        return
    refused = await _unstorable(connection, owner[0], live)
    log.error("collector.session-rejected", bng_id=owner[0], count=len(refused), reason="not storable")
    bare: dict[str, Row] = {name: {} for name in refused if decode.is_session(name)}
    stored = {name: row for name, row in live.items() if name not in refused}
    await writer.rebaseline(connection, *owner, live={**stored, **bare}, **more)


async def _unstorable(connection: asyncpg.Connection, bng_id: str, live: dict[str, Row]) -> set[str]:
    """The sessions that cannot be written, found by halves; nothing is written."""
    trial = connection.transaction()
    await trial.start()
    try:
        await writer.apply(connection, bng_id, live, {})
        return set()
    except REFUSED:
        if len(live) == 1:
            return set(live)
    finally:
        await trial.rollback()
    names = sorted(live)
    halves = names[: len(names) // 2], names[len(names) // 2 :]
    found = [await _unstorable(connection, bng_id, {name: live[name] for name in half}) for half in halves]
    return found[0] | found[1]


def line(reason: str) -> str:
    """Text from elsewhere as a reason: one line that PostgreSQL takes."""
    return " ".join(reason.replace("\0", "\ufffd").split())[:MOST_REASON]


async def record(connection: asyncpg.Connection, bng_id: str, entry: Entry, reason: str) -> bool:
    """Put an event on record. Returns whether it is new there. A session whose end was rejected has ended all
    the same."""
    kind, session = entry.text("type"), entry.text("session-id")
    time = decode.stamp(entry.time_ns)
    told = await connection.execute(
        INSERT,
        *(bng_id, entry.text("instance-id"), entry.seq, time, entry.time_ns, kind, session, line(reason)),
        _json(entry),
    )
    new = bool(told == "INSERT 0 1")
    if new and kind == "session-stop" and decode.is_session(session):
        end = {"stopped": time, "terminate_cause": None, "reason": "its session-stop was rejected"}
        await connection.execute(writer.UNSTAGE)
        await writer.apply(connection, bng_id, {}, {session: {**end, **dict.fromkeys(schema.COUNTERS)}})
    return new
