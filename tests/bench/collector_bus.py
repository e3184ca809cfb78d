"""Benchmark `collector-bus`: rows per second from gNMI through JetStream to committed rows.

A target in a process of its own streams counters of 10,000 sessions (200 per message, TLS) as fast as they
are taken. A publisher in a process of its own puts them onto a real nats-server, as they come; a writer reads
them there and commits them with its place. A row is one sample of a session with its tick and six counters.
The publisher is held back when it is 128 messages ahead, so that what is measured is the whole path.
PostgreSQL's fsync is on, JetStream's file is flushed as the package has it (`sync_interval`, two minutes).

Baseline, in the same run and database: the same without the bus, one collector from gNMI to committed rows.

    python tests/bench/collector_bus.py
"""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import asyncpg

from collector import lease, partitions
from collector.budget import Budget
from collector.bus.config import parse
from collector.bus.jetstream import Bus
from collector.bus.publisher import Line, Publishing
from collector.bus.writing import Writing
from collector.config import CollectorConfig, Target
from collector.migrations import migrate
from collector.retention import Retention
from tests.bench import harness
from tests.bench.collector_write import SECONDS, SESSIONS, collect, fill, run_server, wait_for
from tests.support import certificates, postgres
from tests.support.nats_server import NatsServer

SIZE = 1024
AHEAD = 128


class Paced(Line):
    """Waits for the writer when that falls behind."""

    def __init__(self, bus: Bus, connection: asyncpg.Connection) -> None:
        super().__init__(bus, "bng-01", "bench")
        self.connection = connection

    async def send(self, kind: str, body: bytes, cursor: tuple[int, int] | None = None) -> None:
        await super().send(kind, body, cursor)
        while self.chain.seq % 16 == 0:
            written = await self.connection.fetchval("SELECT bus_seq FROM cursors")
            if self.chain.seq - (written or 0) < AHEAD:
                return
            await asyncio.sleep(0.01)


def run_publisher(url: str, port: int, folder: Path, dsn: str) -> None:
    asyncio.run(publish(url, port, folder, dsn))


async def publish(url: str, port: int, folder: Path, dsn: str) -> None:
    """Samples alone, as the baseline has them."""
    target = Target("bng-01", f"127.0.0.1:{port}", "u", "p", folder / "cert.pem")
    config = CollectorConfig("", (target,), sample_interval=1, owner="bench")
    bus = Bus(parse({"url": url, "size": SIZE}, folder), "bench")  # type: ignore[arg-type]
    publishing = Publishing(config, target, Paced(bus, await asyncpg.connect(dsn)))
    await publishing.line.begin("bench")
    await publishing.publish_samples(publishing.client())


async def through_the_bus(dsn: str, url: str, connection: asyncpg.Connection) -> float:
    """Rows per second over SECONDS, the first second left out."""
    (epoch,) = (await lease.acquire(connection, ["bng-01"], "bench", 600)).values()
    config = CollectorConfig(dsn, (), sample_interval=1, owner="bench")
    bus = Bus(parse({"url": url, "size": SIZE}, Path()), "bench")  # type: ignore[arg-type]
    writing = Writing(config, Target("bng-01", "", "", "", Path()), epoch, bus, Budget(64 << 20))
    task = asyncio.create_task(writing.connected())
    counted, clock = "SELECT count(*) FROM session_samples", asyncio.get_running_loop().time
    while not await connection.fetchval(counted):
        await asyncio.sleep(0.1)
    await asyncio.sleep(1)
    before, began = await connection.fetchval(counted), clock()
    await asyncio.sleep(SECONDS)
    after, ended = await connection.fetchval(counted), clock()
    if task.done():
        task.result()  # it should go on for ever: say what ended it
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    writing.store.close()
    await bus.close()
    return (after - before) / (ended - began)


async def prepare(dsn: str) -> None:
    await migrate(dsn)
    connection = await asyncpg.connect(dsn)
    await partitions.maintain(connection, Retention())
    await fill(connection)
    await connection.close()


async def directly(dsn: str, port: int, folder: Path, server: int) -> float:
    connection = await asyncpg.connect(dsn)
    target = Target("bng-01", f"127.0.0.1:{port}", "u", "p", folder / "cert.pem")
    config = CollectorConfig(dsn, (target,), sample_interval=1, owner="bench")
    rate = await collect(config, connection, server)
    await connection.close()
    return rate.rows


async def with_bus(dsn: str, url: str) -> float:
    connection = await asyncpg.connect(dsn)
    rate = await through_the_bus(dsn, url, connection)
    await connection.close()
    return rate


def main() -> None:
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="aether-bench-") as name, postgres.cluster(fsync=True) as cluster:
        folder = Path(name)
        certificates.write(folder)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        nats = NatsServer(folder)
        nats.start()
        target = context.Process(target=run_server, args=(port, folder), daemon=True)
        direct, bused = cluster.create("direct"), cluster.create("bus")
        for dsn in (direct, bused):
            asyncio.run(prepare(dsn))
        arguments = (nats.url, port, folder, bused)
        publisher = context.Process(target=run_publisher, args=arguments, daemon=True)
        target.start()
        try:
            wait_for(port)
            baseline = asyncio.run(directly(direct, port, folder, target.pid or 0))
            publisher.start()
            rate = asyncio.run(with_bus(bused, nats.url))
        finally:
            for process in (publisher, target):
                if process.pid:
                    process.kill()
            nats.kill()
    harness.report(
        "collector-bus",
        round(rate),
        "rows/s",
        "the same without the bus",
        round(baseline),
        rate / baseline,
        f"{SESSIONS} sessions, TLS, fsync on, one publisher, one writer, nats-server, PostgreSQL and target "
        "on the same machine",
    )


if __name__ == "__main__":
    main()
