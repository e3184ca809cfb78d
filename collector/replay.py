"""Read a BNG's journal again and add the events that are missing: `aether collector replay`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from collector import events, gnmi, rejected, schema, writer
from collector.config import Target
from collector.session import EVENTS_PATH
from telemetry.protocol import gnmi_pb2

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOST = 500
QUIET = 2.0
"""Seconds without an event after which the journal counts as read, if what the cursor names has not come."""


@dataclass(slots=True)
class Replayed:
    """What came of it.

    Attributes:
        read: events that the BNG sent.
        added: of these, how many were not in the table.
        first, last: seq of the range that was read.
        gaps_filled: rows of `gaps` whose events are all there now.
    """

    read: int = 0
    added: int = 0
    first: int | None = None
    last: int | None = None
    gaps_filled: int = 0


def nanoseconds(time: datetime) -> int:
    """Of a time, exact to the microsecond, which a float is not."""
    return (time - EPOCH) // timedelta(microseconds=1) * 1000


async def replay(
    connection: asyncpg.Connection, target: Target, since: datetime | None, *, dry: bool = False
) -> dict[str, Any]:
    """Read from `since` (None: from the oldest event that the BNG has) to where the collector has come.

    Only the table `events` is added to: live and past sessions follow the newest events, which the collector
    itself reads. May run beside it. With `dry` nothing is written. Raises grpc.aio.AioRpcError.
    """
    end = await connection.fetchval("SELECT seq FROM cursors WHERE bng_id = $1", target.bng_id) or 0
    made = Replayed()
    client = gnmi.Client(target)
    subscription = gnmi_pb2.Subscription(path=EVENTS_PATH, mode=gnmi_pb2.ON_CHANGE)
    request = gnmi.stream(subscription, since_ns=nanoseconds(since) if since else 0)
    batches = client.notifications(request, most=MOST, quiet=0.1)
    try:
        while made.last is None or made.last < end:
            try:
                batch = await asyncio.wait_for(anext(batches), QUIET)
            except (TimeoutError, StopAsyncIteration):
                break
            entries = [entry for entry in map(events.read, batch) if entry and (entry.seq or 0) <= end]
            if not entries:
                break
            made.read += len(entries)
            for seq in (entry.seq for entry in entries if entry.seq is not None):
                made.first, made.last = seq if made.first is None else made.first, seq
            made.added += await add(connection, target.bng_id, entries, dry=dry)
    finally:
        await batches.aclose()  # type: ignore[attr-defined]
        await client.close()
    if not dry:
        made.gaps_filled = await fill(connection, target.bng_id)
    return asdict(made)


async def add(
    connection: asyncpg.Connection, bng_id: str, entries: Sequence[events.Entry], *, dry: bool
) -> int:
    """Insert events that are not there. Returns how many. What PostgreSQL does not take is put on record."""
    rows = [entry.row for entry in entries if entry.row is not None]
    reason = entries[0].reason if entries else ""
    if len(rows) == len(entries):
        try:
            return await _insert(connection, bng_id, rows, dry=dry)
        except rejected.REFUSED as error:
            reason = str(error) or type(error).__name__
    if len(entries) == 1:
        if not dry:
            await rejected.record(connection, bng_id, entries[0], reason)
        return 0
    middle = len(entries) // 2
    halves = entries[:middle], entries[middle:]
    return sum([await add(connection, bng_id, half, dry=dry) for half in halves])


async def _insert(
    connection: asyncpg.Connection, bng_id: str, rows: Sequence[dict[str, Any]], *, dry: bool
) -> int:
    columns = ", ".join(schema.EVENT)
    async with connection.transaction():
        await connection.execute("CREATE TEMP TABLE again (LIKE events) ON COMMIT DROP")
        await connection.copy_records_to_table(
            "again",
            columns=schema.EVENT,
            records=[(bng_id, *(event[c] for c in schema.EVENT[1:])) for event in rows],
        )
        if dry:
            missing: int = await connection.fetchval(
                "SELECT count(*) FROM again a LEFT JOIN events e USING (bng_id, instance_id, seq) "
                "WHERE e.bng_id IS NULL"
            )
            return missing
        told = await connection.execute(
            # without a number, so outputs leave them out: they have sent newer ones, and this does not hold
            # the lock of the cursor, under which numbers become visible in their order
            f"INSERT INTO events ({columns}, number) SELECT {columns}, NULL FROM again "  # noqa: S608
            "ON CONFLICT DO NOTHING"
        )
        return int(told.rpartition(" ")[2])


async def fill(connection: asyncpg.Connection, bng_id: str) -> int:
    """Mark gaps of events as filled when each of their events is there, and events that were rejected as
    stored. Returns how many gaps."""
    await connection.execute(
        """UPDATE events_rejected r SET stored = now() FROM events e WHERE r.bng_id = $1 AND stored IS NULL
           AND e.bng_id = r.bng_id AND e.seq = r.seq AND e.time_ns = r.time_ns""",
        bng_id,
    )
    told = await connection.execute(
        """UPDATE gaps g SET filled = now() WHERE g.bng_id = $1 AND kind = 'events' AND filled IS NULL
           AND (SELECT count(DISTINCT seq) FROM events e
                WHERE e.bng_id = g.bng_id AND e.seq BETWEEN g.first AND g.last) = g.last - g.first + 1""",
        bng_id,
    )
    return int(told.rpartition(" ")[2])


async def prepared(database: str) -> asyncpg.Connection:
    """A connection for `replay`. Raises what asyncpg.connect does."""
    connection = await asyncpg.connect(database, timeout=10)
    await writer.prepare(connection)
    return connection
