"""Benchmark `collector-fleet`: one collector and many small BNGs.

A process with a port for each of 1,000 BNGs samples 100 sessions of each every 5 s (TLS), and answers all
that a collector asks. The collector runs as it is installed, and PostgreSQL with fsync. The figure is the CPU
that the collector takes, in percent of one core, while it keeps up: every tick of every BNG is committed,
and there is no row in `gaps`.

Baseline, in the same run: the same sessions at the same interval as 10 BNGs with 10,000 each.

    python tests/bench/collector_fleet.py [--bngs 1000]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import asyncpg
import grpc
import numpy as np

from collector.migrations import migrate
from collector.template import COLUMNS
from telemetry.encoder import ColumnEncoder, ColumnShape
from telemetry.protocol import gnmi_pb2
from tests.bench import harness
from tests.support import certificates, postgres

ROOT = Path(__file__).parents[2]
BNGS, FEW = 1000, 10
SESSIONS = 100
INTERVAL = 5
TICKS = 6
FIRST_PORT = 20_000
STARTED_WITHIN = 180.0
LEAVES = tuple(("counters", name.replace("_", "-")) for name in COLUMNS)


class Fleet:
    """All BNGs: they have the same sessions, and a tick's messages are made once."""

    def __init__(self, sessions: int) -> None:
        prefix = gnmi_pb2.Path(elem=[gnmi_pb2.PathElem(name="aether-subscriber:sessions")])
        keys = [(f"{number:016x}",) for number in range(sessions)]
        encoder = ColumnEncoder(ColumnShape(prefix, "session", ("id",), LEAVES))
        self._blocks = encoder.layout(keys, membership=1).blocks
        self._sessions = sessions
        self._tick, self._messages = -1, [b""]
        health = gnmi_pb2.Notification(timestamp=time.time_ns())
        health.prefix.elem.add(name="aether-health:health")
        health.update.add(val=gnmi_pb2.TypedValue(uint_val=sessions)).path.elem.add(name="sessions")
        self._health = gnmi_pb2.SubscribeResponse(update=health).SerializeToString()
        instance = gnmi_pb2.Notification(timestamp=time.time_ns())
        instance.prefix.elem.add(name="aether-bng:bng")
        path = instance.update.add(val=gnmi_pb2.TypedValue(string_val="bench")).path
        path.elem.add(name="identity")
        path.elem.add(name="instance-id")
        self._instance = gnmi_pb2.SubscribeResponse(update=instance).SerializeToString()

    def messages(self, tick: int) -> list[bytes]:
        """The counters, and behind them what says that they are whole."""
        if tick != self._tick:
            values = np.full((self._sessions, len(COLUMNS)), tick * 1000, np.uint64)
            values[:, 0] = tick
            now = tick * INTERVAL * 1_000_000_000
            counters = [block.message(values[rows], now) for block, rows in self._blocks]
            self._messages, self._tick = [*counters, self._instance], tick
        return self._messages

    async def capabilities(self, _request: bytes, _context: object) -> bytes:
        return bytes(gnmi_pb2.CapabilityResponse(gNMI_version="0.10.0").SerializeToString())

    async def get(self, _request: bytes, _context: object) -> bytes:
        return bytes(gnmi_pb2.GetResponse().SerializeToString())

    async def subscribe(self, requests: AsyncIterator[bytes], _context: object) -> AsyncIterator[bytes]:
        asked = gnmi_pb2.SubscribeRequest.FromString(await anext(requests)).subscribe.subscription[0]
        kind = asked.path.elem[0].name
        yield gnmi_pb2.SubscribeResponse(sync_response=True).SerializeToString()
        if kind == "aether-events:events":
            await asyncio.Event().wait()  # nothing happens
        while True:
            tick = int(time.time() / INTERVAL) + 1
            await asyncio.sleep(tick * INTERVAL - time.time())
            counters = kind == "aether-subscriber:sessions"
            for message in self.messages(tick) if counters else [self._health]:
                yield message


async def serve(bngs: int, sessions: int, folder: Path) -> None:
    fleet, server = Fleet(sessions), grpc.aio.server()
    handlers = {
        "Capabilities": grpc.unary_unary_rpc_method_handler(fleet.capabilities),
        "Get": grpc.unary_unary_rpc_method_handler(fleet.get),
        "Subscribe": grpc.stream_stream_rpc_method_handler(fleet.subscribe),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("gnmi.gNMI", handlers),))
    pair = (folder / "key.pem").read_bytes(), (folder / "cert.pem").read_bytes()
    for number in range(bngs):
        server.add_secure_port(f"127.0.0.1:{FIRST_PORT + number}", grpc.ssl_server_credentials([pair]))
    await server.start()
    await server.wait_for_termination()


def run_fleet(bngs: int, sessions: int, folder: Path) -> None:
    asyncio.run(serve(bngs, sessions, folder))


