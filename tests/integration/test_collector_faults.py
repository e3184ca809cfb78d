"""The collector while its host's clock is set, and while PostgreSQL's disk is full."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import postgres
from tests.support.collector_rig import Rig, rows

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]

DAY = 86400


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path, "")
    yield made
    made.end()


def test_the_clock_of_the_collectors_host_is_set(rig: Rig, cluster: postgres.Cluster) -> None:
    """Times, partitions, retention and leases go by PostgreSQL's clock."""
    rig.database = cluster.create("clock")
    clock = rig.folder / "clock"
    clock.write_text(str(400 * DAY))
    rig.target(10**9, per_turn=2)
    config = str(rig.configure(lease_ttl=1))
    rig.start("tests.support.shifted_clock", str(clock), "collector", "run", "--config", config)
    rig.collector("two", lease_ttl=1)
    rig.until("SELECT count(DISTINCT tick) FROM session_samples", lambda n: isinstance(n, int) and n >= 2)
    epoch = rows(rig.database, "SELECT epoch FROM leases")[0][0]
    clock.write_text(str(-400 * DAY))  # and once more, while it works
    more = "SELECT count(DISTINCT tick) FROM session_samples"
    before = rows(rig.database, more)[0][0]
    rig.until(more, lambda n: isinstance(n, int) and n >= before + 2)
    (found,) = rows(
        rig.database,
        """SELECT (SELECT count(*) FROM session_samples
                   WHERE time NOT BETWEEN now() - interval '1 min' AND now() + interval '1 min') AS samples,
                  (SELECT epoch FROM leases) AS epoch,
                  (SELECT count(*) FROM gaps) AS gaps,
                  (SELECT count(*) FROM pg_inherits WHERE inhparent = 'session_samples'::regclass) AS days,
                  (SELECT abs(extract(epoch FROM now() - last_seen)) < 60 FROM bngs) AS seen""",
    )
    assert tuple(found) == (0, epoch, 0, 3, True)


@pytest.fixture
def small_disk(cluster: postgres.Cluster) -> Iterator[Path]:
    with cluster.small_disk(48) as place:
        yield place


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_full_disk_of_postgresql_costs_time_only(
    small_disk: Path, rig: Rig, cluster: postgres.Cluster
) -> None:
    """PostgreSQL refuses to write; the events wait in the journal, samples meanwhile are gaps."""
    rig.database = cluster.create("small", "-D", "small")
    rig.target(10**9, per_turn=5)
    rig.collector(lease_ttl=1)
    rig.until("SELECT count(*) FROM events", lambda n: isinstance(n, int) and n > 100)
    ballast = small_disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))
    rig.until_log("No space left on device")
    time.sleep(2)
    written, tick = rows(rig.database, "SELECT seq, coalesce(tick, 0) FROM cursors")[0]
    ballast.unlink()
    rig.until("SELECT tick FROM cursors", lambda now: isinstance(now, int) and now > tick)
    rig.until("SELECT max(seq) FROM events", lambda seq: isinstance(seq, int) and seq > written + 500)
    ticks = [row[0] for row in rows(rig.database, "SELECT DISTINCT tick FROM session_samples ORDER BY tick")]
    gaps = rows(rig.database, "SELECT kind, first, last FROM gaps")
    assert {row["kind"] for row in gaps} <= {"samples"}
    missing = set(range(ticks[0], ticks[-1])) - set(ticks)
    assert missing <= {tick for row in gaps for tick in range(row["first"], row["last"] + 1)}
    (found,) = rows(rig.database, "SELECT count(*), count(DISTINCT seq), min(seq), max(seq) FROM events")
    assert found["count"] == found["max"] == len(range(found["min"], found["max"] + 1))
