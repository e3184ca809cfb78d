"""The collector against a real PostgreSQL and a target that keeps its journal across a kill."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np
import pytest

from collector import balance, copyformat, lease, partitions, writer
from collector.config import CollectorConfig, Target
from collector.foreign.session import ForeignSession
from collector.migrations import migrate
from collector.retention import Retention
from collector.schema import CHANNEL_BNGS, CHANNEL_SAMPLES, CHANNEL_SESSIONS, CHANNELS
from collector.service import Service
from collector.session import Session
from collector.targets import AnyTarget
from collector.template import SESSION_ID, Samples
from collector.ticks import Part, Ticks
from tests.support import postgres
from tests.support.collector_rig import ROOT, Rig, rows
from tests.support.waiting import until, wait_for

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[postgres.Cluster]:
    with postgres.cluster(fsync=True) as made:
        yield made


@pytest.fixture
def database(cluster: postgres.Cluster, request: pytest.FixtureRequest) -> str:
    return cluster.create(request.node.name.replace("[", "_").rstrip("]"))


@pytest.fixture
def rig(tmp_path: Path, database: str) -> Iterator[Rig]:
    made = Rig(tmp_path, database)
    yield made
    made.end()


def test_a_session_ends_with_the_counters_of_its_last_event(rig: Rig) -> None:
    rig.target(2000)
    rig.collector()
    rig.until("SELECT count(*) FROM sessions_history", lambda n: n == 1000)
    final = rows(rig.database, "SELECT * FROM sessions_history WHERE session_id = '00000000000003e8'")[0]
    assert (final["in_octets"], final["out_discards"]) == (1_000_000, 1_000_005)
    assert final["terminate_cause"] == "User-Request"
    assert final["during"].lower == final["started"]


def test_postgresql_dies_and_comes_back(rig: Rig, cluster: postgres.Cluster) -> None:
    total = 2001
    rig.target(total)
    rig.collector()
    rig.until("SELECT count(*) FROM events", lambda n: isinstance(n, int) and n > 0)
    cluster.stop(kill=True)
    time.sleep(1)
    cluster.start()
    rig.until("SELECT count(*) FROM events", lambda n: n == total)
    live = rows(rig.database, "SELECT session_id, status FROM sessions_active")
    assert [tuple(row) for row in live] == [(f"{1001:016x}", "authorizing")]


async def test_what_is_committed_is_announced(rig: Rig) -> None:
    await migrate(rig.database)
    heard: dict[str, dict[str, Any]] = {}
    listener = await asyncpg.connect(rig.database)
    for channel in CHANNELS:
        await listener.add_listener(channel, lambda *told: heard.setdefault(told[2], json.loads(told[3])))
    rig.target(3)
    rig.collector()
    await until(lambda: set(heard) >= {CHANNEL_SESSIONS, CHANNEL_SAMPLES, CHANNEL_BNGS}, 30)
    assert heard[CHANNEL_SAMPLES]["tick"] > 0
    assert heard[CHANNEL_SESSIONS]["seq"] > 0
    assert heard[CHANNEL_BNGS] == {"bng_id": heard[CHANNEL_SAMPLES]["bng_id"], "state": "connected"}
    await listener.close()


def test_samples_reach_tables_and_live_sessions(rig: Rig) -> None:
    rig.target(1)
    rig.collector()
    rig.until("SELECT in_octets FROM sessions_active", lambda n: isinstance(n, int) and n > 20)
    found = rows(rig.database, "SELECT * FROM session_samples ORDER BY tick")
    ticks = [row["tick"] for row in found]
    assert ticks == sorted(ticks)
    for row in found:
        assert (row["in_octets"], row["out_discards"]) == (10 * row["tick"], 10 * row["tick"] + 5)
        assert row["session_id"] in (f"{1:016x}", f"{2:016x}")
    assert rows(rig.database, "SELECT state FROM bngs")[0]["state"] == "connected"


def test_a_tick_that_was_read_in_part_becomes_a_gap(rig: Rig) -> None:
    """The BNG falls silent within a tick, and it and the collector die."""
    target, collector = rig.target(1), rig.collector(lease_ttl=1)
    whole = "SELECT tick FROM cursors WHERE tick_whole"
    rig.until(whole, lambda tick: tick is not None)
    (rig.folder / "control.json").write_text('{"torn": true}')
    torn = rig.until("SELECT tick FROM cursors WHERE NOT tick_whole", lambda tick: tick is not None)
    for process in (collector, target):
        process.kill()
        process.wait()
    counts = rows(rig.database, "SELECT tick, count(*) FROM session_samples GROUP BY tick ORDER BY tick")
    assert [row["count"] for row in counts] == [2] * (len(counts) - 1) + [1]
    (rig.folder / "control.json").write_text("{}")
    rig.target(1)
    rig.collector(lease_ttl=1)
    rig.until(whole, lambda tick: tick is not None)
    (gap,) = rows(rig.database, f"SELECT reason FROM gaps WHERE first = {torn}")
    assert f"of tick {torn} only a part" in gap["reason"]


def test_events_that_are_no_longer_retained_become_a_gap(rig: Rig) -> None:
    target, collector = rig.target(50), rig.collector()
    rig.until("SELECT count(*) FROM events", lambda n: n == 50)
    for process in (collector, target):
        process.kill()
        process.wait()
    rig.target(200, oldest=101, live=7000)  # more than one message may hold
    time.sleep(3)
    rig.collector()
    rig.until("SELECT count(*) FROM events", lambda n: n == 150)
    rig.until("SELECT count(*) FROM sessions_active WHERE status = 'active'", lambda n: n == 7000)
    assert rig.until("SELECT max(seq) FROM events", lambda n: n == 200)
    gap = rows(rig.database, "SELECT first, last, kind FROM gaps WHERE kind = 'events'")
    assert [tuple(row) for row in gap] == [(51, 100, "events")]
    # the journal turns up again, say from another disk
    status, told = rig.ask("gaps", "--kind", "events", "--json")
    assert (status, [(row["first"], row["last"]) for row in told]) == (1, [(51, 100)])
    assert rig.ask("replay", "--bng", "bng-01", "--json")[1]["added"] == 0
    (rig.folder / "control.json").write_text('{"oldest": 61}')
    dry = ("replay", "--bng", "bng-01", "--dry-run", "--json")
    wait_for("the journal goes back to 61", lambda: rig.ask(*dry)[1]["added"] == 40)
    assert rig.ask("replay", "--bng", "bng-01", "--json")[1] == {
        "read": 140,
        "added": 40,
        "first": 61,
        "last": 200,
        "gaps_filled": 0,
    }
    (rig.folder / "control.json").write_text('{"oldest": 1}')
    wait_for("the journal goes back to 1", lambda: rig.ask(*dry)[1]["first"] == 1)
    since = rows(rig.database, "SELECT time FROM events WHERE seq = 50")[0][0].isoformat()
    found = rig.ask("replay", "--bng", "bng-01", "--since", since, "--json")[1]
    assert (found["first"], found["added"], found["gaps_filled"]) == (50, 10, 1)
    # outputs go by number
    assert rows(rig.database, "SELECT count(*) FROM events WHERE number IS NULL")[0][0] == 50
    assert rig.ask("gaps", "--kind", "events", "--json") == (0, [])
    (state,) = rig.ask("status", "--bng", "bng-01", "--json")[1]["targets"]
    assert (state["state"], state["collector"], state["last_event"]) == ("up", "one", 200)
    assert rig.ask("bench", "--seconds", "0.2", "--json")[1]["ratio"] > 0


def test_a_second_collector_takes_over_from_a_dead_one(rig: Rig) -> None:
    rig.target(4000)
    first = rig.collector("one")
    rig.until("SELECT count(*) FROM events", lambda n: isinstance(n, int) and n > 0)
    rig.collector("two")
    time.sleep(1)
    os.kill(first.pid, signal.SIGSTOP)  # silent, but it still believes to own the lease
    rig.until("SELECT owner FROM leases", lambda owner: owner == "two")
    os.kill(first.pid, signal.SIGCONT)
    rig.until("SELECT count(*) FROM events", lambda n: n == 4000)
    assert rows(rig.database, "SELECT count(DISTINCT seq) FROM events")[0][0] == 4000
    assert rows(rig.database, "SELECT count(*) FROM gaps WHERE kind = 'events'")[0][0] == 0


async def test_a_fenced_owner_writes_nothing(database: str) -> None:
    await migrate(database)
    connection = await asyncpg.connect(database)
    try:
        await writer.prepare(connection)
        await partitions.maintain(connection, Retention())
        assert await lease.acquire(connection, ["bng-01"], "one", 0) == {"bng-01": 1}
        assert await lease.acquire(connection, ["bng-01"], "two", 60) == {"bng-01": 2}
        assert await lease.renew(connection, {"bng-01": 1}, "one", 60) == {"bng-01"}
        samples = Samples(time.time_ns(), np.array(["0" * 16], SESSION_ID), np.ones((1, 7), np.int64))
        part = Part(samples, True, True)
        encoder = copyformat.SampleEncoder("bng-01")
        for epoch, fenced in ((1, True), (2, False)):
            write = writer.write_samples(connection, encoder, ("bng-01", epoch), [(part, 0.0)], 5)
            if fenced:
                with pytest.raises(writer.FencedError):
                    await write
            else:
                await write
        assert await connection.fetchval("SELECT count(*) FROM session_samples") == 1
    finally:
        await connection.close()


async def test_several_ticks_in_one_transaction(database: str) -> None:
    """Each is judged by the one before it, and only of the last one a part may be missing."""
    await migrate(database)
    connection = await asyncpg.connect(database)
    encoder, owner = copyformat.SampleEncoder("bng-01"), ("bng-01", 1)
    now = time.time_ns() // 1000 * 1000

    def samples(tick: int, *names: str) -> Samples:
        sessions = np.array([name * 16 for name in names], SESSION_ID)
        return Samples(now + tick * 10**9, sessions, np.full((len(names), 7), tick, np.int64))

    async def write(cutter: Ticks, *messages: Samples | None) -> None:
        parts = [(part, 0.0) for part in cutter.take(messages, more=False)]
        await writer.write_samples(connection, encoder, owner, parts, 1)

    async def counts(select: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await connection.fetch(select)]

    try:
        await writer.prepare(connection)
        await partitions.maintain(connection, Retention())
        await lease.acquire(connection, ["bng-01"], "one", 600)
        await connection.execute(
            "INSERT INTO sessions_active (bng_id, session_id) SELECT 'bng-01', repeat(s, 16) "
            "FROM unnest($1::text[]) AS s",
            ["a", "b", "c"],
        )
        first = Ticks(await writer.newest_tick(connection, owner))
        await write(first, samples(1, "a", "b"), samples(2, "a", "b", "c"), None, samples(6, "a"))
        gaps = "SELECT first, last FROM gaps ORDER BY id"
        assert await counts(gaps) == [(3, 5)]
        live = "SELECT left(session_id, 1), tick, in_octets FROM sessions_active ORDER BY 1"
        assert await counts(live) == [("a", 6, 6), ("b", 2, 2), ("c", 2, 2)]
        last = await writer.newest_tick(connection, owner)
        assert (last.tick, last.whole, last.sessions.tolist()) == (6, False, [b"a" * 16])
        # the same tick again, and more behind it
        await write(Ticks(last), samples(6, "a"), samples(6, "b"), samples(7, "a", "b"))
        assert await counts("SELECT tick, count(*) FROM session_samples GROUP BY tick ORDER BY tick") == [
            *((1, 2), (2, 3), (6, 2), (7, 2))
        ]
        assert await counts(gaps) == [(3, 5)]
        # another one: of the seventh only a part may have been read
        last = await writer.newest_tick(connection, owner)
        await write(Ticks(last), samples(8, "a", "b"), samples(9, "a", "b"), None)
        assert await counts(gaps) == [(3, 5), (7, 7)]
        last = await writer.newest_tick(connection, owner)
        assert last.whole
        # more of them in the transaction of who calls
        again = Ticks(last)
        async with connection.transaction():
            await write(again, samples(10, "a", "b"))
            await write(again, samples(11, "a"), None)
        assert await counts(live) == [("a", 11, 11), ("b", 10, 10), ("c", 2, 2)]
        # the last number that there is, and the one after
        for after, tick in enumerate((2**63 - 1, 1, 2), 12):
            one = Samples(now + after * 10**9, np.array(["a" * 16], SESSION_ID), np.full((1, 7), tick))
            await write(again, one, None)
        assert (await counts(gaps))[2:] == [(2**63 - 1, 2**63 - 1)]
    finally:
        await connection.close()


class _Half(Service):
    """Reaches some targets only."""

    reached: tuple[str, ...] = ()

    def _session(self, target: AnyTarget, epoch: int) -> Session | ForeignSession:
        session = super()._session(target, epoch)
        session.silent_since = None if session.name in self.reached else time.monotonic()
        session.run = asyncio.Event().wait  # type: ignore[assignment,method-assign]
        return session


async def test_a_target_that_one_does_not_reach_goes_to_another(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which would be given back to be fair, if it were not remembered."""
    monkeypatch.setattr(balance, "GIVE_UP", 0.1)
    names = ["bng-01", "bng-02", "bng-03"]
    targets = tuple(Target(name, "192.0.2.1:57400", "u", "p", tmp_path) for name in names)
    one, other = (_Half(CollectorConfig(database, targets, owner=name, lease_ttl=1)) for name in "ab")
    other.reached = tuple(names)
    running = [asyncio.create_task(one.run())]
    try:
        async with asyncio.timeout(60):
            while len(one._held) < 3:
                await asyncio.sleep(0.05)
            running.append(asyncio.create_task(other.run()))
            while len(other._held) < 3:
                await asyncio.sleep(0.05)
            connection = await asyncpg.connect(database)
            wanted = "SELECT cardinality(targets) FROM collectors ORDER BY owner"
            while [row[0] for row in await connection.fetch(wanted)] != [0, 3]:
                await asyncio.sleep(0.05)
            await connection.close()
    finally:
        one.stop.set()
        other.stop.set()
        await asyncio.gather(*running)


