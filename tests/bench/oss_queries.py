"""Benchmark `oss-queries`: how long the pages of the OSS's console wait for the database.

The tables of the collector are filled with a day of samples every 5 s (`--rows` of them in all, so that they
are those of rows / 17,280 sessions), the rollups that the collector would have made of them, past sessions
and events of a month; the OSS's tables with a customer and a service for each live session. Then every query
of a page is asked as the page asks it, through the OSS's own functions. The figure is the slowest.

Baseline, in the same run: the slowest of the same series of traffic computed from samples as they came,
without rollups and without BRIN, as from a table of samples alone. One that takes longer than `--limit`
counts as that. Told beside it are the series from the rollups of sessions, as the OSS reads them where
traffic of access nodes is not added up; what both say is compared.

    python tests/bench/oss_queries.py [--rows 1000000] [--limit 120]

A hundred million samples need about 20 GB in /tmp; `timeout` ends it and leaves nothing behind:

    timeout 1500 python tests/bench/oss_queries.py --rows 100000000 --limit 30
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from io import BytesIO
from math import isclose
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import asyncpg
import numpy as np

from collector import copyformat, migrations, node_traffic, partitions
from collector.template import COLUMNS, SESSION_ID, Samples
from oss import database
from oss.domain import customers, elements, sessions, traffic
from oss.domain import node_traffic as added_up
from oss.live import Hub, stream
from tests.bench import harness
from tests.support import postgres

INTERVAL = 5
TICKS = 86_400 // INTERVAL
BNGS = ("bng-01", "bng-02", "bng-03", "bng-04")
ROWS_PER_COPY = 100_000
ROLLED = {"session_samples_1m": 60, "session_samples_5m": 300, "session_samples_1h": 3600}

ADDED_UP = {name: node_traffic.TABLES[name] for name in ("session_samples", *ROLLED)}
PORTS = 250
"""Of an access node."""

Ask = Callable[[], Awaitable[Any]]


async def fill_samples(connection: asyncpg.Connection, end: datetime, each: int) -> None:
    """A day of samples of `each` sessions per BNG, in the order of time, and their rollups."""
    names = {bng: np.array([f"{number:016x}" for number in range(each)], SESSION_ID) for bng in BNGS}
    rates = np.random.default_rng(1).integers(1_000, 2_000_000, (each, len(COLUMNS)))
    pending: dict[tuple[str, str], list[Samples]] = {}
    for tick in range(TICKS):
        at = end - timedelta(seconds=INTERVAL * (TICKS - 1 - tick))
        values = rates * (tick + 1)
        values[:, 0] = tick
        seconds = int(at.timestamp()) + INTERVAL
        tables = ["session_samples", *(name for name, step in ROLLED.items() if seconds % step < INTERVAL)]
        for table in tables:
            for bng in BNGS:
                held = pending.setdefault((table, bng), [])
                held.append(Samples(int(at.timestamp() * 1e9), names[bng], values))
                if len(held) * each * len(BNGS) >= ROWS_PER_COPY or tick == TICKS - 1:
                    await copy(connection, table, bng, held)
                    held.clear()
    await fill_nodes(connection, end, rates)
    for (table, bng), held in pending.items():
        if held:
            await copy(connection, table, bng, held)


async def fill_nodes(connection: asyncpg.Connection, end: datetime, rates: np.ndarray) -> None:
    """What the collector adds up of these samples: each BNG has the same."""
    starts = np.arange(0, len(rates), PORTS)
    nodes = np.add.reduceat(rates[:, 1:3], starts, axis=0).tolist()
    for samples, table in ADDED_UP.items():
        step = ROLLED.get(samples, INTERVAL)
        ticks = step // INTERVAL
        last = [end - timedelta(seconds=INTERVAL * n) for n in range(TICKS)]
        times = [t for t in last if (int(t.timestamp()) + INTERVAL) % step < INTERVAL][:-1]
        rows = (
            (at, at - timedelta(seconds=step), bng, f"an-{n}", into * ticks, out * ticks)
            for at in reversed(times)
            for bng in BNGS
            for n, (into, out) in enumerate(nodes)
        )
        await connection.copy_records_to_table(table, records=rows)


async def copy(connection: asyncpg.Connection, table: str, bng: str, ticks: list[Samples]) -> None:
    """Rollups have `samples` where samples have `tick`, of another width."""
    if table == "session_samples":
        await connection.copy_to_table(
            table,
            source=BytesIO(copyformat.SampleEncoder(bng).long(ticks)),
            columns=copyformat.SAMPLE,
            format="binary",
        )
        return
    await connection.copy_to_table(
        "staged_rollup",
        source=BytesIO(copyformat.SampleEncoder(bng).long(ticks)),
        columns=copyformat.SAMPLE,
        format="binary",
    )
    columns = ", ".join(("time", "bng_id", "session_id", *copyformat.SAMPLE[4:]))
    await connection.execute(
        f"INSERT INTO {table} (samples, {columns}) "
        f"SELECT {ROLLED[table] // INTERVAL}, {columns} FROM staged_rollup"
    )
    await connection.execute("TRUNCATE staged_rollup")


LINE = "'an-' || n % $2 / 250, '1/0/' || n % $2 % 250, b || '/an-' || n % $2 / 250 || '/1/0/' || n % $2 % 250"
"""remote-id, circuit-id and username of the n-th of so many lines of a BNG."""

BEFORE = "'an-' || n / 250, '1/0/' || n % 250"
OTHERS = (
    """INSERT INTO bngs (bng_id, state, connected_since, last_seen)
       SELECT b, 'connected', now(), now() FROM unnest($1::text[]) b""",
    """INSERT INTO plans (name, download_kbps, upload_kbps)
       SELECT 'plan-' || n, 1000 * n, 1000 * n FROM generate_series(1, 5) n
       WHERE cardinality($1::text[]) > 0""",
    """INSERT INTO customers (name, created)
       SELECT 'Customer ' || n || ' of ' || b, now() - interval '90 days'
       FROM unnest($1::text[]) b, generate_series(0, $2::int - 1) n""",
    f"""INSERT INTO services (customer_id, plan_id, bng_id, remote_id, circuit_id, created)
       SELECT row_number() OVER (), (SELECT min(id) FROM plans) + n % 5, b, {BEFORE},
           now() - interval '90 days'
       FROM unnest($1::text[]) b, generate_series(0, $2::int - 1) n""",
    f"""INSERT INTO sessions_active (bng_id, session_id, remote_id, circuit_id, username, status, profile,
           started, ip_address, sampled_at)
       SELECT b, lpad(to_hex(n), 16, '0'), {LINE}, 'active', 'plan-' || 1 + n % 5,
           now() - interval '1 day', '10.0.0.0'::inet + n, now()
       FROM unnest($1::text[]) b, generate_series(0, $2::int - 1) n""",
    f"""INSERT INTO sessions_history (bng_id, session_id, remote_id, circuit_id, username, status, profile,
           started, stopped, terminate_cause)
       SELECT b, lpad(to_hex(100000000 + n), 16, '0'), {LINE}, 'terminating', 'plan-1',
           now() - n * interval '30 days' / $3 - interval '1 hour', now() - n * interval '30 days' / $3,
           'User-Request'
       FROM unnest($1::text[]) b, generate_series(1, $3::int) n""",
    f"""INSERT INTO events (bng_id, instance_id, seq, time, time_ns, type, session_id, remote_id, circuit_id,
           username, lease_expiry)
       SELECT b, md5(b)::uuid, n, now() - (2 * $3::int - n) * interval '30 days' / (2 * $3::int), n,
           (ARRAY['session-start', 'session-update', 'session-stop', 'session-rejected'])[1 + n % 4],
           lpad(to_hex(100000000 + n / 4), 16, '0'), {LINE}, now()
       FROM unnest($1::text[]) b, generate_series(1, 2 * $3::int) n""",
    """INSERT INTO health_samples (time, bng_id, cpu_usage, memory_usage, loop_lag, sessions)
       SELECT now() - n * interval '5 s', b, 10, 100, 1, $2::int
       FROM unnest($1::text[]) b, generate_series(0, 17279) n""",
)


async def fill(dsn: str, rows: int) -> datetime:
    """Everything. Returns the time of the newest sample."""
    connection = await asyncpg.connect(dsn)
    each, past = max(1, rows // TICKS // len(BNGS)), max(1000, min(rows // 100, 1_000_000) // len(BNGS))
    end = datetime.fromtimestamp(time.time() // INTERVAL * INTERVAL, UTC)
    await partitions.ensure(connection, end)
    await connection.execute("CREATE TEMP TABLE staged_rollup (LIKE session_samples)")
    await fill_samples(connection, end, each)
    for step in ROLLED.values():
        rolled = datetime.fromtimestamp((end.timestamp() - 10) // step * step, UTC)
        await connection.execute(
            "UPDATE rollups SET closed_to = $2, rolled_to = $2 WHERE step = $1", step, rolled
        )
    for table, step in {"": 60, **ROLLED}.items():
        for name in filter(None, (table, ADDED_UP[table or "session_samples"])):
            await connection.execute(
                f"DELETE FROM {name} WHERE time >= (SELECT rolled_to FROM rollups WHERE step = {step})"
            )
    await connection.execute(
        "UPDATE rollups SET (totals_from, totals_due) = ($1, $1)", end - timedelta(days=2)
    )
    for statement in OTHERS:
        wanted = [list(BNGS), each, past][
            : 1 + max((n for n in (1, 2) if f"${n + 1}" in statement), default=0)
        ]
        await connection.execute(statement, *wanted)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
    return end


def pages(pool: asyncpg.Pool, now: datetime) -> dict[str, Ask]:
    """What is asked, by name."""
    asked: dict[str, Ask] = {}

    def add(name: str, ask: Callable[..., Awaitable[Any]], *args: Any, **named: Any) -> None:
        asked[name] = lambda: ask(*args, **named)

    for range_ in traffic.RANGES:
        for name, of in (
            ("all", {}),
            ("BNG", {"bng_id": "bng-01"}),
            ("access node", {"bng_id": "bng-01", "remote_id": "an-0"}),
            ("customer", {"customer_id": 1}),
            ("session", {"bng_id": "bng-01", "session_id": "0" * 16}),
        ):
            add(f"traffic {range_} {name}", traffic.series, pool, range_, None, now=now, **of)
    nothing, line = sessions.Filter(), sessions.Filter(bng_id="bng-01", remote_id="an-0", circuit_id="1/0/1")
    customer = sessions.Filter(customer_id=1)
    for name, criteria in (("", nothing), (" of a line", line), (" of a customer", customer)):
        add(f"sessions{name}", sessions.active, pool, criteria, "username", "asc", 100, None)
        add(f"past sessions{name}", sessions.history, pool, criteria, "stopped", "desc", 100, None)
        add(f"events{name}", sessions.events, pool, criteria, "desc", 100, None)
    for sort in ("username", "out_octets"):
        add(f"past sessions by {sort}", sessions.history, pool, nothing, sort, "desc", 100, None)
    past = f"{100_000_001:016x}"
    add("events of a session", sessions.events, pool, sessions.Filter(session_id=past), "desc", 100, None)
    add("a session", sessions.one, pool, "bng-01", past)
    for name, text in (
        ("", "an-0/1/0/7"),
        (" by session id", past),
        (" by all of a customer's name", "Customer 7 of bng-02"),
        (" by part of many names", "Customer 1"),
        (" in vain", "nobody-has-this"),
        (" of two letters", "/7"),
    ):
        found = sessions.Filter(q=text)
        add(f"search of past sessions{name}", sessions.history, pool, found, "stopped", "desc", 100, None)
    add(
        "search of live sessions",
        sessions.active,
        pool,
        sessions.Filter(q="/1/0/7"),
        "started",
        "desc",
        100,
        None,
    )
    add("overview", elements.stats, pool, BNGS)
    add("BNGs", elements.bngs, pool, BNGS)
    add("access nodes", elements.access_routers, pool)
    add("health 24h", elements.health_series, pool, "bng-01", "24h", None)
    add("a customer", customers.one, pool, 1)
    hub = Hub(pool, "")
    add("live: begin", hub._load)
    add("live: snapshot", snapshot, hub)
    add("live: events of a BNG", hub._sessions, "bng-01")
    return asked


async def snapshot(hub: Hub) -> None:
    """What a browser waits for at first."""
    with hub.subscribe() as subscriber:
        async for chunk in stream(hub, subscriber):
            if b'"last":true' in chunk:
                return


async def timed(ask: Ask, times: int, limit: float = 120.0) -> float:
    """Milliseconds, the median; `limit` is in seconds."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        try:
            await asyncio.wait_for(ask(), limit)
        except (TimeoutError, asyncpg.QueryCanceledError):
            return limit * 1000
        found.append((time.perf_counter() - began) * 1000)
        if found[-1] > 5000:
            break
    return median(found)


