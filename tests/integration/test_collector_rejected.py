"""Events that PostgreSQL does not take are put on record; those around them are written, once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from collector import events, lease, partitions, rejected, replay, report, writer
from collector.config import parse
from collector.migrations import migrate
from collector.retention import Retention
from tests.support import journal_target, postgres
from tests.support.collector_rig import Rig, rows

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]

STRANGE = len(journal_target.STRANGE)
BEGAN = 1_800_000_000 * 10**9


@pytest.fixture(scope="module")
def cluster() -> Iterator[postgres.Cluster]:
    with postgres.cluster() as made:
        yield made


@pytest.fixture
async def connection(
    cluster: postgres.Cluster, request: pytest.FixtureRequest
) -> AsyncIterator[asyncpg.Connection]:
    dsn = cluster.create(request.node.name.replace("test_", "")[:40])
    await migrate(dsn)
    made = await asyncpg.connect(dsn)
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


async def test_a_server_that_cannot_is_not_the_events_fault(connection: asyncpg.Connection) -> None:
    await connection.execute("ALTER TABLE events RENAME TO away")
    with pytest.raises(asyncpg.UndefinedTableError):
        await rejected.write_events(connection, ("b", 1), journal(1, 2))
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


async def told_and_replayed(rig: Rig, bad: int, routers: int) -> None:
    connection = await replay.prepared(rig.database)
    target = parse({"database": "x", "targets": [rig.entry()]}).targets[0]

    async def told() -> int:
        found = await report.gaps(connection, "bng-01", "rejected")
        return sum(row["filled"] is None for row in found)

    assert await told() == (await report.status(connection))["targets"][0]["rejected"] == bad
    # those of routers are events that the table takes; it is their router that it does not
    assert (await replay.replay(connection, target, None))["added"] == routers
    assert await told() == bad - routers
    await connection.close()


def test_a_collector_that_is_killed_among_them(cluster: postgres.Cluster, tmp_path: Path) -> None:
    rig = Rig(tmp_path, cluster.create("killed"))
    try:
        rig.target(400, strange=7, per_turn=2)
        collector = rig.collector(lease_ttl=1)
        rig.until("SELECT max(seq) FROM events", lambda seq: isinstance(seq, int) and seq > 100)
        collector.kill()
        collector.wait()
        rig.collector(lease_ttl=1)
        rig.until("SELECT max(seq) FROM events", lambda seq: seq == 400)
        (found,) = rows(
            rig.database,
            """SELECT (SELECT count(*) FROM events), (SELECT count(DISTINCT seq) FROM events),
               (SELECT count(*) FROM events_rejected), (SELECT count(DISTINCT time_ns) FROM events_rejected),
               (SELECT count(*) FROM gaps WHERE kind = 'events')""",
        )
        bad, routers = 400 // 7, sum(number % STRANGE == 3 for number in range(1, 400 // 7 + 1))
        assert tuple(found) == (400 - bad, 400 - bad, bad, bad, 0)
        asyncio.run(told_and_replayed(rig, bad, routers))
    finally:
        rig.end()
