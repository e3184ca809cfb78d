"""The collector as a service: its memory while PostgreSQL is away, its configuration while it runs."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from collector import cli, migrations
from tests.support import postgres
from tests.support.collector_rig import Rig, rows

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]


@pytest.fixture
def rig(tmp_path: Path, cluster: postgres.Cluster, request: pytest.FixtureRequest) -> Iterator[Rig]:
    made = Rig(tmp_path, cluster.create(request.node.name))
    yield made
    made.end()


def test_migrations_say_what_they_did(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def migrate() -> tuple[int, str]:
        parser = argparse.ArgumentParser()
        cli.add_parser(parser.add_subparsers())
        args = parser.parse_args(["collector", "migrate", "--config", str(rig.configure())])
        status, told = args.func(args), capsys.readouterr()
        return status, (told.out + told.err).strip()

    newest = max(file.name[:4] for file in Path(migrations.__file__).parent.glob("versions/0*.py"))
    assert migrate() == (0, f"aether collector: the tables were made, of version {newest}")
    assert migrate() == (0, f"aether collector: nothing to do: the tables are of version {newest}")
    rig.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    asyncio.run(migrations.migrate(rig.database, version="0007"))
    assert migrate() == (0, f"aether collector: the tables were brought from version 0007 to {newest}")
    rig.execute("UPDATE collector_version SET version_num = '9999'")
    status, told = migrate()
    assert (status, "does not know" in told) == (1, True)
    monkeypatch.setattr(rig, "database", "postgresql://127.0.0.1:1/none")
    assert migrate()[0] == 1
    structlog.reset_defaults()


def memory(process: subprocess.Popen[bytes]) -> int:
    """Resident MiB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) // 1024


def test_memory_is_bounded_while_postgresql_is_silent(rig: Rig, cluster: postgres.Cluster) -> None:
    """Two targets send as fast as they are read, 16 MiB are permitted, and PostgreSQL is stopped."""
    targets = []
    for number in range(2):
        other = Rig(rig.subfolder(str(number)), rig.database)
        rig.adopt(other)
        other.target(200, flood=10_000)
        targets.append(other.entry(f"bng-{number}"))
    collector = rig.collector(targets=targets, memory=16, lease_ttl=5)
    rig.until("SELECT count(DISTINCT bng_id) FROM cursors WHERE tick IS NOT NULL", lambda n: n == 2)
    time.sleep(1)  # it has learnt what these targets send
    backends = cluster.pids()
    for pid in backends:
        os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(2.5)
        resident = memory(collector)
    finally:
        for pid in backends:
            os.kill(pid, signal.SIGCONT)
    # without the budget it is 250, without anything in hand 100, and what it has learnt is 30;
    # where others work beside it, it was 200 once
    assert resident < 225, f"{resident} MiB"
    state = rows(rig.database, "SELECT bng_id, tick FROM cursors")
    for row in state:
        rig.until(f"SELECT tick FROM cursors WHERE bng_id = '{row[0]}'", lambda n, was=row[1]: n > was)
    rig.until("SELECT count(*) FROM events", lambda n: n == 400)
    assert rows(rig.database, "SELECT count(*) FROM gaps WHERE kind = 'events'")[0][0] == 0


def test_a_new_configuration_is_taken_without_a_break(rig: Rig) -> None:
    second = Rig(rig.subfolder("second"), rig.database)
    rig.adopt(second)
    rig.target(10)
    second.target(20)
    one, two = rig.entry("one"), second.entry("two")
    collector = rig.collector(targets=[one], registry=True)
    names = "SELECT string_agg(target, ',' ORDER BY target) FROM target_state"
    up = f"{names} WHERE until IS NULL AND state = 'up'"
    rig.until(up, lambda names: names == "one")
    since = rows(rig.database, "SELECT connected_since FROM bngs WHERE bng_id = 'one'")[0][0]

    rig.configure(targets=[one, two], registry=True)  # seen without being told
    rig.until(up, lambda names: names == "one,two")
    (rig.folder / "one.json").write_text('{"targets": [')
    collector.send_signal(signal.SIGHUP)
    rig.until_log("collector.configuration-refused")
    rig.configure(targets=[one], registry=True, retention={"samples": "3h"})
    collector.send_signal(signal.SIGHUP)
    rig.until(up, lambda names: names == "one")
    gone = "SELECT state FROM target_state WHERE target = 'two' AND until IS NULL"
    assert rows(rig.database, gone)[0][0] == "removed"

    entry = {key: value for key, value in two.items() if key != "bng_id"}
    rig.execute("INSERT INTO collector_targets VALUES ('three', $1), ('four', '{}')", entry)
    rig.until(up, lambda names: names == "one,three")
    rig.until("SELECT count(*) FROM events WHERE bng_id = 'three'", lambda n: n == 20)
    rig.execute("UPDATE collector_targets SET enabled = false")
    rig.until(up, lambda names: names == "one")
    assert rows(rig.database, "SELECT connected_since FROM bngs WHERE bng_id = 'one'")[0][0] == since
    assert rows(rig.database, "SELECT count(*) FROM target_state WHERE target = 'one'")[0][0] == 1


def holders(rig: Rig) -> dict[str, int]:
    """How many targets each collector holds."""
    held = "SELECT owner, count(*) FROM leases WHERE expires > now() GROUP BY 1"
    return {row["owner"]: row["count"] for row in rows(rig.database, held)}


def test_collectors_divide_the_targets_and_a_dead_ones_go_to_the_others(rig: Rig) -> None:
    names = [f"bng-{number:02}" for number in range(6)]
    several = {"targets": [rig.entry(name) for name in names]}
    rig.target(600, per_turn=5)
    rig.collector("one", lease_ttl=1, **several)
    rig.until("SELECT count(*) FROM leases", lambda n: n == 6)
    two = rig.collector("two", lease_ttl=1, **several)
    rig.until("SELECT count(*) FROM leases WHERE owner = 'two' AND expires > now()", lambda n: n == 3)
    rig.until("SELECT count(*) FROM leases WHERE expires > now()", lambda n: n == 6)
    assert holders(rig) == {"one": 3, "two": 3}
    _, status = rig.ask("status", "--json")
    assert [(each["collector"], each["held"]) for each in status["collectors"]] == [("one", 3), ("two", 3)]
    two.kill()
    rig.until("SELECT count(*) FROM leases WHERE owner = 'one' AND expires > now()", lambda n: n == 6)
    rig.until("SELECT count(*) FROM events", lambda n: n == 6 * 600)
    assert rows(rig.database, "SELECT count(DISTINCT (bng_id, seq)) FROM events")[0][0] == 6 * 600
    assert rows(rig.database, "SELECT count(*) FROM gaps WHERE kind = 'events'")[0][0] == 0
