"""Traffic of access nodes, added up with the rollups: the same as from samples, whatever comes when."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from collector import migrations, node_traffic, partitions, retention, rollup, writer
from oss import database
from oss.domain import node_traffic as read
from oss.domain import traffic
from tests.support import postgres
from tests.support.samples import NOON, Store

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]

NAMES = "abcd"
SECONDS = 5 * 3600

# What is added up of a table of samples, in the plainest way.
PLAIN = """
    SELECT time, before, bng_id, coalesce(remote_id, '') AS remote_id,
           sum(CASE WHEN now >= past THEN now - past ELSE now END) AS octets
    FROM (SELECT time, bng_id, session_id, in_octets AS now,
                 lag(time) OVER life AS before, lag(in_octets) OVER life AS past
          FROM {samples} WINDOW life AS (PARTITION BY bng_id, session_id ORDER BY time)) s
    LEFT JOIN (SELECT bng_id, session_id, remote_id FROM sessions_active
               UNION ALL SELECT bng_id, session_id, remote_id FROM sessions_history) l
        USING (bng_id, session_id)
    WHERE time < $1 AND time - before <= interval '2 hours' GROUP BY 1, 2, 3, 4"""
OURS = (
    "SELECT time, before, bng_id, remote_id, in_octets AS octets FROM {totals} WHERE out_octets = in_octets"
)


@pytest.fixture
async def store(cluster: postgres.Cluster, request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    made = await Store.open(cluster.create(request.node.name))
    long_ago = NOON - timedelta(days=2)
    await made.connection.execute("UPDATE rollups SET totals_from = $1, totals_due = $1", long_ago)
    yield made
    await made.connection.close()


async def sessions(store: Store) -> None:
    """Of each kind: two live ones on one access node, one that has ended on another, an unknown one."""
    await store.connection.execute(
        """INSERT INTO sessions_active (bng_id, session_id, remote_id)
           VALUES ('bng-01', repeat('a', 16), 'an-1'), ('bng-01', repeat('b', 16), 'an-1')"""
    )
    await store.connection.execute(
        """INSERT INTO sessions_history (bng_id, session_id, remote_id, stopped)
           VALUES ('bng-01', repeat('c', 16), 'an-2', now())"""
    )


async def life(store: Store) -> None:
    """Hours with restarts of counters, silences of minutes and hours, late samples, two collectors."""
    dice = random.Random(11)
    totals, awake = dict.fromkeys(NAMES, 0), dict.fromkeys(NAMES, 0.0)
    late: list[tuple[float, dict[str, int]]] = []
    other = await asyncpg.connect(store.dsn)
    seconds = turned = 0.0
    while seconds < SECONDS:
        seconds += dice.choice((47, 97, 140))
        for name in totals:
            anew = dice.random() < 0.03
            totals[name] = dice.randrange(50) if anew else totals[name] + dice.randrange(999)
            if dice.random() < 0.03 and seconds < SECONDS - 9000:
                awake[name] = seconds + dice.choice((300, 1000, 4000, 8000))
        sampled = {name: total for name, total in totals.items() if awake[name] <= seconds}
        if dice.random() < 0.06:
            late.append((seconds, sampled))
        elif sampled:
            await store.sample(seconds, **sampled)
        if seconds - turned > 900:
            turned = seconds
            now = NOON + timedelta(seconds=seconds)
            await asyncio.gather(*(rollup.turn(c, now) for c in (store.connection, other)))
            for at, counted in late[:-1]:
                if counted:
                    await store.sample(at, **counted)
            del late[:-1]
    for at, counted in late:
        if counted:
            await store.sample(at, **counted)
    await other.close()
    for _ in range(2):
        await rollup.turn(store.connection, NOON + timedelta(seconds=seconds - 200))


async def differing(store: Store) -> list[str]:
    """Tables whose rows are not those that samples add up to."""
    found = []
    for step in node_traffic.KEPT:
        rolled = await store.connection.fetchval("SELECT rolled_to FROM rollups WHERE step = $1", step)
        for source in node_traffic.sources(step):
            table = node_traffic.TABLES[source]
            plain = await store.connection.fetch(PLAIN.format(samples=source), rolled)
            ours = await store.connection.fetch(OURS.format(totals=table))
            assert len(plain) > 4, source
            if sorted(map(tuple, plain)) != sorted(map(tuple, ours)):
                found.append(table)
    return found


async def test_what_is_added_up_is_what_samples_add_up_to(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sessions(store)
    await life(store)
    assert await differing(store) == []
    nodes = await store.connection.fetch("SELECT DISTINCT remote_id FROM node_traffic_1m")
    assert {row["remote_id"] for row in nodes} == {"an-1", "an-2", ""}

    # the OSS's pages say the same from it as from samples
    pool = await database.open_pool(store.dsn)
    newest = await store.connection.fetchval("SELECT max(time) FROM session_samples")
    asked = [
        (range_, bucket, of)
        for range_, bucket in (("6h", 10), ("6h", 60), ("24h", 300), ("24h", 3600))
        for of in ({}, {"bng_id": "bng-01"}, {"remote_id": "an-1"}, {"bng_id": "bng-01", "remote_id": "an-2"})
    ]
    ours = [await traffic.series(pool, *what[:2], **what[2], now=newest) for what in asked]
    monkeypatch.setattr(read, "covers", lambda *_: False)
    for what, found in zip(asked, ours, strict=True):
        plain = await traffic.series(pool, *what[:2], **what[2], now=newest)
        assert [p.time for p in found.points] == [p.time for p in plain.points]
        for name in ("in_rate", "out_rate"):
            rates = [getattr(p, name) for p in plain.points]
            assert any(rates), what
            assert [getattr(p, name) for p in found.points] == [r and pytest.approx(r) for r in rates], what
    await pool.close()

    # tables that came later are filled in backwards, in steps
    for table in node_traffic.TABLES.values():
        await store.connection.execute(f"TRUNCATE {table}")
    await store.connection.execute("UPDATE rollups SET totals_from = rolled_to, totals_due = $1", NOON)
    steps = dict.fromkeys(node_traffic.KEPT, 1)
    for step in steps:
        while await node_traffic.back(store.connection, step):
            steps[step] += 1
    assert steps[60] > steps[300] > steps[3600] == 1
    assert await differing(store) == []


async def test_what_comes_late_while_tables_are_filled_in_counts_once(store: Store) -> None:
    """Its window and those behind it are made again before it is their turn."""
    await sessions(store)
    for seconds in range(0, SECONDS, 30):
        await store.sample(seconds, a=seconds, c=2 * seconds)
    end = NOON + timedelta(seconds=SECONDS)
    await rollup.turn(store.connection, end)
    for table in node_traffic.TABLES.values():
        await store.connection.execute(f"TRUNCATE {table}")
    await store.connection.execute("UPDATE rollups SET totals_from = rolled_to, totals_due = $1", NOON)
    await store.sample(SECONDS - 800, a=SECONDS - 801)
    while await store.connection.fetchval("SELECT bool_or(totals_from > totals_due) FROM rollups"):
        await rollup.turn(store.connection, end)
    assert await differing(store) == []


async def test_a_session_that_is_known_late_belongs_to_its_access_node(store: Store) -> None:
    """Its samples were rolled up before the event of its start was written."""
    now = await store.connection.fetchval("SELECT date_trunc('minute', now()) - interval '10 minutes'")
    await partitions.ensure(store.connection, now)
    begin = (now - NOON).total_seconds()
    await store.connection.execute("UPDATE rollups SET closed_to = $1, rolled_to = $1", now)
    for after in (10, 70, 130):
        await store.sample(begin + after, a=100 * after)
    await rollup.turn(store.connection, now + timedelta(minutes=4))
    nodes = "SELECT remote_id, sum(in_octets)::int FROM node_traffic GROUP BY 1"
    assert [tuple(row) for row in await store.connection.fetch(nodes)] == [("", 12_000)]
    start = dict.fromkeys((*writer.schema.EVENT, "last_change")) | {
        "bng_id": "bng-01", "seq": 1, "time": now, "time_ns": 1, "type": "session-start",
        "instance_id": "00000000-0000-0000-0000-000000000001", "session_id": "a" * 16, "remote_id": "an-7",
    }  # fmt: skip
    await writer.write_events(store.connection, "bng-01", 1, [start])
    await rollup.turn(store.connection, now + timedelta(minutes=4))
    assert [tuple(row) for row in await store.connection.fetch(nodes)] == [("an-7", 12_000)]


async def test_tables_of_before_are_brought_up_to_it(cluster: postgres.Cluster) -> None:
    """By a role that may not create extensions: past sessions are searched without their index then."""
    dsn = cluster.create("upgraded")
    cluster.sql("CREATE ROLE plain LOGIN")
    admin = await asyncpg.connect(dsn)
    await admin.execute("GRANT ALL ON SCHEMA public TO plain")
    dsn = dsn.replace("postgres@", "plain@")
    await migrations.migrate(dsn, version="0009")
    connection = await asyncpg.connect(dsn)
    now = await connection.fetchval("SELECT date_trunc('hour', now())")
    for table in ("session_samples", *node_traffic.KEPT.values()):
        for day in (-1, 0):
            first, end = partitions.span(table, (now + timedelta(days=day)).date())
            await connection.execute(
                f"CREATE TABLE IF NOT EXISTS {partitions.name(table, first)} PARTITION OF {table} "
                f"FOR VALUES FROM ('{first} 00:00+00') TO ('{end} 00:00+00')"
            )
    rows = [(now - timedelta(minutes=n), "bng-01", "a", n, *[900 - n] * 6) for n in range(90, 0, -1)]
    await connection.copy_records_to_table("session_samples", records=rows)
    for step in rollup.LEVELS:
        await connection.execute(rollup.statement(step, of_one=False), now - timedelta(hours=2), now)
        await connection.execute(
            "UPDATE rollups SET closed_to = $1, rolled_to = $1 WHERE step = $2", now, step
        )

    await migrations.migrate(dsn)
    due = await connection.fetchval("SELECT totals_from - totals_due FROM rollups WHERE step = 60")
    assert due == timedelta(hours=27)
    assert await connection.fetchval("SELECT to_regclass('sessions_history_searched')") is None
    while await node_traffic.back(connection, 60):
        pass
    for table in ("node_traffic", "node_traffic_1m"):
        assert await connection.fetchval(f"SELECT sum(in_octets)::int FROM {table}") == 89
    await connection.close()
    await admin.close()


async def test_it_is_kept_as_long_as_the_samples_it_is_made_of(store: Store) -> None:
    kept = retention.Retention()
    ages = partitions.ages(kept)
    assert {ages[source] for source in node_traffic.TABLES} == {
        ages[table] for table in node_traffic.TABLES.values()
    }
    await partitions.maintain(store.connection, kept, NOON + timedelta(days=5))
    tables = (
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = $1::text::regclass ORDER BY 1"
    )
    days = [row[0] for row in await store.connection.fetch(tables, "node_traffic")]
    assert days == [f"node_traffic_202611{day}" for day in (29, 30)] + ["node_traffic_20261201"]
