"""BNGs, their health, their access routers and ports, and the figures of the overview."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import asyncpg
from pydantic import BaseModel

from oss.domain.errors import NotFound
from oss.domain.traffic import DEFAULT_BUCKET, Range, window


class ServerHealth(BaseModel):
    """A RADIUS or DHCP server as the BNG sees it; `latency` in microseconds."""

    name: str | None = None
    address: str | None = None
    up: bool | None = None
    requests: int | None = None
    timeouts: int | None = None
    replies: int | None = None
    latency: int | None = None


class Health(BaseModel):
    """The last report of `aether-health:health`.

    `cpu_usage` in hundredths of a percent of one core, memory in octets, `loop_lag` in microseconds,
    `uptime` in seconds.
    """

    time: datetime
    uptime: int | None = None
    cpu_usage: int | None = None
    memory_usage: int | None = None
    memory_limit: int | None = None
    loop_lag: int | None = None
    sessions: int | None = None
    sessions_active: int | None = None
    queue_depth: int | None = None
    dhcp_received: int | None = None
    dhcp_dropped: int | None = None
    netlink_errors: int | None = None
    radius_servers: list[ServerHealth] | None = None
    dhcp_servers: list[ServerHealth] | None = None


class Bng(BaseModel):
    """A BNG. `state` is the telemetry's: ``unknown`` before the collector has ever tried."""

    bng_id: str
    configured: bool
    """Whether this OSS can reach it over NETCONF."""
    state: Literal["unknown", "connecting", "connected", "unreachable"]
    error: str | None = None
    instance_id: str | None = None
    version: str | None = None
    connected_since: datetime | None = None
    last_seen: datetime | None = None
    sessions: dict[str, int] = {}
    """Live sessions by status."""
    health: Health | None = None


class HealthPoint(BaseModel):
    """Means over one bucket; `loop_lag` is the bucket's worst."""

    time: datetime
    cpu_usage: float | None
    memory_usage: float | None
    loop_lag: int | None
    sessions: float | None


class HealthSeries(BaseModel):
    range: Range
    bucket: int
    points: list[HealthPoint]


class AccessRouter(BaseModel):
    """An access node: what is intended (`ports`, `access_model`) and what the BNG observes."""

    bng_id: str
    remote_id: str
    name: str | None
    address: str | None
    reachability: str
    configured: bool
    last_seen: datetime | None
    round_trip_time: int | None
    """Microseconds."""
    active_sessions: int
    ports: int | None
    access_model: str | None
    services: int


class Port(BaseModel):
    """A subscriber port of an access node."""

    port: int
    circuit_id: str
    state: Literal["free", "occupied"]
    service_id: int | None = None
    service_status: str | None = None
    customer_name: str | None = None
    plan_name: str | None = None
    session_status: str | None = None
    """Of a live session on the port; a free port may have one, which is rejected."""


class Stats(BaseModel):
    """The figures of the overview."""

    sessions: dict[str, int]
    bngs: int
    bngs_connected: int
    access_routers: int
    access_routers_up: int
    customers: int
    services: dict[str, int]
    events_last_hour: int
    rejections_last_hour: int
    deliveries_pending: int


_LATEST_HEALTH = """SELECT h.* FROM unnest($1::text[]) AS wanted(bng_id) CROSS JOIN LATERAL (
    SELECT * FROM health_samples s WHERE s.bng_id = wanted.bng_id AND s.time > now() - interval '10 minutes'
    ORDER BY s.time DESC LIMIT 1) h"""


async def bngs(pool: asyncpg.Pool, configured: Iterable[str]) -> list[Bng]:
    """All BNGs that are configured here or known to the collector, by name."""
    configured = set(configured)
    known = {row["bng_id"]: row for row in await pool.fetch("SELECT * FROM bngs")}
    names = sorted(configured | set(known))
    health = {row["bng_id"]: Health(**row) for row in await pool.fetch(_LATEST_HEALTH, names)}
    sessions: dict[str, dict[str, int]] = {}
    for row in await pool.fetch(
        "SELECT bng_id, coalesce(status, 'pending') AS status, count(*) AS n "
        "FROM sessions_active GROUP BY 1, 2"
    ):
        sessions.setdefault(row["bng_id"], {})[row["status"]] = row["n"]
    return [
        Bng(
            bng_id=name,
            configured=name in configured,
            sessions=sessions.get(name, {}),
            health=health.get(name),
            **_telemetry(known.get(name)),
        )
        for name in names
    ]


def _telemetry(row: Any) -> dict[str, Any]:
    if row is None:
        return {"state": "unknown"}
    wanted = ("state", "error", "version", "connected_since", "last_seen")
    instance = row["instance_id"]
    return {**{name: row[name] for name in wanted}, "instance_id": str(instance) if instance else None}


async def bng(pool: asyncpg.Pool, configured: Iterable[str], bng_id: str) -> Bng:
    for each in await bngs(pool, configured):
        if each.bng_id == bng_id:
            return each
    raise NotFound(f"There is no BNG {bng_id}.")


