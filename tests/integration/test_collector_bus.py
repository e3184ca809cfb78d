"""The bus with a real nats-server and PostgreSQL: publishers, writers, and kills of all of them under churn."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import postgres
from tests.support.collector_rig import Rig, rows
from tests.support.nats_server import NatsServer

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[postgres.Cluster]:
    with postgres.cluster() as made:
        yield made


@pytest.fixture
def rig(tmp_path: Path, cluster: postgres.Cluster, request: pytest.FixtureRequest) -> Iterator[Rig]:
    made = Rig(tmp_path, cluster.create(request.node.name[:60]))
    yield made
    made.end()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    made = NatsServer(tmp_path)
    made.start()
    yield made
    made.kill()


class Bused:
    """Publishers and writers by name; all of them are killed with the rig."""

    def __init__(self, rig: Rig, server: NatsServer, **bus: Any) -> None:
        self.rig = rig
        self.bus = {"url": server.url, "size": 256, **bus}
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, verb: str, owner: str) -> None:
        config = self.rig.configure(owner, 1, bus=self.bus)
        self.running[owner] = self.rig.start("collector", verb, "--config", str(config))

    def kill(self, owner: str) -> None:
        process = self.running.pop(owner)
        process.kill()
        process.wait()

    def publisher(self) -> str:
        """Who has published last."""
        sql = "SELECT collector FROM target_state WHERE until IS NULL AND state = 'up'"
        return str(self.rig.until(sql, lambda owner: owner in self.running))

    def writer(self) -> str:
        sql = "SELECT owner FROM leases WHERE expires > now()"
        return str(self.rig.until(sql, lambda owner: owner in self.running))


def _more_events(rig: Rig, count: int) -> None:
    before = rows(rig.database, "SELECT count(*) FROM events")[0][0]
    rig.until("SELECT count(*) FROM events", lambda n: isinstance(n, int) and n > before + count)


def _last_event(rig: Rig) -> int:
    """Ends the making of events; returns the number of the last one."""
    (rig.folder / "control.json").write_text('{"most": 1}')
    journal, size = rig.folder / "journal", -1
    while size != (size := journal.stat().st_size):
        time.sleep(0.3)
    return size // 16


def test_kills_of_publisher_writer_and_server_lose_and_double_nothing(rig: Rig, server: NatsServer) -> None:
    rig.target(10**9, per_turn=3)
    bus = Bused(rig, server)
    for owner in ("p1", "p2"):
        bus.start("run", owner)
    for owner in ("w1", "w2", "w3"):
        bus.start("write", owner)
    rig.until("SELECT count(*) FROM events", lambda n: isinstance(n, int) and n > 100)

    first = bus.publisher()
    bus.kill(first)
    _more_events(rig, 200)
    second = bus.publisher()
    assert second != first
    bus.kill(bus.writer())
    _more_events(rig, 200)
    server.kill()
    time.sleep(0.3)
    server.start()
    _more_events(rig, 200)

    # a publisher that falls silent and comes back believes to have the BNG; the server refuses it
    bus.start("run", first)
    os.kill(bus.running[second].pid, signal.SIGSTOP)
    rig.until("SELECT collector FROM target_state WHERE until IS NULL", lambda owner: owner == first)
    os.kill(bus.running[second].pid, signal.SIGCONT)
    rig.until_log("collector.lease-lost")
    _more_events(rig, 200)

    total = _last_event(rig)
    rig.until("SELECT max(seq) FROM events", lambda seq: seq == total)
    assert rows(rig.database, "SELECT count(*), count(DISTINCT seq) FROM events")[0][:] == (total, total)
    assert rows(rig.database, "SELECT count(*) FROM sessions_history")[0][0] == total // 2
    assert rows(rig.database, "SELECT count(*) FROM sessions_active")[0][0] == total % 2
    assert rows(rig.database, "SELECT count(*) FROM gaps WHERE kind = 'events'")[0][0] == 0
    doubled = "SELECT 1 FROM session_samples GROUP BY tick, session_id HAVING count(*) > 1"
    assert not rows(rig.database, doubled)
    missing = rows(rig.database, "SELECT first, last FROM gaps WHERE kind = 'samples'")
    ticks = {row[0] for row in rows(rig.database, "SELECT DISTINCT tick FROM session_samples")}
    between = set(range(min(ticks), max(ticks))) - ticks
    assert between == {tick for first, last in missing for tick in range(first, last + 1)} - ticks
    state = rows(rig.database, "SELECT state, instance_id, gnmi_address FROM bngs")[0]
    assert (state["state"], state["gnmi_address"]) == ("connected", f"127.0.0.1:{rig.port}")
    assert rows(rig.database, "SELECT count(*) FROM target_state WHERE until IS NULL")[0][0] == 1
