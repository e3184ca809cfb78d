"""The bus with a real nats-server and PostgreSQL: publishers, writers, and kills of them all under churn."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import asyncpg
import nats
import nkeys
import pytest

from collector import gnmi, lease
from collector.budget import Budget
from collector.bus import message
from collector.bus.chain import Follower, Place
from collector.bus.config import parse
from collector.bus.jetstream import Bus, Unavailable
from collector.bus.publisher import Line
from collector.bus.reader import read
from collector.bus.writing import Writing
from collector.config import CollectorConfig, Target
from collector.migrations import migrate
from telemetry.protocol import gnmi_pb2
from tests.support import certificates, postgres
from tests.support.collector_rig import Rig, rows
from tests.support.journal_target import event
from tests.support.nats_server import NatsServer

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]


PUBLISHER = "SELECT collector FROM target_state WHERE until IS NULL AND state = 'up'"


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
        return str(self.rig.until(PUBLISHER, lambda owner: owner in self.running))

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

    # a publisher that falls silent and comes back believes to have the BNG; the server refuses it
    first = bus.publisher()
    (second,) = {"p1", "p2"} - {first}
    os.kill(bus.running[first].pid, signal.SIGSTOP)
    rig.until(PUBLISHER, lambda owner: owner == second)
    os.kill(bus.running[first].pid, signal.SIGCONT)
    rig.until_log("collector.lease-lost")

    bus.kill(second)
    bus.kill(bus.writer())
    rig.until(PUBLISHER, lambda owner: owner == first)
    server.kill()
    server.start()
    _more_events(rig, 200)

    total = _last_event(rig)
    rig.until("SELECT max(seq) FROM events", lambda seq: seq == total)
    assert rows(rig.database, "SELECT count(*), count(DISTINCT seq) FROM events")[0][:] == (total, total)
    assert rows(rig.database, "SELECT count(*) FROM sessions_history")[0][0] == total // 2
    assert rows(rig.database, "SELECT count(*) FROM sessions_active")[0][0] == total % 2
    assert rows(rig.database, "SELECT count(*) FROM gaps WHERE kind = 'events'")[0][0] == 0
    _check_samples(rig)
    state = rows(rig.database, "SELECT state, instance_id, gnmi_address FROM bngs")[0]
    assert (state["state"], state["gnmi_address"]) == ("connected", f"127.0.0.1:{rig.port}")
    assert rows(rig.database, "SELECT count(*) FROM target_state WHERE until IS NULL")[0][0] == 1


def test_what_the_bus_loses_is_read_again_or_is_a_gap(rig: Rig, server: NatsServer) -> None:
    """The server comes back with an older state; then messages that no writer has read are discarded, and the
    BNG has twenty of their events no more."""
    rig.target(10**9, per_turn=1)
    bus = Bused(rig, server)
    bus.start("run", "p1")
    bus.start("write", "w1")
    rig.until("SELECT count(*) FROM events WHERE (SELECT tick FROM cursors) > 0", lambda n: n != 0)

    shutil.copytree(server.folder / "jetstream", server.folder / "older")
    _more_events(rig, 100)
    server.kill()
    shutil.rmtree(server.folder / "jetstream")
    (server.folder / "older").rename(server.folder / "jetstream")
    server.start()
    rig.until_log("collector.bus-went-back")
    _more_events(rig, 50)
    assert rows(rig.database, "SELECT count(*) FROM gaps WHERE kind = 'events'")[0][0] == 0

    bus.kill("w1")
    time.sleep(2.6)  # ticks that only the bus has; and its last commit may outlive it
    at = rows(rig.database, "SELECT seq FROM cursors")[0][0]
    (rig.folder / "control.json").write_text(json.dumps({"oldest": at + 21}))
    asyncio.run(_purge(server))
    bus.start("write", "w2")
    rig.until_log("collector.bus-rewound")
    gap = "SELECT first, last FROM gaps WHERE kind = 'events'"
    rig.until(f"SELECT count(*) FROM ({gap}) AS one", lambda n: n == 1)
    assert rows(rig.database, gap)[0][:] == (at + 1, at + 20)
    rig.until(f"SELECT count(*) FROM events WHERE seq > {at + 20}", lambda n: isinstance(n, int) and n > 300)
    assert "collector.bus-hole" in (rig.folder / "log").read_text()

    total = _last_event(rig)
    rig.until("SELECT max(seq) FROM events", lambda seq: seq == total)
    found = rows(rig.database, "SELECT count(*), count(DISTINCT seq) FROM events")[0]
    assert found[:] == (total - 20, total - 20)
    _check_samples(rig)


def _check_samples(rig: Rig) -> None:
    """None is doubled, and what is missing is on record."""
    doubled = "SELECT 1 FROM session_samples GROUP BY tick, session_id HAVING count(*) > 1"
    assert not rows(rig.database, doubled)
    missing = rows(rig.database, "SELECT first, last FROM gaps WHERE kind = 'samples'")
    ticks = {row[0] for row in rows(rig.database, "SELECT DISTINCT tick FROM session_samples")}
    between = set(range(min(ticks), max(ticks))) - ticks
    assert between == {tick for first, last in missing for tick in range(first, last + 1)} - ticks


async def _purge(server: NatsServer) -> None:
    """What limits do: all but the newest message go."""
    client = await nats.connect(server.url)
    await client.jetstream().purge_stream("AETHER", keep=1)
    await client.close()


async def test_a_baseline_doubles_no_event_also_when_its_writer_dies(
    server: NatsServer, cluster: postgres.Cluster, tmp_path: Path
) -> None:
    """The publisher was taken back and had to begin anew before what is written already."""
    database = cluster.create("baseline")
    await migrate(database)
    connection = await asyncpg.connect(database)
    (epoch,) = (await lease.acquire(connection, ["b"], "one", 60)).values()
    bus = Bus(parse({"url": server.url, "size": 16}, tmp_path), "test")
    line = Line(bus, "b", "t")
    await line.begin("test")

    async def send(first: int, last: int) -> None:
        made = [event(seq, 1_700_000_000 * 10**9 + seq).SerializeToString() for seq in range(first, last + 1)]
        await line.send("events", message.pack(made), (last, 1_700_000_000 * 10**9 + last))

    async def until(seq: int) -> None:
        config = CollectorConfig(database, (), owner="one")
        target = Target("b", "", "", "", Path())
        writing = asyncio.create_task(Writing(config, target, epoch, bus, Budget(1 << 20)).connected())
        while await connection.fetchval("SELECT seq FROM cursors") != seq and not writing.done():
            await asyncio.sleep(0.02)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)

    leaf = gnmi_pb2.Update(path=gnmi.path("aether-health:health", "cpu-usage"))
    leaf.val.uint_val = 7
    health = gnmi_pb2.SubscribeResponse(
        update=gnmi_pb2.Notification(timestamp=1_700_000_000 * 10**9, update=[leaf])
    )
    await send(1, 10)
    await line.send("condition", message.pack([b"no message", health.SerializeToString()]))
    await line.send("condition", message.pack([health.SerializeToString()]))
    await line.send("baseline", message.pack([b'{"oldest": 6, "reason": "test"}']), (5, 0))
    await until(5)
    await send(6, 12)
    await until(12)
    found = await connection.fetchrow("SELECT count(*), count(DISTINCT seq), max(seq) FROM events")
    assert found[:] == (12, 12, 12)
    assert await connection.fetch("SELECT cpu_usage FROM health_samples") == [(7,)]
    await bus.close()
    await connection.close()


async def test_messages_that_are_gone_from_the_middle_are_seen(server: NatsServer, tmp_path: Path) -> None:
    bus = Bus(parse({"url": server.url, "size": 16}, tmp_path), "test")
    line = Line(bus, "b", "t")
    await line.begin("test")
    for number in range(2, 10):
        await line.send("samples", b"%d" % number)
    client = await nats.connect(server.url)
    for seq in (3, 6, 7):
        await client.jetstream().delete_msg("AETHER", seq)
    follower, found = Follower(Place()), list[int]()
    async with aclosing(read(bus, "b", follower, Budget(1 << 20))) as batches:
        async for batch in batches:
            found += [message.seq for message in batch.messages]
            if found[-1] == 9:
                break
    assert (found, follower.holes) == ([1, 2, 4, 5, 8, 9], 2)
    await bus.close()
    await client.close()


async def test_credentials_and_tls(tmp_path: Path) -> None:
    certificates.write(tmp_path)
    seed = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
    (tmp_path / "seed").write_bytes(seed)
    users = (
        f'{{ user: "aether", password: "secret" }}, {{ nkey: "{nkeys.from_seed(seed).public_key.decode()}" }}'
    )
    tls = f'tls {{ cert_file: "{tmp_path / "cert.pem"}", key_file: "{tmp_path / "key.pem"}" }}'
    server = NatsServer(tmp_path, more=f"authorization {{ users: [{users}] }}\n{tls}", scheme="tls")
    server.start()
    try:
        good = {"url": server.url, "ca": "cert.pem", "size": 16}
        for login in ({"user": "aether", "password": "secret"}, {"nkey": "seed"}):
            bus = Bus(parse({**good, **login}, tmp_path), "test")
            assert await bus.names() == set()
            await bus.close()
        (tmp_path / "broken").write_text("SU1234")
        for refused in ({}, {"user": "aether", "password": "wrong"}, {"nkey": "none"}, {"nkey": "broken"}):
            bus = Bus(parse({**good, **refused}, tmp_path), "test")
            with pytest.raises(Unavailable):
                await bus.names()
            await bus.close()
        bus = Bus(parse({"url": server.url, "user": "aether", "password": "secret"}, tmp_path), "test")
        with pytest.raises(Unavailable, match="certificate"):  # nobody has vouched for it
            await bus.names()
    finally:
        server.kill()
