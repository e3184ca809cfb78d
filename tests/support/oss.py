"""A stand-alone OSS for tests: its databases, rows as the collector would write them, its process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from collector import migrations
from tests.support.ports import free_port
from tests.support.postgres import Cluster
from tests.support.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
ADMIN = {"username": "admin", "password": "correct horse battery"}

RADIUS_TABLES = """
CREATE TABLE radcheck (id serial PRIMARY KEY, username text NOT NULL DEFAULT '',
    attribute text NOT NULL DEFAULT '',
    op varchar(2) NOT NULL DEFAULT '==', value text NOT NULL DEFAULT '');
CREATE TABLE radusergroup (id serial PRIMARY KEY, username text NOT NULL DEFAULT '',
    groupname text NOT NULL DEFAULT '', priority integer NOT NULL DEFAULT 0);
CREATE TABLE radgroupreply (id serial PRIMARY KEY, groupname text NOT NULL DEFAULT '',
    attribute text NOT NULL DEFAULT '', op varchar(2) NOT NULL DEFAULT '=', value text NOT NULL DEFAULT '');
"""


async def databases(cluster: Cluster, name: str) -> tuple[str, str]:
    """An OSS database with the collector's tables, and a RADIUS database: their DSNs."""
    oss, radius = cluster.create(f"{name}_oss"), cluster.create(f"{name}_radius")
    await migrations.migrate(oss)
    connection = await asyncpg.connect(radius)
    await connection.execute(RADIUS_TABLES)
    await connection.close()
    return oss, radius


def config(oss: str, radius: str, **changes: Any) -> dict[str, Any]:
    """An `oss.json` with one plan of each kind, two customers and one service."""
    return {
        "database": oss,
        "radius_database": radius,
        "listen": {"host": "127.0.0.1", "port": free_port()},
        "bngs": [],
        "radius_user_password": "line-secret",
        "admin": ADMIN,
        "seed": {
            "plans": [
                {"name": "bronze", "download_kbps": 20_000, "upload_kbps": 5_000, "price": 19.9},
                {"name": "gold", "download_kbps": 250_000, "upload_kbps": 50_000, "price": 49.9},
            ],
            "customers": [{"name": "Ada Lovelace", "email": "ada@example.net"}, {"name": "Alan Turing"}],
            "services": [
                {
                    "customer": "Ada Lovelace",
                    "plan": "gold",
                    "bng_id": "bng-01",
                    "remote_id": "an-01",
                    "circuit_id": "1/0/1",
                }
            ],
        },
        "access_nodes": [{"bng_id": "bng-01", "remote_id": "an-01", "ports": 8, "access_model": "bridged"}],
        **changes,
    }


