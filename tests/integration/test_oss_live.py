"""The OSS while things change: what it tells at once, the deaths of its database, how it starts."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from tests.integration.test_oss_api import SESSIONS, everything, fill
from tests.support import oss, postgres
from tests.support.oss import Rows
from tests.support.waiting import PATIENCE

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]


# -- live


class Stream:
    """A browser's event stream, read in a thread."""

    def __init__(self, client: httpx.Client) -> None:
        self.messages: list[tuple[str, Any]] = []
        self._arrived = threading.Condition()
        self._client = client
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        event = ""
        with (
            contextlib.suppress(httpx.TransportError),  # the server ends before its stream
            self._client.stream("GET", "/api/live", timeout=30) as answer,
        ):
            for line in answer.iter_lines():
                if line.startswith("event: "):
                    event = line[7:]
                elif line.startswith("data: "):
                    with self._arrived:
                        self.messages.append((event, json.loads(line[6:])))
                        self._arrived.notify_all()

    def wait(self, event: str, condition: Any = lambda _: True) -> Any:
        def find() -> Any:
            return next((data for name, data in self.messages if name == event and condition(data)), None)

        with self._arrived:
            assert self._arrived.wait_for(lambda: find() is not None, timeout=20 * PATIENCE), f"no {event}"
            return find()


def test_live_snapshot_then_changes(cluster: postgres.Cluster, tmp_path: Path) -> None:
    database, radius = oss.run(oss.databases(cluster, "live"))
    oss.run(fill(database))
    with oss.server(tmp_path, oss.config(database, radius)) as server:
        stream = Stream(server.login())
        snapshot = stream.wait("snapshot", lambda data: data["ready"])
        assert len(snapshot["sessions"]) == SESSIONS
        ada = next(s for s in snapshot["sessions"] if s["customer_name"] == "Ada Lovelace")

        async def act() -> None:
            async with Rows.to(database) as rows:
                rows.seq = {"bng-01": SESSIONS}
                t0 = datetime.now(UTC) - timedelta(seconds=10)
                await rows.sample("bng-01", {ada["session_id"]: (1000, 10_000)}, t0)
                await asyncio.sleep(0.4)
                await rows.sample("bng-01", {ada["session_id"]: (2000, 60_000)}, t0 + timedelta(seconds=5))
                await rows.session(99, port=7)
                await rows.stop("bng-01", f"{2:016x}")
                await rows.health("bng-01")

        oss.run(act())
        rates = stream.wait("rates", lambda data: data["rows"][0][1] is not None)
        assert rates["rows"] == [[ada["session_id"], 1600.0, 80000.0, 2000, 60_000, 0, 0]]
        assert stream.wait("traffic", lambda data: data["bng-01"][1] > 0) == {"bng-01": [1600.0, 80000.0]}
        stream.wait("sessions", lambda data: any(s["session_id"] == f"{99:016x}" for s in data["upsert"]))
        stream.wait("sessions", lambda data: f"{2:016x}" in data["remove"])
        stream.wait("events", lambda data: any(e["type"] == "session-stop" for e in data))
        assert stream.wait("health") == {"bng_ids": ["bng-01"]}
        client = server.login()
        live = client.get(f"/api/sessions/bng-01/{ada['session_id']}").json()
        assert (live["in_rate"], live["out_rate"]) == (1600.0, 80000.0)
        past = client.get(f"/api/sessions/bng-01/{2:016x}").json()
        assert past["terminate_cause"] == "User-Request"


