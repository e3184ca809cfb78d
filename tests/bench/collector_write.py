"""Benchmark `collector-write`: rows per second from gNMI to committed rows.

A target in a process of its own streams counters of 10,000 sessions (200 per message, TLS) as fast as
they are taken. The collector's own code reads, decodes and commits them: one transaction per batch with the
fenced cursor, the samples, and the counters of the live sessions. A row is one sample of a session with
its tick and six counters. fsync is on.

Baselines, in the same run and database: the same stream read through protobuf and asyncpg's
`copy_records_to_table`, as many messages to a transaction, without cursor and live counters; and the same
samples with one INSERT and one commit each, which is how a consumer of single events writes.

    python tests/bench/collector_write.py
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import asyncpg
import grpc
import numpy as np

from collector import copyformat, decode, gnmi, lease, partitions
from collector.config import CollectorConfig, Target
from collector.migrations import migrate
from collector.retention import Retention
from collector.session import COUNTERS, MOST_MESSAGES, Session
from collector.template import COLUMNS
from telemetry.encoder import ColumnEncoder, ColumnShape
from telemetry.protocol import gnmi_pb2
from tests.bench import harness
from tests.support import certificates, postgres

SESSIONS = 10_000
SECONDS = 12.0
BASELINE_SECONDS = 4.0
ORDINARY_SECONDS = 6.0
PLACE = {name.replace("_", "-"): number for number, name in enumerate(COLUMNS)}
LEAVES = tuple(("counters", name.replace("_", "-")) for name in COLUMNS)


async def serve(port: int, folder: Path) -> None:
    """Stream one tick after the other."""
    prefix = gnmi_pb2.Path(elem=[gnmi_pb2.PathElem(name="aether-subscriber:sessions")])
    shape = ColumnShape(prefix, "session", ("id",), LEAVES)
    keys = [(f"{number:016x}",) for number in range(SESSIONS)]
    blocks = ColumnEncoder(shape).layout(keys, membership=1).blocks

    async def subscribe(requests: AsyncIterator[bytes], _context: object) -> AsyncIterator[bytes]:
        await anext(requests)
        values = np.arange(SESSIONS * len(COLUMNS), dtype=np.uint64).reshape(SESSIONS, -1) * np.uint64(977)
        tick = 0
        while True:
            tick += 1
            values += np.uint64(150_000)
            values[:, 0] = tick
            now = time.time_ns()
            for block, rows in blocks:
                yield block.message(values[rows], now)

    server = grpc.aio.server()
    handler = grpc.stream_stream_rpc_method_handler(subscribe)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("gnmi.gNMI", {"Subscribe": handler}),)
    )
    pair = [(folder / "key.pem").read_bytes(), (folder / "cert.pem").read_bytes()]
    server.add_secure_port(f"127.0.0.1:{port}", grpc.ssl_server_credentials([tuple(pair)]))
    await server.start()
    await server.wait_for_termination()


async def fill(connection: asyncpg.Connection) -> None:
    """10,000 live sessions."""
    rows = [("bng-01", f"{number:016x}", "active") for number in range(SESSIONS)]
    await connection.copy_records_to_table(
        "sessions_active", columns=("bng_id", "session_id", "status"), records=rows
    )


@dataclass(frozen=True)
class Rate:
    """Rows per second, and how many µs of CPU a row took of the target, of us, and of PostgreSQL."""

    rows: float
    target: float
    collector: float
    postgres: float


async def rate(connection: asyncpg.Connection, pids: tuple[int, ...], seconds: float) -> Rate:
    """What is committed from now on."""
    counted = "SELECT count(*) FROM session_samples"
    before, cpu, began = await connection.fetchval(counted), [used(pid) for pid in pids], time.monotonic()
    await asyncio.sleep(seconds)
    after, ended = await connection.fetchval(counted), time.monotonic()
    rows = max(1, after - before)
    shares = [(used(pid) - then) * 1e6 / rows for pid, then in zip(pids, cpu, strict=True)]
    return Rate(rows / (ended - began), *shares)


def used(pid: int) -> float:
    """Seconds of CPU of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def collect(config: CollectorConfig, connection: asyncpg.Connection, target: int) -> Rate:
    """The collector's way, the first second left out."""
    (epoch,) = (await lease.acquire(connection, ["bng-01"], "bench", 600)).values()
    collecting = Session(config, config.targets[0], epoch)
    client = collecting.client()
    async with collecting.store.borrow() as working:
        backend = working.get_server_pid()
    task = asyncio.create_task(collecting._samples(client))
    await asyncio.sleep(1)
    found = await rate(connection, (target, os.getpid(), backend), SECONDS)
    if task.done():
        task.result()  # it should go on for ever: say what ended it
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await client.close()
    collecting.store.close()
    return found


