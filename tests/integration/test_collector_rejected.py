"""Events that PostgreSQL does not take are put on record; those around them are written, once."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from google.protobuf import any_pb2

from collector import events, lease, partitions, rejected, replay, report, writer
from collector.config import parse
from collector.migrations import migrate
from collector.retention import Retention
from collector.session import Session
from telemetry.protocol import gnmi_pb2
from tests.support import journal_target, postgres
from tests.support.collector_rig import Rig

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]

STRANGE = len(journal_target.STRANGE)
BEGAN = 1_800_000_000 * 10**9


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    async def prepare(dsn: str) -> None:
        await migrate(dsn)
        connection = await asyncpg.connect(dsn)
        await partitions.maintain(connection, Retention())
        await connection.close()

    with postgres.cluster() as made:
        dsn = made.create("rejected")
        asyncio.run(prepare(dsn))
        yield dsn


TABLES = "events, events_rejected, sessions_active, sessions_history, cursors, leases, gaps, session_samples"


@pytest.fixture
async def connection(database: str) -> AsyncIterator[asyncpg.Connection]:
    made = await asyncpg.connect(database)
    await made.execute(f"TRUNCATE {TABLES}")
    await writer.prepare(made)
    await lease.acquire(made, ["b"], "one", 60)
    yield made
    await made.close()


def journal(first: int, last: int, strange: int = 3) -> list[events.Entry]:
    made = [journal_target.event(seq, BEGAN + seq * 1000, strange) for seq in range(first, last + 1)]
    return [entry for entry in (events.read(one.update) for one in made) if entry]


async def test_those_around_it_are_written_and_nothing_twice(connection: asyncpg.Connection) -> None:
    batch = journal(1, 60)
    assert await rejected.write_events(connection, ("b", 1), batch) == 20
    for again in (batch, batch[:7], batch[2:3]):  # as after a kill before the acknowledgement
        assert await rejected.write_events(connection, ("b", 1), again) == 0
    found = await connection.fetch("SELECT seq FROM events ORDER BY seq")
    assert [row["seq"] for row in found] == [seq for seq in range(1, 61) if seq % 3]
    found = await connection.fetch("SELECT * FROM events_rejected ORDER BY time")
    assert [row["time_ns"] for row in found] == [BEGAN + seq * 1000 for seq in range(3, 61, 3)]
    assert [row["seq"] for row in found] == [
        None if seq // 3 % STRANGE == STRANGE - 1 else seq for seq in range(3, 61, 3)
    ]
    assert all(row["reason"] and json.loads(row["notification"])["prefix"] for row in found)
    # the stop of a session was rejected: it has ended all the same; 24 and 54 are of routers
    assert await connection.fetchval("SELECT count(*) FROM sessions_active") == 2
    ended = "SELECT count(*) FROM sessions_history WHERE reason = 'its session-stop was rejected'"
    assert await connection.fetchval(ended) > 0


async def test_the_place_and_the_fence_are_those_of_all_of_it(connection: asyncpg.Connection) -> None:
    batch = journal(1, 9)
    await rejected.write_events(connection, ("b", 1), batch)
    place = "SELECT seq, time_ns, instance_id::text FROM cursors"
    assert tuple(await connection.fetchrow(place)) == (9, BEGAN + 9000, journal_target.INSTANCE)
    await connection.execute("UPDATE cursors SET epoch = 2")
    for late in (journal(10, 12), journal(12, 12), journal(15, 15)):
        with pytest.raises(writer.FencedError):
            await rejected.write_events(connection, ("b", 1), late)
    counted = "SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM events_rejected)"
    assert tuple(await connection.fetchrow(counted)) == (6, 3)
    async with connection.transaction():  # a writer of the bus has its place in it
        await rejected.write_events(connection, ("b", 2), journal(10, 12))
        await connection.execute("UPDATE cursors SET bus_seq = 7")
    assert tuple(await connection.fetchrow(counted)) == (8, 4)


async def test_a_number_that_another_event_has(connection: asyncpg.Connection) -> None:
    await rejected.write_events(connection, ("b", 1), journal(1, 2))
    other = journal_target.event(2, BEGAN + 5, 0).update
    found = [entry for entry in (events.read(other),) if entry]
    assert await rejected.write_events(connection, ("b", 1), found) == 1
    assert await connection.fetchval("SELECT seq FROM events_rejected") == 2


def nested(levels: int) -> bytes:
    """An Any in an Any, and so on."""
    octets = b""
    for _ in range(levels):
        octets = any_pb2.Any(type_url="type.example/google.protobuf.Any", value=octets).SerializeToString()
    return octets


@pytest.mark.parametrize(
    ("kind", "octets"),
    [
        ("unknown", b""),
        ("gnmi.Notification", b"\xff"),
        ("google.protobuf.Timestamp", b"\x08" + b"\xff" * 9 + b"\x01"),
        ("google.protobuf.Any", nested(1500)),
    ],
)
async def test_what_is_no_json_is_kept_as_it_came(
    connection: asyncpg.Connection, kind: str, octets: bytes
) -> None:
    strange = journal_target.event(1, BEGAN, 0).update
    strange.update[0].val.any_val.type_url = f"type.example/{kind}"
    strange.update[0].val.any_val.value = octets
    found = [entry for entry in (events.read(strange),) if entry]
    for new in (1, 0):
        assert await rejected.write_events(connection, ("b", 1), found) == new
    told = json.loads(await connection.fetchval("SELECT notification FROM events_rejected"))
    assert gnmi_pb2.Notification.FromString(base64.b64decode(told["protobuf"])) == strange


async def test_a_server_that_cannot_is_not_the_events_fault(connection: asyncpg.Connection) -> None:
    await connection.execute("ALTER TABLE events RENAME TO away")
    with pytest.raises(asyncpg.UndefinedTableError):
        await rejected.write_events(connection, ("b", 1), journal(1, 2))
    await connection.execute("ALTER TABLE away RENAME TO events")
    assert await connection.fetchval("SELECT count(*) FROM events_rejected") == 0


async def test_they_are_kept_as_long_as_is_said(connection: asyncpg.Connection) -> None:
    await rejected.write_events(connection, ("b", 1), journal(3, 3))
    now = datetime.now(UTC)
    for days, left in ((29, 1), (31, 0)):
        kept = Retention(rejected=timedelta(days=30))
        await partitions.maintain(connection, kept, now + timedelta(days=days))
        assert await connection.fetchval("SELECT count(*) FROM events_rejected") == left


async def test_a_live_session_that_cannot_be_written_is_known_to_be_there(
    connection: asyncpg.Connection,
) -> None:
    long = journal_target.STRANGE[2]["username"]
    live = {f"{n:016x}": {"username": long if n == 3 else f"u{n}"} for n in range(9)}
    more = {"cursor": (9, 0), "lost": (1, 8), "reason": "test"}
    await rejected.rebaseline(connection, ("b", 1), live, **more)
    found = await connection.fetch("SELECT session_id, username FROM sessions_active ORDER BY 1")
    assert [tuple(row) for row in found] == [(f"{n:016x}", None if n == 3 else f"u{n}") for n in range(9)]


async def test_who_is_killed_among_them_leaves_all_or_nothing(
    connection: asyncpg.Connection, database: str
) -> None:
    batch, patience, done = journal(1, 120), 0.001, False
    counted = "SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM events_rejected), seq FROM cursors"
    while not done:
        victim = await asyncpg.connect(database)
        await writer.prepare(victim)
        writing = asyncio.create_task(rejected.write_events(victim, ("b", 1), batch))
        await asyncio.wait({writing}, timeout=patience)
        victim.terminate()
        await asyncio.gather(writing, return_exceptions=True)
        ended = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        while await connection.fetchval(ended) > 1:
            await asyncio.sleep(0.005)
        found = tuple(await connection.fetchrow(counted))
        done = found == (80, 40, 120)
        assert done or found == (0, 0, 0)
        patience *= 1.5
    assert await rejected.write_events(connection, ("b", 1), batch) == 0
    assert tuple(await connection.fetchrow(counted)) == (80, 40, 120)


async def test_a_journal_with_some_of_them_is_read_and_replayed(
    connection: asyncpg.Connection, database: str, tmp_path: Path
) -> None:
    rig = Rig(tmp_path, database)
    entry = {**rig.entry(), "bng_id": "b"}
    config = parse({"database": database, "targets": [entry], "owner": "one", "lease_ttl": 60})
    rig.target(400, strange=7)

    async def told() -> int:
        found = await report.gaps(connection, "b", "rejected")
        return sum(row["filled"] is None for row in found)

    session = asyncio.create_task(Session(config, config.targets[0], 1).run())
    try:
        async with asyncio.timeout(60):
            while await connection.fetchval("SELECT seq FROM cursors") != 400:
                await asyncio.sleep(0.05)
        bad, routers = 400 // 7, sum(number % STRANGE == 3 for number in range(1, 400 // 7 + 1))
        found = await connection.fetchrow("SELECT count(*), count(DISTINCT seq) FROM events")
        assert tuple(found) == (400 - bad, 400 - bad)
        assert await connection.fetchval("SELECT count(*) FROM gaps WHERE kind = 'events'") == 0
        assert await told() == (await report.status(connection))["targets"][0]["rejected"] == bad
        # those of routers are events that the table takes; it is their router that it does not
        assert (await replay.replay(connection, config.targets[0], None))["added"] == routers
        assert await told() == bad - routers
    finally:
        session.cancel()
        await asyncio.gather(session, return_exceptions=True)
        rig.end()