async def test_old_partitions_go_when_they_are_rolled_up(database: str) -> None:
    await migrate(database)
    connection = await asyncpg.connect(database)

    async def days() -> list[str]:
        found = await connection.fetch(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'session_samples'::regclass "
            "ORDER BY 1"
        )
        return [row[0][-8:] for row in found]

    try:
        keep = Retention(samples=timedelta(days=2))
        await partitions.maintain(connection, keep, datetime(2026, 1, 1, 12, tzinfo=UTC))
        await connection.execute("UPDATE rollups SET rolled_to = '2026-01-02 00:00+00'")
        await partitions.maintain(connection, keep, datetime(2026, 1, 9, 12, tzinfo=UTC))
        # the first two days are rolled up; the third is old enough as well, but was not read yet
        assert await days() == ["20260102", "20260108", "20260109", "20260110"]
        await connection.execute("UPDATE rollups SET rolled_to = '2026-01-09 00:00+00'")
        await partitions.maintain(connection, keep, datetime(2026, 1, 9, 12, tzinfo=UTC))
        assert await days() == ["20260108", "20260109", "20260110"]
        hours = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'session_samples_1h'::regclass"
        assert await connection.fetchval(hours) == 2, "a partition per month"
    finally:
        await connection.close()


def test_a_broken_configuration_is_told_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "collector.json"
    file.write_text('{"database": "x",\n "targets": [}')
    command = [sys.executable, "-m", "collector", "run", "--config", str(file)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert f"{file}:2:" in ended.stderr