def plain_records(octets: bytes) -> Iterator[tuple[object, ...]]:
    """Rows of a message by nothing but protobuf, for this target alone: nothing is checked."""
    notification = gnmi_pb2.SubscribeResponse.FromString(octets).update
    time = decode.stamp(notification.timestamp)
    session, values = "", [0] * len(COLUMNS)
    for update in notification.update:
        elements = update.path.elem
        key = elements[0].key["id"]
        if key != session:
            if session:
                yield (time, "bng-03", session, *values)
            session, values = key, [0] * len(COLUMNS)
        values[PLACE[elements[2].name]] = update.val.uint_val
    if session:
        yield (time, "bng-03", session, *values)


async def ordinary(config: CollectorConfig, connection: asyncpg.Connection, target: int) -> Rate:
    """The first baseline: protobuf, tuples, COPY of asyncpg."""
    client = gnmi.Client(config.targets[0])
    working = await asyncpg.connect(config.database)

    async def work() -> None:
        request = gnmi.stream(gnmi.sampled(COUNTERS, 1))
        async for batch in client.batches(request, most=MOST_MESSAGES, quiet=0.2):
            records = [record for octets in batch for record in plain_records(octets)]
            await working.copy_records_to_table("session_samples", columns=copyformat.SAMPLE, records=records)

    task = asyncio.create_task(work())
    await asyncio.sleep(1)
    found = await rate(connection, (target, os.getpid(), working.get_server_pid()), ORDINARY_SECONDS)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await client.close()
    working.terminate()
    return found


async def one_by_one(connection: asyncpg.Connection) -> float:
    """The baseline: one INSERT, one commit per row."""
    insert = (
        f"INSERT INTO session_samples ({', '.join(copyformat.SAMPLE)}) "
        "VALUES (now(), 'bng-02', $1, $2, $3, $4, $5, $6, $7, $8)"
    )
    began, rows = time.monotonic(), 0
    while time.monotonic() - began < BASELINE_SECONDS:
        await connection.execute(insert, f"{rows % SESSIONS:016x}", rows, 1, 2, 3, 4, 5, 6)
        rows += 1
    return rows / (time.monotonic() - began)


async def measure(dsn: str, port: int, folder: Path, server: int) -> tuple[Rate, Rate, float]:
    await migrate(dsn)
    connection = await asyncpg.connect(dsn)
    await partitions.maintain(connection, Retention())
    await fill(connection)
    target = Target("bng-01", f"127.0.0.1:{port}", "u", "p", folder / "cert.pem")
    config = CollectorConfig(dsn, (target,), sample_interval=1, owner="bench")
    found = (
        await collect(config, connection, server),
        await ordinary(config, connection, server),
        await one_by_one(connection),
    )
    await connection.close()
    return found


def wait_for(port: int, seconds: float = 30) -> None:
    """Until somebody listens there."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit("the target did not start")


def run_server(port: int, folder: Path) -> None:
    asyncio.run(serve(port, folder))


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="aether-bench-") as name, postgres.cluster(fsync=True) as cluster:
        folder = Path(name)
        certificates.write(folder)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        server = multiprocessing.get_context("spawn").Process(
            target=run_server, args=(port, folder), daemon=True
        )
        server.start()
        try:
            wait_for(port)
            measured = measure(cluster.create("bench"), port, folder, server.pid or 0)
            ours, plain, single = asyncio.run(measured)
        finally:
            server.kill()
    harness.report(
        "collector-write",
        round(ours.rows),
        "rows/s",
        "protobuf and copy_records_to_table, without cursor and live counters",
        round(plain.rows),
        ours.rows / plain.rows,
        f"{SESSIONS} sessions x {len(COLUMNS)} columns, TLS, fsync on, live counters updated; CPU per row: "
        f"target {ours.target:.2f} µs, collector {ours.collector:.2f}, PostgreSQL {ours.postgres:.2f} "
        f"(baseline: collector {plain.collector:.2f}, PostgreSQL {plain.postgres:.2f}); one INSERT and "
        f"commit per row: {single:.0f} rows/s; all on the same machine",
    )


if __name__ == "__main__":
    main()
