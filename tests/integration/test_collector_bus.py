"""The bus with a real nats-server and PostgreSQL: publishers, writers, and kills of them all under churn."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import nats
import pytest

from collector import gnmi, lease, partitions
from collector.budget import Budget
from collector.bus import message
from collector.bus.chain import Follower, Place
from collector.bus.config import parse
from collector.bus.jetstream import Bus
from collector.bus.publisher import Line, Publishing
from collector.bus.reader import read
from collector.bus.writing import Writing
from collector.config import CollectorConfig, Target
from collector.migrations import migrate
from collector.retention import Retention
from telemetry.protocol import gnmi_pb2
from tests.support import postgres
from tests.support.collector_rig import Rig, rows
from tests.support.journal_target import event, identity, sample, session_id
from tests.support.nats_server import NatsServer

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]


PUBLISHER = "SELECT collector FROM target_state WHERE until IS NULL AND state = 'up'"


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


def test_kills_and_losses(rig: Rig, server: NatsServer) -> None:
    """Publishers, writers and the server are killed: nothing is lost or doubled. The server comes back with
    an older state: it is read again. Messages that no writer has read are discarded, and the BNG has twenty
    of their events no more: those are a gap, and its sessions come in pieces."""
    rig.target(10**9, per_turn=1, live=7000)
    bus = Bused(rig, server)
    for owner in ("p1", "p2"):
        bus.start("run", owner)
    for owner in ("w1", "w2"):
        bus.start("write", owner)
    rig.until("SELECT count(*) FROM events WHERE (SELECT tick FROM cursors) > 0", lambda n: n != 0)
    _others_take_over(rig, bus)
    server.kill()
    server.start()
    _more_events(rig, 50)
    _the_server_goes_back(rig, server)
    assert rows(rig.database, "SELECT count(*) FROM gaps WHERE kind = 'events'")[0][0] == 0
    lost = _messages_are_discarded(rig, bus, server)

    total = rig.last_event()
    rig.until("SELECT max(seq) FROM events", lambda seq: seq == total)
    found = rows(rig.database, "SELECT count(*), count(DISTINCT seq) FROM events")[0]
    assert found[:] == (total - 20, total - 20)
    assert rows(rig.database, "SELECT first, last FROM gaps WHERE kind = 'events'") == [lost]
    _check_sessions(rig, total)
    _check_samples(rig)
    # that it is may have been among what nobody has any more
    rig.until("SELECT state FROM bngs", lambda state: state == "connected")
    assert rows(rig.database, "SELECT gnmi_address FROM bngs")[0][0] == f"127.0.0.1:{rig.port}"
    assert rows(rig.database, "SELECT count(*) FROM target_state WHERE until IS NULL")[0][0] == 1


def _others_take_over(rig: Rig, bus: Bused) -> None:
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


def _the_server_goes_back(rig: Rig, server: NatsServer) -> None:
    shutil.copytree(server.folder / "jetstream", server.folder / "older")
    copied = asyncio.run(_newest(server))
    _more_events(rig, 50)
    # rows may be of messages that were copied, and the newest one may not be acknowledged
    while asyncio.run(_newest(server)) <= copied + 1:
        time.sleep(0.1)
    server.kill()
    shutil.rmtree(server.folder / "jetstream")
    (server.folder / "older").rename(server.folder / "jetstream")
    server.start()
    rig.until_log("collector.bus-went-back")
    _more_events(rig, 50)


def _messages_are_discarded(rig: Rig, bus: Bused, server: NatsServer) -> tuple[int, int]:
    """The events that nobody has any more."""
    bus.kill(bus.writer())
    time.sleep(2.6)  # ticks that only the bus has; and its last commit may outlive it
    at = rows(rig.database, "SELECT seq FROM cursors")[0][0]
    (rig.folder / "control.json").write_text(json.dumps({"oldest": at + 21}))
    asyncio.run(_purge(server))
    bus.start("write", "w3")
    rig.until_log("collector.bus-rewound")
    rig.until("SELECT count(*) FROM gaps WHERE kind = 'events'", lambda n: n == 1)
    rig.until(f"SELECT count(*) FROM events WHERE seq > {at + 20}", lambda n: isinstance(n, int) and n > 100)
    assert "collector.bus-hole" in (rig.folder / "log").read_text()
    return at + 1, at + 20


def _check_sessions(rig: Rig, total: int) -> None:
    """Who is known to have begun is in one of the tables, and who is there without an event, too."""
    lost = """
        SELECT 1 FROM events e LEFT JOIN sessions_history h USING (session_id)
        LEFT JOIN sessions_active a USING (session_id)
        WHERE e.type = 'session-start' AND (h.session_id IS NULL) = (a.session_id IS NULL)"""
    assert not rows(rig.database, lost)
    there = "SELECT count(*) FILTER (WHERE status = 'active'), count(*) FROM sessions_active"
    assert rows(rig.database, there)[0][:] == (7000, 7000 + total % 2)


def _check_samples(rig: Rig) -> None:
    """None is doubled, and what is missing is on record."""
    doubled = "SELECT 1 FROM session_samples GROUP BY tick, session_id HAVING count(*) > 1"
    assert not rows(rig.database, doubled)
    missing = rows(rig.database, "SELECT first, last FROM gaps WHERE kind = 'samples'")
    ticks = {row[0] for row in rows(rig.database, "SELECT DISTINCT tick FROM session_samples")}
    between = set(range(min(ticks), max(ticks))) - ticks
    told = {tick for first, last in missing for tick in range(first, last + 1)}
    assert between == told - ticks
    half = "SELECT tick FROM session_samples GROUP BY tick HAVING count(*) < 2"
    assert {row[0] for row in rows(rig.database, half)} <= told | {max(ticks)}


async def _newest(server: NatsServer) -> int:
    """Number of the last message that is stored."""
    client = await nats.connect(server.url)
    info = await client.jetstream().stream_info("AETHER")
    await client.close()
    return info.state.last_seq


async def _purge(server: NatsServer) -> None:
    """What limits do: all but the newest message go."""
    client = await nats.connect(server.url)
    await client.jetstream().purge_stream("AETHER", keep=1)
    await client.close()


@dataclass
class Writers:
    """Writers of one BNG, one after the other, in this process."""

    connection: asyncpg.Connection
    database: str
    epoch: int
    bus: Bus

    async def until(self, sql: str, value: int) -> None:
        """One more writes until the database says so."""
        config = CollectorConfig(self.database, (), owner="one")
        target = Target("b", "", "", "", Path())
        session = Writing(config, target, self.epoch, self.bus, Budget(1 << 20))
        writing = asyncio.create_task(session.connected())
        try:
            async with asyncio.timeout(60):
                while await self.connection.fetchval(sql) != value and not writing.done():
                    await asyncio.sleep(0.02)
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)


@pytest.fixture
async def writers(
    server: NatsServer, cluster: postgres.Cluster, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Writers]:
    database = cluster.create(request.node.name[:60])
    await migrate(database)
    connection = await asyncpg.connect(database)
    await partitions.maintain(connection, Retention())
    (epoch,) = (await lease.acquire(connection, ["b"], "one", 60)).values()
    bus = Bus(parse({"url": server.url, "size": 16}, tmp_path), "test")
    yield Writers(connection, database, epoch, bus)
    await bus.close()
    await connection.close()


async def test_a_baseline_doubles_no_event_also_when_its_writer_dies(writers: Writers) -> None:
    """The publisher was taken back and had to begin anew before what is written already."""
    line, connection = Line(writers.bus, "b", "t"), writers.connection
    await line.begin("test")

    async def send(first: int, last: int) -> None:
        made = [event(seq, 1_700_000_000 * 10**9 + seq).SerializeToString() for seq in range(first, last + 1)]
        await line.send("events", message.pack(made), (last, 1_700_000_000 * 10**9 + last))

    leaf = gnmi_pb2.Update(path=gnmi.path("aether-health:health", "cpu-usage"))
    leaf.val.uint_val = 7
    health = gnmi_pb2.SubscribeResponse(update=gnmi_pb2.Notification(timestamp=10**18, update=[leaf]))
    await send(1, 10)
    await line.send("condition", message.pack([b"no message", health.SerializeToString()]))
    await line.send("condition", message.pack([health.SerializeToString()]))
    await line.send("baseline", message.pack([b'{"oldest": 6, "reason": "test"}']), (5, 0))
    await writers.until("SELECT seq FROM cursors", 5)
    await send(6, 12)
    columns = {"version": "1", "state) SELECT 1; DROP TABLE events; --": "x"}
    for content in ({"columns": columns}, {"columns": {"instance_id": "no UUID"}}, {"state": "?"}, {}):
        told = {"state": "up", "error": None, "owner": "p", **content}
        await line.send("state", json.dumps(told).encode())
    await line.send("state", b"no JSON")
    await send(13, 13)
    await writers.until("SELECT seq FROM cursors", 13)
    assert await connection.fetchval("SELECT version FROM bngs") == "1"
    found = await connection.fetchrow("SELECT count(*), count(DISTINCT seq), max(seq) FROM events")
    assert found[:] == (13, 13, 13)
    (row,) = await connection.fetch("SELECT cpu_usage, now() - time < '1 min' AS now FROM health_samples")
    assert row[:] == (7, True)  # the BNG's clock is wrong


async def test_a_state_that_is_gone_is_asked_for(writers: Writers, tmp_path: Path) -> None:
    """Nobody has read that the target is up again, when it is thrown away."""
    line, connection = Line(writers.bus, "b", "t"), writers.connection
    target = Target("b", "192.0.2.1:9339", "", "", tmp_path)
    publishing = Publishing(CollectorConfig("", (target,), owner="p"), target, line)
    await line.begin("p")
    await publishing.say(False, "test")
    await writers.until("SELECT count(*) FROM bngs WHERE state = 'unreachable'", 1)
    await publishing.say(True, None, version="1")
    await line.send("events", message.pack([]))
    await (await writers.bus.context()).purge_stream("AETHER", keep=1)
    end = await writers.bus.hear("b", publishing.wish)
    saying = asyncio.create_task(publishing.say_again())
    await writers.until("SELECT count(*) FROM bngs WHERE state = 'connected' AND version = '1'", 1)
    assert await connection.fetchval("SELECT connected_since = last_seen FROM bngs")

    # told again what is there already, it leaves alone since when that is
    await connection.execute("UPDATE bngs SET version = '0', connected_since = last_seen - interval '1 hour'")
    await writers.until("SELECT count(*) FROM bngs WHERE version = '1'", 1)
    assert await connection.fetchval("SELECT connected_since < last_seen FROM bngs")
    saying.cancel()
    await end()


async def test_events_that_postgresql_does_not_take_hold_up_no_others(writers: Writers) -> None:
    line, began = Line(writers.bus, "b", "t"), 1_700_000_000 * 10**9
    await line.begin("test")
    made = [event(seq, began + seq, 3).SerializeToString() for seq in range(1, 14)]
    for part in (made[:7], made[7:]):
        await line.send("events", message.pack(part), (13, began + 13))
    await writers.until("SELECT seq FROM cursors", 13)
    found = await writers.connection.fetch("SELECT seq FROM events ORDER BY seq")
    assert [row[0] for row in found] == [1, 2, 4, 5, 7, 8, 10, 11, 13]
    found = await writers.connection.fetch("SELECT time_ns, seq FROM events_rejected ORDER BY time_ns")
    assert [tuple(row) for row in found] == [
        (began + seq, seq if seq != 12 else None) for seq in (3, 6, 9, 12)
    ]


async def test_a_tick_in_part_is_a_gap_and_one_that_comes_again_is_written_once(writers: Writers) -> None:
    begin, bus = time.time_ns() - 60 * 10**9, writers.bus

    async def line(tenure: str) -> Callable[..., Awaitable[None]]:
        """Another publisher, which has one subscription."""
        made, number = Line(bus, "b", tenure), count(1)
        await made.begin("test")

        async def send(*pieces: tuple[int, int] | None) -> None:
            """Tick and session, or what follows a tick."""
            found = [
                sample(piece[1], piece[0], begin + piece[0] * 10**9) if piece else identity()
                for piece in pieces
            ]
            head = json.dumps({"stream": tenure, "number": next(number)}).encode()
            await made.send("samples", message.pack([head, *(one.SerializeToString() for one in found)]))

        return send

    for session in (1, 2):
        live = "INSERT INTO sessions_active (bng_id, session_id) VALUES ('b', $1)"
        await writers.connection.execute(live, session_id(session))
    rows = "SELECT count(*) FROM session_samples"
    send = await line("t")
    await send((1, 1), (1, 2), None, (2, 1))
    await writers.until(rows, 3)
    await send((2, 2))
    await writers.until(rows, 4)
    await send((3, 1), (3, 2), None, (4, 1))
    await writers.until(rows, 7)
    send = await line("u")
    await send((4, 1))
    await send((4, 2), None, (5, 1))
    await writers.until(rows, 9)
    send = await line("v")
    await send((6, 1), (6, 2), None)
    await writers.until(rows, 11)
    for pieces in (
        [(7, 1)],
        [(7, 2), None],
        [(8, 1), (8, 2), None],
        [(9, 1)],
        [(9, 2), None],
        [(10, 1), (10, 2)],
    ):
        await send(*pieces)
    js = await bus.context()
    last = (await js.stream_info("AETHER")).state.last_seq
    for gone in (last - 4, last - 2):
        await js.delete_msg("AETHER", gone)
    await writers.until(rows, 17)
    gaps = await writers.connection.fetch("SELECT first, last FROM gaps ORDER BY id")
    # of 8, behind a hole, it cannot be known whether it was whole
    assert [tuple(gap) for gap in gaps] == [(5, 5), (7, 7), (8, 8), (9, 9)]
    half = await writers.connection.fetch(
        "SELECT tick FROM session_samples GROUP BY tick HAVING count(DISTINCT session_id) < 2 ORDER BY tick"
    )
    assert [row[0] for row in half] == [5, 7, 9]
    assert (
        await writers.connection.fetchval("SELECT count(DISTINCT (tick, session_id)) FROM session_samples")
        == 17
    )


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