async def measure(
    dsn: str, rows: int, limit: float
) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    """Milliseconds by page: as it is, from the rollups of sessions, from samples alone."""
    await migrations.migrate(dsn)
    await database.migrate(dsn)
    began = time.monotonic()
    now = await fill(dsn, rows)
    print(f"filled in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    pool = await database.open_pool(dsn)
    ours = {}
    for name, ask in pages(pool, now).items():
        ours[name] = await timed(ask, 5)
        print(f"{ours[name]:10.1f} ms  {name}", file=sys.stderr, flush=True)
    by_session = await from_sessions(pool, now)
    await pool.close()
    return ours, by_session, await plain(dsn, now, limit)


async def from_sessions(pool: asyncpg.Pool, now: datetime) -> dict[str, float]:
    """The series that can do without sessions, with them. Raises AssertionError if they differ."""
    before = await traffic.series(pool, "1h", None, now=now)
    covers, added_up.covers = added_up.covers, lambda *_: False
    found = {}
    for name, ask in pages(pool, now).items():
        if name.startswith("traffic") and name.endswith(("all", "BNG", "access node")):
            found[name] = await timed(ask, 3)
            print(f"{found[name]:10.1f} ms  {name} from rollups of sessions", file=sys.stderr, flush=True)
    after = await traffic.series(pool, "1h", None, now=now)
    for ours, theirs in zip(before.points, after.points, strict=True):
        assert ours.out_rate and theirs.out_rate and isclose(ours.out_rate, theirs.out_rate), (ours, theirs)
    added_up.covers = covers
    return found


async def plain(dsn: str, now: datetime, limit: float) -> dict[str, float]:
    """The series without rollups and BRIN."""
    patient = await asyncpg.create_pool(dsn, min_size=1, command_timeout=limit)
    added_up.covers = lambda *_: False
    await patient.execute("DROP INDEX session_samples_time")
    levels, traffic.LEVELS = traffic.LEVELS, ()
    found = {}
    for name, ask in pages(patient, now).items():
        if name.startswith("traffic") and ("all" in name or "session" in name):
            found[name] = await timed(ask, 1, limit)
            print(f"{found[name]:10.1f} ms  {name} from samples alone", file=sys.stderr, flush=True)
    traffic.LEVELS = levels
    await patient.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="samples, at least 69,120")
    parser.add_argument(
        "--limit", type=float, default=120, help="seconds that a series from samples may take"
    )
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended: the database is removed"))
    rows = max(TICKS * len(BNGS), args.rows)
    with postgres.cluster() as cluster:
        ours, by_session, raw = asyncio.run(measure(cluster.create("bench"), rows, args.limit))
    slowest, worst = max(ours, key=lambda name: ours[name]), max(raw, key=lambda name: raw[name])
    others = ", ".join(f"{name} {ours[name]:.0f}" for name in sorted(ours, key=lambda n: -ours[n])[1:6])
    harness.report(
        "oss-queries",
        round(ours[slowest], 1),
        "ms of the slowest page",
        f"{worst} from samples alone, without rollups and BRIN",
        round(raw[worst], 1),
        raw[worst] / ours[slowest],
        f"{rows} samples of a day at {INTERVAL} s, {len(ours)} queries; slowest: {slowest}; then, in ms: "
        f"{others}; from rollups of sessions: traffic 15m all {by_session['traffic 15m all']:.0f}, "
        f"24h all {by_session['traffic 24h all']:.0f}; "
        f"half of all take less than {median(ours.values()):.1f} ms; shared_buffers 64 MB",
    )


if __name__ == "__main__":
    main()