def test_the_database_goes_away_and_comes_back(tmp_path: Path) -> None:
    with postgres.cluster() as own:
        database, radius = oss.run(oss.databases(own, "away"))
        oss.run(fill(database))
        with oss.server(tmp_path, oss.config(database, radius)) as server:
            client = server.login()
            stream = Stream(server.login())
            stream.wait("snapshot", lambda data: data["ready"])
            own.stop()
            answer = client.get("/api/plans")
            assert answer.status_code == 503
            assert "database" in answer.json()["detail"]
            assert httpx.get(f"{server.url}/healthz").status_code == 503
            stream.messages.clear()
            own.start()
            stream.wait("snapshot", lambda data: len(data["sessions"]) == SESSIONS)
            assert httpx.get(f"{server.url}/healthz").json() == {"database": "up", "live": True}
            new = {"name": "after", "download_kbps": 1000, "upload_kbps": 1000}
            plan = client.post("/api/plans", json=new).json()
            assert {delivery["state"] for delivery in plan["deliveries"]} == {"delivered"}
            assert "Traceback" not in server.log()


def test_deliveries_go_on_however_often_the_database_died(tmp_path: Path) -> None:
    with postgres.cluster() as own:
        database, radius = oss.run(oss.databases(own, "often"))
        oss.run(fill(database))
        with oss.server(tmp_path, oss.config(database, radius)) as server:
            client = server.login()
            for pause in (0.1, 2.5, 0.5, 3.0, 0.2, 1.0):
                own.stop(kill=True)
                own.start()
                # something to deliver at the moment of the next death
                with contextlib.suppress(httpx.TransportError):
                    client.post("/api/plans/1/deliver")
                time.sleep(pause)
            deadline = time.monotonic() + 40 * PATIENCE
            states: set[str] = set()
            name = 0
            while states != {"delivered"} and time.monotonic() < deadline:
                name += 1
                new = {"name": f"often-{name}", "download_kbps": 1000, "upload_kbps": 1000}
                answer = client.post("/api/plans", json=new)
                if answer.status_code == 201:
                    states = {delivery["state"] for delivery in answer.json()["deliveries"]}
                time.sleep(0.5)
            assert states == {"delivered"}, server.log()[-3000:]
            assert "Traceback" not in server.log()


# -- starting


def test_seeding_again_changes_nothing(cluster: postgres.Cluster, tmp_path: Path) -> None:
    database, radius = oss.run(oss.databases(cluster, "seed"))
    settings = oss.config(database, radius)
    with oss.server(tmp_path, settings) as server:
        client = server.login()
        service = everything(client, "/api/services")[0]
        ended = client.patch(f"/api/services/{service['id']}", json={"status": "TERMINATED"})
        assert ended.json()["status"] == "TERMINATED"
        before = {path: client.get(path).json() for path in ("/api/customers", "/api/services", "/api/users")}
    settings["admin"] = {"username": "admin", "password": "another password"}
    with oss.server(tmp_path, settings) as server:
        client = server.login()
        before["/api/users"][0]["last_login"] = client.get("/api/users").json()[0]["last_login"]
        for path, content in before.items():
            assert client.get(path).json() == content, f"{path}: what a user ended does not come back"


def test_before_the_collector_has_made_its_tables(cluster: postgres.Cluster, tmp_path: Path) -> None:
    database, radius = cluster.create("early_oss"), cluster.create("early_radius")
    with oss.server(tmp_path, oss.config(database, radius)) as server:
        client = server.login()
        assert client.get("/api/plans").status_code == 200
        answer = client.get("/api/sessions")
        assert answer.status_code == 503
        assert "aether collector run" in answer.json()["detail"]
        pending = client.get("/api/deliveries", params={"state": "pending"}).json()["items"]
        assert pending, "the RADIUS database has no tables yet: what is to be delivered waits"
        oss.run(tables(radius))
        assert client.post(f"/api/deliveries/{pending[-1]['id']}/retry").status_code == 202


async def tables(radius: str) -> None:
    connection = await asyncpg.connect(radius)
    await connection.execute(oss.RADIUS_TABLES)
    await connection.close()


def test_two_processes_migrate_one_database(cluster: postgres.Cluster, tmp_path: Path) -> None:
    from oss.database import migrate

    database = cluster.create("twice")

    async def both() -> None:
        await asyncio.gather(*(migrate(database) for _ in range(3)))

    oss.run(both())