class Rows:
    """Writes what the collector writes: BNGs, sessions, samples, events, with its notifications."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.db = connection
        self.seq: dict[str, int] = {}
        self.tick = 0
        self.instance = uuid.uuid4()

    @classmethod
    @contextlib.asynccontextmanager
    async def to(cls, dsn: str) -> AsyncIterator[Rows]:
        connection = await asyncpg.connect(dsn)
        try:
            yield cls(connection)
        finally:
            await connection.close()

    async def notify(self, channel: str, bng_id: str) -> None:
        await self.db.execute("SELECT pg_notify($1, $2)", f"aether_{channel}", json.dumps({"bng_id": bng_id}))

    async def partitions(self, *days: datetime) -> None:
        for day in {each.astimezone(UTC).date() for each in days}:
            await self.db.execute(
                f"CREATE TABLE IF NOT EXISTS session_samples_{day:%Y%m%d} PARTITION OF session_samples "
                f"FOR VALUES FROM ('{day}T00:00:00Z') TO ('{day + timedelta(days=1)}T00:00:00Z')"
            )

    async def bng(self, bng_id: str, state: str = "connected", error: str | None = None) -> None:
        await self.db.execute(
            "INSERT INTO bngs (bng_id, instance_id, version, state, error, connected_since, last_seen) "
            "VALUES ($1, $2, '0.1.0', $3, $4, now() - interval '3 hours', now()) "
            "ON CONFLICT (bng_id) DO UPDATE SET state = excluded.state, error = excluded.error",
            bng_id,
            self.instance,
            state,
            error,
        )
        await self.notify("bngs", bng_id)

    async def router(self, bng_id: str, remote_id: str, reachability: str = "up") -> None:
        await self.db.execute(
            "INSERT INTO access_routers (bng_id, remote_id, name, address, reachability, last_seen, "
            "round_trip_time) VALUES ($1, $2, $2, '10.0.0.2', $3, now(), 480) ON CONFLICT DO NOTHING",
            bng_id,
            remote_id,
            reachability,
        )

    async def event(self, bng_id: str, type_: str, session: dict[str, Any], **more: Any) -> None:
        self.seq[bng_id] = self.seq.get(bng_id, 0) + 1
        now = datetime.now(UTC)
        columns = {
            "bng_id": bng_id,
            "seq": self.seq[bng_id],
            "time": now,
            "time_ns": int(now.timestamp() * 1e9),
            "instance_id": self.instance,
            "type": type_,
            **{k: v for k, v in session.items() if k in _EVENT_COLUMNS},
            **more,
        }
        names = ", ".join(columns)
        places = ", ".join(f"${n}" for n in range(1, len(columns) + 1))
        await self.db.execute(f"INSERT INTO events ({names}) VALUES ({places})", *columns.values())

    async def session(
        self,
        number: int,
        *,
        bng_id: str = "bng-01",
        remote_id: str = "an-01",
        port: int | None = None,
        status: str = "active",
        profile: str | None = "gold",
        started: datetime | None = None,
    ) -> str:
        """A live session with its event; answers its id."""
        circuit_id = f"1/0/{port or number}"
        session = {
            "session_id": f"{number:016x}",
            "remote_id": remote_id,
            "circuit_id": circuit_id,
            "username": f"{bng_id}/{remote_id}/{circuit_id}",
            "mac_address": f"02:00:00:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}",
            "ip_address": f"100.64.{number >> 8 & 255}.{number & 255}",
            "interface": "sub0",
            "status": status,
            "profile": profile,
            "download_rate": 250_000_000,
            "upload_rate": 50_000_000,
            "started": started or datetime.now(UTC),
        }
        names = ", ".join(session)
        places = ", ".join(f"${n}" for n in range(2, len(session) + 2))
        async with self.db.transaction():
            await self.db.execute(
                f"INSERT INTO sessions_active (bng_id, {names}, last_change, lease_expiry) "
                f"VALUES ($1, {places}, now(), now() + interval '10 minutes')",
                bng_id,
                *session.values(),
            )
            type_ = "session-rejected" if status == "rejected" else "session-start"
            await self.event(bng_id, type_, session, reason="unknown user" if status == "rejected" else None)
            await self.notify("sessions", bng_id)
        return str(session["session_id"])

    async def stop(self, bng_id: str, session_id: str, cause: str = "User-Request") -> None:
        async with self.db.transaction():
            row = await self.db.fetchrow(
                "DELETE FROM sessions_active WHERE bng_id = $1 AND session_id = $2 RETURNING *",
                bng_id,
                session_id,
            )
            columns = {**row, "stopped": datetime.now(UTC), "terminate_cause": cause}
            names = ", ".join(columns)
            places = ", ".join(f"${n}" for n in range(1, len(columns) + 1))
            await self.db.execute(
                f"INSERT INTO sessions_history ({names}) VALUES ({places})", *columns.values()
            )
            await self.event(bng_id, "session-stop", dict(row), terminate_cause=cause, status="terminating")
            await self.notify("sessions", bng_id)

    async def sample(
        self,
        bng_id: str,
        octets: dict[str, tuple[int, int]],
        at: datetime | None = None,
        *,
        live: bool = True,
    ) -> None:
        """One sweep: totals (in, out) per session, as samples and, when `live`, in `sessions_active`."""
        at = at or datetime.now(UTC)
        self.tick += 1
        await self.partitions(at)
        rows = [(at, bng_id, session, self.tick, *totals) for session, totals in octets.items()]
        await self.db.executemany(
            "INSERT INTO session_samples (time, bng_id, session_id, tick, in_octets, out_octets) "
            "VALUES ($1, $2, $3, $4, $5, $6)",
            rows,
        )
        if live:
            await self.db.executemany(
                "UPDATE sessions_active SET sampled_at = $1, tick = $4, in_octets = $5, out_octets = $6 "
                "WHERE bng_id = $2 AND session_id = $3",
                rows,
            )
            await self.notify("samples", bng_id)

    async def health(self, bng_id: str, at: datetime | None = None, **leaves: int) -> None:
        values = {
            "uptime": 10_800,
            "cpu_usage": random.randint(300, 900),
            "memory_usage": random.randint(90, 110) * 2**20,
            "loop_lag": random.randint(100, 2000),
            "sessions": 8,
            "sessions_active": 7,
            "queue_depth": 0,
            **leaves,
        }
        names = ", ".join(values)
        places = ", ".join(f"${n}" for n in range(5, len(values) + 5))
        await self.db.execute(
            f"INSERT INTO health_samples (time, bng_id, radius_servers, dhcp_servers, {names}) "
            f"VALUES ($1, $2, $3, $4, {places})",
            at or datetime.now(UTC),
            bng_id,
            json.dumps([{"name": "radius-1", "up": True, "requests": 120, "timeouts": 0, "latency": 900}]),
            json.dumps(
                [{"address": "10.99.0.3", "up": True, "requests": 300, "replies": 300, "latency": 700}]
            ),
            *values.values(),
        )
        await self.notify("health", bng_id)


_EVENT_COLUMNS = frozenset(
    ("session_id", "remote_id", "circuit_id", "username", "mac_address", "ip_address", "interface")
) | {"status", "profile", "download_rate", "upload_rate", "started"}


class Server:
    """`aether oss run` as a process."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.url = f"http://127.0.0.1:{settings['listen']['port']}"
        self._file = folder / "oss.json"
        self._log = folder / "oss.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._file.write_text(json.dumps(self.settings))
        self._file.chmod(0o600)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "oss.cli", "run", "--config", str(self._file)],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        deadline = time.monotonic() + 30 * PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/healthz").status_code == 200:
                    return
            if self._process.poll() is not None:
                break
            time.sleep(0.1)
        raise RuntimeError(f"the OSS did not start:\n{self.log()}")

    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def login(self, username: str = ADMIN["username"], password: str = ADMIN["password"]) -> httpx.Client:
        """A client with a browser session and its CSRF token."""
        client = httpx.Client(base_url=self.url, timeout=20)
        answer = client.post("/api/auth/login", json={"username": username, "password": password})
        answer.raise_for_status()
        client.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
        return client


@contextlib.contextmanager
def server(folder: Path, settings: dict[str, Any]) -> Iterator[Server]:
    """A server that runs, and is ended."""
    made = Server(folder, settings)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def run(coroutine: Any) -> Any:
    """For synchronous tests: what the coroutine answers."""
    return asyncio.run(coroutine)