async def health_series(pool: asyncpg.Pool, bng_id: str, range_: Range, bucket: int | None) -> HealthSeries:
    """Health over time; a bucket without a report is absent."""
    bucket = bucket or DEFAULT_BUCKET[range_]
    start, end = window(datetime.now(UTC), range_, bucket)
    rows = await pool.fetch(
        "SELECT date_bin($4, time, $2) AS time, avg(cpu_usage)::float8 AS cpu_usage, "
        "avg(memory_usage)::float8 AS memory_usage, max(loop_lag) AS loop_lag, "
        "avg(sessions)::float8 AS sessions "
        "FROM health_samples WHERE bng_id = $1 AND time >= $2 AND time < $3 GROUP BY 1 ORDER BY 1",
        bng_id,
        start,
        end,
        timedelta(seconds=bucket),
    )
    return HealthSeries(range=range_, bucket=bucket, points=[HealthPoint(**row) for row in rows])


async def access_routers(pool: asyncpg.Pool, bng_id: str | None = None) -> list[AccessRouter]:
    """Access nodes that are intended here, or that a BNG has seen."""
    rows = await pool.fetch(
        "SELECT bng_id, remote_id, r.name, host(r.address) AS address, "
        "coalesce(r.reachability, 'unknown') AS reachability, coalesce(r.configured, false) AS configured, "
        "r.last_seen, r.round_trip_time, n.ports, n.access_model, "
        "(SELECT count(*) FROM sessions_active a WHERE a.bng_id = x.bng_id AND a.remote_id = x.remote_id "
        "   AND a.status IN ('active', 'idle')) AS active_sessions, "
        "(SELECT count(*) FROM services v WHERE v.bng_id = x.bng_id AND v.remote_id = x.remote_id "
        "   AND v.status <> 'TERMINATED') AS services "
        "FROM (SELECT bng_id, remote_id FROM access_nodes "
        "      UNION SELECT bng_id, remote_id FROM access_routers) x "
        "LEFT JOIN access_nodes n USING (bng_id, remote_id) "
        "LEFT JOIN access_routers r USING (bng_id, remote_id) "
        "WHERE $1::text IS NULL OR bng_id = $1 ORDER BY bng_id, remote_id LIMIT 10000",
        bng_id,
    )
    return [AccessRouter(**row) for row in rows]


async def ports(pool: asyncpg.Pool, bng_id: str, remote_id: str) -> list[Port]:
    """Every subscriber port of an access node, and what is on it.

    Raises:
        NotFound: there is no such access node among the intended ones.
    """
    count = await pool.fetchval(
        "SELECT ports FROM access_nodes WHERE bng_id = $1 AND remote_id = $2", bng_id, remote_id
    )
    if count is None:
        raise NotFound(f"There is no access node {remote_id} behind {bng_id} in this OSS's configuration.")
    rows = await pool.fetch(
        "SELECT v.circuit_id, v.id AS service_id, v.status AS service_status, c.name AS customer_name, "
        "p.name AS plan_name FROM services v JOIN customers c ON c.id = v.customer_id "
        "JOIN plans p ON p.id = v.plan_id "
        "WHERE v.bng_id = $1 AND v.remote_id = $2 AND v.status <> 'TERMINATED'",
        bng_id,
        remote_id,
    )
    services = {row["circuit_id"]: dict(row) for row in rows}
    sessions = {
        row["circuit_id"]: row["status"]
        for row in await pool.fetch(
            "SELECT circuit_id, status FROM sessions_active WHERE bng_id = $1 AND remote_id = $2",
            bng_id,
            remote_id,
        )
    }
    found = []
    for number in range(1, count + 1):
        circuit_id = f"1/0/{number}"
        service = services.get(circuit_id, {"circuit_id": circuit_id})
        found.append(
            Port(
                port=number,
                state="occupied" if "service_id" in service else "free",
                session_status=sessions.get(circuit_id),
                **service,
            )
        )
    return found


async def stats(pool: asyncpg.Pool, configured: Iterable[str]) -> Stats:
    """The figures of the overview, from one snapshot."""
    async with (
        pool.acquire() as connection,
        connection.transaction(readonly=True, isolation="repeatable_read"),
    ):
        row = await connection.fetchrow(
            "SELECT (SELECT count(*) FROM customers) AS customers, "
            "(SELECT count(*) FROM outbox WHERE state = 'pending') AS deliveries_pending, "
            "(SELECT count(*) FROM events WHERE time > now() - interval '1 hour') AS events_last_hour, "
            "(SELECT count(*) FROM events WHERE time > now() - interval '1 hour' "
            "   AND type = 'session-rejected') AS rejections_last_hour, "
            "(SELECT count(*) FROM access_routers) AS access_routers, "
            "(SELECT count(*) FROM access_routers WHERE reachability = 'up') AS access_routers_up"
        )
        sessions = await connection.fetch(
            "SELECT coalesce(status, 'pending') AS key, count(*) AS n FROM sessions_active GROUP BY 1"
        )
        services = await connection.fetch("SELECT status AS key, count(*) AS n FROM services GROUP BY 1")
        known = await connection.fetch("SELECT bng_id, state FROM bngs")
    return Stats(
        **row,
        sessions={each["key"]: each["n"] for each in sessions},
        services={each["key"]: each["n"] for each in services},
        bngs=len({each["bng_id"] for each in known} | set(configured)),
        bngs_connected=sum(each["state"] == "connected" for each in known),
    )