def used(pid: int, *, children: bool = False) -> float:
    """Seconds of CPU of a process, with those children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11 : 15 if children else 13])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Found:
    """Percent of a core of collector and PostgreSQL, seconds until all were collected and of the slowest way
    from a tick to its commit, rows a second, MiB of the collector, rows of `gaps`, connections."""

    collector: float
    postgres: float
    started: float
    lag: float
    rows: float
    memory: float
    gaps: int
    connections: int


async def watch(dsn: str, cluster: postgres.Cluster, collector: int, bngs: int) -> Found:
    connection = await asyncpg.connect(dsn)
    began = time.monotonic()
    while await connection.fetchval("SELECT count(*) FROM cursors WHERE sampled_at IS NOT NULL") < bngs:
        if time.monotonic() - began > STARTED_WITHIN:
            raise SystemExit("the collector did not get to all BNGs")
        await asyncio.sleep(0.2)
    started = time.monotonic() - began
    count = "SELECT count(*), (SELECT count(*) FROM gaps), max(time) FROM session_samples"
    await asyncio.sleep(INTERVAL)
    rows, gaps, _ = await connection.fetchrow(count)
    cpu = used(collector), sum(used(pid, children=True) for pid in cluster.pids())
    watched = time.monotonic()
    lag = 0.0
    while time.monotonic() - watched < TICKS * INTERVAL:
        await asyncio.sleep(0.5)
        tick = "SELECT extract(epoch FROM now() - min(sampled_at))::float8 - $1 FROM cursors"
        lag = max(lag, await connection.fetchval(tick, float(INTERVAL)))
    took = time.monotonic() - watched
    after = used(collector), sum(used(pid, children=True) for pid in cluster.pids())
    rows_after, gaps_after, _ = await connection.fetchrow(count)
    connections = await connection.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'aether-collector%'"
    )
    await connection.close()
    status = Path(f"/proc/{collector}/status").read_text()
    return Found(
        100 * (after[0] - cpu[0]) / took,
        100 * (after[1] - cpu[1]) / took,
        started,
        lag,
        (rows_after - rows) / took,
        int(status.split("VmHWM:")[1].split()[0]) / 1024,
        gaps_after - gaps,
        connections,
    )


async def fill(dsn: str, bngs: int, sessions: int) -> None:
    """The sessions are live."""
    await migrate(dsn)
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        """INSERT INTO sessions_active (bng_id, session_id, status)
           SELECT 'bng-' || b, lpad(to_hex(s), 16, '0'), 'active'
           FROM generate_series(0, $1::int - 1) b, generate_series(0, $2::int - 1) s""",
        bngs,
        sessions,
    )
    await connection.execute("VACUUM ANALYZE sessions_active")
    await connection.close()


def measure(cluster: postgres.Cluster, folder: Path, bngs: int, sessions: int) -> Found:
    dsn = cluster.create(f"bench{bngs}")
    asyncio.run(fill(dsn, bngs, sessions))
    fleet = multiprocessing.get_context("spawn").Process(
        target=run_fleet, args=(bngs, sessions, folder), daemon=True
    )
    fleet.start()
    config = folder / f"{bngs}.json"
    login = {"username": "u", "password": "p", "ca": str(folder / "cert.pem")}
    targets = [{"bng_id": f"bng-{n}", "address": f"127.0.0.1:{FIRST_PORT + n}", **login} for n in range(bngs)]
    config.write_text(json.dumps({"database": dsn, "sample_interval": INTERVAL, "targets": targets}))
    with (folder / "log").open("ab") as log:
        command = [sys.executable, "-m", "collector", "run", "--config", str(config)]
        collector = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    try:
        return asyncio.run(watch(dsn, cluster, collector.pid, bngs))
    except BaseException:
        print((folder / "log").read_text()[-3000:], file=sys.stderr)
        raise
    finally:
        collector.kill()
        collector.wait()
        fleet.kill()
        fleet.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--bngs", type=int, default=BNGS, help="how many, each with 100 sessions")
    bngs = max(FEW, parser.parse_args().bngs)
    with tempfile.TemporaryDirectory(prefix="aether-bench-") as name, postgres.cluster(fsync=True) as cluster:
        folder = Path(name)
        certificates.write(folder)
        few = measure(cluster, folder, FEW, bngs * SESSIONS // FEW)
        many = measure(cluster, folder, bngs, SESSIONS)
    harness.report(
        "collector-fleet",
        round(many.collector, 1),
        "% of a core",
        f"the same sessions as {FEW} BNGs",
        round(few.collector, 1),
        few.collector / many.collector,
        f"{bngs} BNGs x {SESSIONS} sessions, every {INTERVAL} s, TLS, fsync on: {many.rows:.0f} rows/s, "
        f"{many.gaps} gaps, all committed at most {many.lag:.1f} s after their tick, all collected "
        f"{many.started:.1f} s after the start; collector {many.memory:.0f} MiB, {many.connections} "
        f"connections; PostgreSQL {many.postgres:.0f} % of a core (baseline: {few.rows:.0f} rows/s, "
        f"{few.lag:.1f} s, {few.memory:.0f} MiB, PostgreSQL {few.postgres:.0f} %)",
    )


if __name__ == "__main__":
    main()
