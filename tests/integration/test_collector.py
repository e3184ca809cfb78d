"""The collector against a real PostgreSQL and a target that keeps its journal across a kill."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import numpy as np
import pytest

from collector import lease, partitions, writer
from collector.migrations import migrate
from collector.template import Samples
from tests.support import certificates, postgres

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cluster() -> Iterator[postgres.Cluster]:
    with postgres.cluster(fsync=True) as made:
        yield made


@pytest.fixture
def database(cluster: postgres.Cluster, request: pytest.FixtureRequest) -> str:
    return cluster.create(request.node.name.replace("[", "_").rstrip("]"))


class Rig:
    """A target and any number of collectors, as processes."""

    def __init__(self, folder: Path, database: str) -> None:
        self.folder, self.database = folder, database
        certificates.write(folder)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        log = (self.folder / "log").open("ab")
        process = subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, stdout=log, stderr=log)
        self._running.append(process)
        return process

    def target(self, events: int, oldest: int = 1) -> subprocess.Popen[bytes]:
        return self.start(
            "tests.support.journal_target", str(self.port), str(self.folder), str(events), str(oldest)
        )

    def collector(self, owner: str = "one", lease_ttl: float = 3, **more: object) -> subprocess.Popen[bytes]:
        config = {
            **more,
            "database": self.database,
            "sample_interval": 1,
            "owner": owner,
            "lease_ttl": lease_ttl,
            "targets": [
                {
                    "bng_id": "bng-01",
                    "address": f"127.0.0.1:{self.port}",
                    "username": "u",
                    "password": "p",
                    "ca": str(self.folder / "cert.pem"),
                }
            ],
        }
        file = self.folder / f"{owner}.json"
        file.write_text(json.dumps(config))
        return self.start("collector", "run", "--config", str(file))

    def end(self) -> None:
        for process in self._running:
            process.kill()
            process.wait()

    def until(self, sql: str, check: Callable[[object], bool], seconds: float = 60) -> object:
        """Ask the database until the answer satisfies; its last answer is the failure's text."""

        async def ask() -> object:
            connection = await asyncpg.connect(self.database)
            try:
                return await connection.fetchval(sql)
            finally:
                await connection.close()

        deadline = time.monotonic() + seconds
        answer: object = None
        while time.monotonic() < deadline:
            try:
                answer = asyncio.run(ask())
                if check(answer):
                    return answer
            except (OSError, asyncpg.PostgresError) as error:
                answer = error
            time.sleep(0.1)
        raise AssertionError(f"{sql}: {answer!r}\n{(self.folder / 'log').read_text()[-3000:]}")


@pytest.fixture
def rig(tmp_path: Path, database: str) -> Iterator[Rig]:
    made = Rig(tmp_path, database)
    yield made
    made.end()


def rows(database: str, sql: str) -> list[asyncpg.Record]:
    async def ask() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(database)
        try:
            return await connection.fetch(sql)
        finally:
            await connection.close()

    return asyncio.run(ask())


def test_events_survive_kills_of_both_sides(rig: Rig) -> None:
    """Collector and target are killed in the middle of churn: nothing lost, nothing twice."""
    total = 6000
    generator = random.Random(7)
    target, collector = rig.target(total), rig.collector()
    for _ in range(6):
        time.sleep(generator.uniform(0.5, 1.2))
        collector.kill()
        if generator.random() < 0.6:
            target.kill()
            target.wait()
            target = rig.target(total)
        collector.wait()
        collector = rig.collector()
    rig.until("SELECT count(*) FROM events", lambda n: n == total)
    found = rows(
        rig.database,
        "SELECT count(DISTINCT seq) AS events, min(seq) AS first, max(seq) AS last, "
        "(SELECT count(*) FROM sessions_history) AS past, (SELECT count(*) FROM sessions_active) AS live, "
        "(SELECT count(*) FROM gaps WHERE kind = 'events') AS gaps FROM events",
    )[0]
    assert dict(found) == {
        "events": total,
        "first": 1,
        "last": total,
        "past": total // 2,
        "live": 0,
        "gaps": 0,
    }
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


def test_samples_reach_tables_and_live_sessions(rig: Rig) -> None:
    rig.target(1)
    rig.collector()
    rig.until("SELECT in_octets FROM sessions_active", lambda n: isinstance(n, int) and n > 20)
    found = rows(rig.database, "SELECT * FROM session_samples ORDER BY tick")
    ticks = [row["tick"] for row in found]
    assert ticks == sorted(ticks)
    for row in found:
        assert (row["in_octets"], row["out_discards"]) == (10 * row["tick"], 10 * row["tick"] + 5)
        assert row["session_id"] == f"{1:016x}"
    assert rows(rig.database, "SELECT state FROM bngs")[0]["state"] == "connected"


def test_samples_that_are_missing_become_a_gap(rig: Rig) -> None:
    target = rig.target(1)
    rig.collector()
    rig.until("SELECT count(*) FROM session_samples", lambda n: isinstance(n, int) and n > 0)
    target.kill()
    target.wait()
    time.sleep(3)
    rig.target(1)
    reason = rig.until("SELECT reason FROM gaps WHERE kind = 'samples'", lambda n: n is not None)
    assert str(reason).startswith("no samples for ")


def test_events_that_are_no_longer_retained_become_a_gap(rig: Rig) -> None:
    target, collector = rig.target(50), rig.collector()
    rig.until("SELECT count(*) FROM events", lambda n: n == 50)
    for process in (collector, target):
        process.kill()
        process.wait()
    rig.target(200, oldest=101)
    time.sleep(3)
    rig.collector()
    rig.until("SELECT count(*) FROM events", lambda n: n == 150)
    assert rig.until("SELECT max(seq) FROM events", lambda n: n == 200)
    gap = rows(rig.database, "SELECT first, last, kind FROM gaps WHERE kind = 'events'")
    assert [tuple(row) for row in gap] == [(51, 100, "events")]


def test_a_second_collector_takes_over_from_a_dead_one(rig: Rig) -> None:
    rig.target(4000)
    first = rig.collector("one")
    rig.until("SELECT count(*) FROM events", lambda n: isinstance(n, int) and n > 0)
    rig.collector("two")
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
        await partitions.maintain(connection, 7)
        assert await lease.acquire(connection, ["bng-01"], "one", 0) == {"bng-01": 1}
        assert await lease.acquire(connection, ["bng-01"], "two", 60) == {"bng-01": 2}
        assert await lease.renew(connection, {"bng-01": 1}, "one", 60) == {"bng-01"}
        samples = Samples(time.time_ns(), ["0" * 16], np.ones((1, 7), np.int64))
        encoder = writer.SampleEncoder("bng-01")
        for epoch, fenced in ((1, True), (2, False)):
            write = writer.write_samples(connection, encoder, ("bng-01", epoch), samples, 5)
            if fenced:
                with pytest.raises(writer.FencedError):
                    await write
            else:
                await write
        assert await connection.fetchval("SELECT count(*) FROM session_samples") == 1
    finally:
        await connection.close()


async def test_old_partitions_go(database: str) -> None:
    await migrate(database)
    connection = await asyncpg.connect(database)
    try:
        await partitions.maintain(connection, 7, datetime(2026, 1, 1, tzinfo=UTC))
        await partitions.maintain(connection, 7, datetime(2026, 1, 9, tzinfo=UTC))
        found = await connection.fetch(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'session_samples'::regclass "
            "ORDER BY 1"
        )
        assert [row[0][-8:] for row in found] == ["20260102", "20260109", "20260110"]
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
