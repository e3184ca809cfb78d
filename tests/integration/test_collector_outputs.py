"""The collector's outputs with the real servers: Redis Streams, and what Prometheus is told."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import threading
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import redis

from collector import lease, schema, writer
from collector.config import parse
from collector.migrations import migrate
from collector.outputs.interface import Displaced
from collector.outputs.relay import Relay
from tests.support import postgres
from tests.support.collector_rig import Rig
from tests.support.journal_target import INSTANCE
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer
from tests.support.waiting import PATIENCE

pytestmark = [pytest.mark.servers, pytest.mark.timeout(240)]
STREAM = "bng_events"
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


@pytest.fixture
def database(cluster: postgres.Cluster, request: pytest.FixtureRequest) -> str:
    return cluster.create(request.node.name[:60])


@pytest.fixture
def rig(tmp_path: Path, database: str) -> Iterator[Rig]:
    made = Rig(tmp_path, database)
    yield made
    made.end()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    made = RedisServer(tmp_path, *DURABLE)
    yield made
    made.kill()


def outputs(server: RedisServer, **more: Any) -> dict[str, Any]:
    return {"old": {"type": "redis-streams", "url": server.url, **more}}


def entries(server: RedisServer) -> list[dict[str, str]]:
    with server.client() as client:
        found: Any = client.xrange(STREAM)
    return [fields for _, fields in found]


def until(server: RedisServer, count: int, seconds: float = 30) -> list[dict[str, str]]:
    """The stream's entries, as soon as there are so many."""
    deadline = time.monotonic() + PATIENCE * seconds
    while len(found := entries(server)) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count} entries"
        time.sleep(0.1)
    return found


class Consumer(threading.Thread):
    """A member of a consumer group as the predecessor's: reads, works, acknowledges; waits for Redis."""

    def __init__(self, server: RedisServer) -> None:
        super().__init__(daemon=True)
        self.server, self.got, self.done = server, [], threading.Event()  # type: ignore[var-annotated]

    def run(self) -> None:
        after = "0"  # first what was handed out and not acknowledged
        while not self.done.is_set():
            try:
                with self.server.client() as client:
                    with contextlib.suppress(redis.ResponseError):  # it exists
                        client.xgroup_create(STREAM, "bng_ingestors", id="0", mkstream=True)
                    while not self.done.is_set():
                        answer: Any = client.xreadgroup(
                            "bng_ingestors", "bng-ingestor-1", {STREAM: after}, count=100, block=200
                        )
                        messages = answer[0][1] if answer else []
                        self.got += [fields for _, fields in messages]
                        if messages:
                            client.xack(STREAM, "bng_ingestors", *(identity for identity, _ in messages))
                        else:
                            after = ">"
            except redis.RedisError:
                after = "0"
                time.sleep(0.1)


def key(message: dict[str, str]) -> tuple[str, str, str]:
    return message["bng_id"], message["bng_instance_id"], message["seq"]


def test_a_consumer_group_gets_everything_through_kills(rig: Rig, server: RedisServer) -> None:
    """Redis is away at first and nobody minds; then it and the collector are killed in the middle of churn.

    The stream has each event once, in order; the group has read each.
    """
    port = free_port()
    more = {"outputs": outputs(server), "metrics": {"port": port}}
    rig.target(10**9, per_turn=5)  # without an end, so that each kill is in the middle of it
    collector = rig.collector(lease_ttl=2, **more)
    rig.until("SELECT count(*) FROM events", lambda n: isinstance(n, int) and n > 500)
    assert _metric(port, 'aether_collector_output_up{output="old"}') == 0
    _check_counters(port)
    server.start()
    consumer = Consumer(server)
    consumer.start()
    count = 0
    for victim in (server, None, server):
        count = _wait_for_length(server, count + 300)
        if victim is server:
            server.kill()
            server.start()
        else:
            collector.kill()
            collector.wait()
            collector = rig.collector(lease_ttl=2, **more)
        assert count <= len(entries(server))
    total = rig.last_event()
    found = until(server, total)
    assert [int(message["seq"]) for message in found] == list(range(1, total + 1))
    deadline = time.monotonic() + PATIENCE * 20
    while len({key(message) for message in consumer.got}) < total and time.monotonic() < deadline:
        time.sleep(0.1)
    consumer.done.set()
    consumer.join()
    assert {key(m) for m in consumer.got} == {("bng-01", INSTANCE, str(n)) for n in range(1, total + 1)}
    start, stop = found[198:200]
    assert (start["event_type"], start["status"], start["auth_state"]) == (
        "SESSION_START",
        "ACTIVE",
        "PENDING_AUTH",
    )
    assert stop["event_type"] == "SESSION_STOP"
    assert start["session_id"] == stop["session_id"] == "00000000-0000-0000-0000-000000000064"
    assert (stop["input_octets"], stop["output_packets"]) == ("100000", "100003")
    assert (stop["terminate_cause"], stop["nas_ip"]) == ("User-Request", "127.0.0.1")
    _check_metrics(port)


def _wait_for_length(server: RedisServer, least: int) -> int:
    """Returns how long the stream is."""
    deadline = time.monotonic() + PATIENCE * 30
    with server.client() as client:
        while (length := int(client.xlen(STREAM))) < least:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    return length


def _check_counters(port: int) -> None:
    """Of the first collector, which has written most of the events."""
    assert _metric(port, "aether_collector_leases_taken_total") >= 1
    assert _metric(port, "aether_collector_takeovers_total") == 0
    assert _metric(port, 'aether_collector_output_failures_total{output="old"}') > 0
    assert _metric(port, 'aether_collector_events_total{bng_id="bng-01"}') > 500
    assert _metric(port, 'aether_collector_batches_total{kind="events"}') >= 2  # of 500 at most
    assert _metric(port, 'aether_collector_write_seconds_count{kind="events"}') >= 2
    assert 0 < _metric(port, 'aether_collector_write_seconds_sum{kind="events"}') < 60
    assert 0 <= _metric(port, 'aether_collector_lag_seconds{bng_id="bng-01",kind="events"}') < 60


def _check_metrics(port: int) -> None:
    """Of the last collector, which took over from a dead one and outlived a Redis."""
    assert _metric(port, "aether_collector_owned_targets") == 1
    assert _metric(port, "aether_collector_takeovers_total") == 1
    assert _metric(port, 'aether_collector_target_up{bng_id="bng-01"}') == 1
    assert _metric(port, 'aether_collector_output_up{output="old"}') == 1
    assert _metric(port, 'aether_collector_samples_total{bng_id="bng-01"}') > 0
    assert (
        _metric(port, 'aether_collector_output_messages_total{event_type="SESSION_STOP",output="old"}') > 100
    )
    assert 0 <= _metric(port, 'aether_collector_lag_seconds{bng_id="bng-01",kind="samples"}') < 30
    assert 0 <= _metric(port, "aether_collector_in_flight_bytes") < 1 << 20
    age = time.time() - _metric(port, 'aether_collector_output_current_timestamp_seconds{output="old"}')
    assert 0 <= age < 30


def _metric(port: int, name: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    return float(next(line for line in text.splitlines() if line.startswith(name + " ")).rpartition(" ")[2])


# -- one relay on tables that the test fills -----------------------------------------------------------------


class Filled:
    """A database with a BNG, its cursor, and what the test writes; relays run in this process."""

    def __init__(self, database: str, connection: asyncpg.Connection, server: RedisServer) -> None:
        self.database, self.connection, self.server = database, connection, server
        self.seq, self.running = 0, []  # type: ignore[var-annotated]

    def relay(self, **settings: Any) -> Any:
        """Starts one; returns its output."""
        target = {"bng_id": "b", "address": "192.0.2.1:57400", "username": "u", "password": "p", "ca": "c"}
        self.config = parse(
            {"database": self.database, "targets": [target], "outputs": outputs(self.server, **settings)}
        )
        output = self.config.outputs[0]()
        self.running.append(asyncio.create_task(Relay(lambda: self.config, output, lambda: ["b"]).run()))
        return output

    async def event(self, kind: str, *, times: int = 1, **columns: Any) -> None:
        """Commit an event, or several like it at once."""
        rows = []
        for _ in range(times):
            self.seq += 1
            now = datetime.now(UTC)
            row: dict[str, Any] = dict.fromkeys(schema.EVENT)
            row.update(bng_id="b", seq=self.seq, time=now, time_ns=int(now.timestamp() * 1e9), type=kind)
            rows.append({**row, "instance_id": INSTANCE, **columns})
        await writer.write_events(self.connection, "b", 1, rows)

    async def messages(self, count: int, kind: str | None = None) -> list[dict[str, str]]:
        deadline = time.monotonic() + PATIENCE * 15
        while True:
            found = [m for m in entries(self.server) if kind in (None, m["event_type"])]
            if len(found) >= count:
                return found
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.05)


@pytest.fixture
async def filled(database: str, server: RedisServer) -> Any:
    server.start()
    await migrate(database)
    connection = await asyncpg.connect(database)
    await writer.prepare(connection)
    await lease.acquire(connection, ["b"], "one", 60)
    made = Filled(database, connection, server)
    yield made
    for task in made.running:
        task.cancel()
    await asyncio.gather(*made.running, return_exceptions=True)
    await connection.close()


SESSION = {
    "session_id": "00000000000000ab",
    "remote_id": "an-1",
    "circuit_id": "1/0/2",
    "username": "b/an-1/1/0/2",
    "mac_address": "02:00:00:00:00:01",
    "ip_address": "100.64.1.10",
}


async def test_interims_and_health_as_the_predecessor_sent_them(filled: Filled) -> None:
    await filled.event("session-start", **SESSION, status="authorizing")
    await filled.event("policy-apply", **SESSION, status="active", profile="gold")
    await filled.connection.execute(
        "UPDATE sessions_active SET in_octets = 7, out_octets = 8, in_packets = 1, out_packets = 2, "
        "tick = 5, sampled_at = now()"
    )
    await filled.connection.execute(
        "INSERT INTO health_samples (time, bng_id, cpu_usage, memory_usage) VALUES (now(), 'b', 1250, $1)",
        64 << 20,
    )
    await writer.write_state(filled.connection, "b", state="connected", gnmi_address="[2001:db8::1]:57400")
    filled.relay(interim=1, health=1)
    (update,) = await filled.messages(1, "SESSION_UPDATE")
    assert (update["input_octets"], update["output_octets"]) == ("7", "8")
    assert (update["input_packets"], update["output_packets"]) == ("1", "2")
    assert (update["status"], update["auth_state"]) == ("ACTIVE", "AUTHORIZED")
    assert update["nas_ip"] == "2001:db8::1"
    (health,) = await filled.messages(1, "BNG_HEALTH_UPDATE")
    assert (health["cpu_usage"], health["mem_usage"], health["mem_max"]) == ("12.50", "64.00", "0.00")
    # an event without counters gets the newest that are known
    await filled.event("session-update", **SESSION, status="idle")
    update = (await filled.messages(2, "SESSION_UPDATE"))[1]
    assert (update["seq"], update["input_octets"], update["status"]) == ("3", "7", "IDLE")
    await asyncio.sleep(1.5)  # nothing was sampled since, so there is nothing to say
    every = await filled.messages(5)
    assert len(every) == 5
    assert len({key(message) for message in every}) == 5
    assert [m["event_type"] for m in every[:2]] == ["SESSION_START", "POLICY_APPLY"]


async def test_a_configuration_that_is_read_again_is_followed(
    filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.outputs.relay.ROUND", 0.1)
    filled.relay()
    await filled.event("session-update", **SESSION, status="active")
    await filled.messages(1)
    (target,) = filled.config.targets
    moved = dataclasses.replace(target, address="192.0.2.9:57400")
    filled.config = dataclasses.replace(filled.config, targets=(moved,))
    told = {"192.0.2.1"}
    for count in range(2, 100):  # until it has looked again
        await filled.event("session-update", **SESSION, status="active")
        told.add((await filled.messages(count))[-1]["nas_ip"])
        if len(told) > 1:
            break
        await asyncio.sleep(0.1)
    assert told == {"192.0.2.1", "192.0.2.9"}


async def test_two_relays_of_one_bng_send_each_event_once(filled: Filled) -> None:
    """As when the lease changes hands and the last owner does not know it yet."""
    first, second = filled.relay(), filled.relay()
    for _ in range(150):
        await filled.event("session-update", **SESSION, status="active")
    assert [m["seq"] for m in await filled.messages(150)] == [str(n) for n in range(1, 151)]
    at = (await first.positions(["b"]))["b"]
    with pytest.raises(Displaced):
        await second.publish("b", at - 1, at + 1, [{"event_type": "FORGED"}])
    assert len(await filled.messages(150)) == 150


async def test_what_redis_loses_it_is_given_again(
    filled: Filled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes back from a snapshot, then with nothing; nothing new happens in between."""
    monkeypatch.setattr("collector.outputs.relay.ROUND", 0.2)
    filled.server.kill()
    forgetful = filled.server = RedisServer(tmp_path)  # writes nothing but by SAVE
    forgetful.start()
    try:
        await filled.event("session-update", times=20, **SESSION, status="active")
        filled.relay(interim=0)
        await filled.messages(20)
        with forgetful.client() as client:
            client.save()
        await filled.event("session-update", times=10, **SESSION, status="active")
        await filled.messages(30)
        for dump in (True, False):
            forgetful.kill()
            if not dump:
                (tmp_path / "dump.rdb").unlink()
            forgetful.start()
            assert [m["seq"] for m in await filled.messages(30)] == [str(n) for n in range(1, 31)]
    finally:
        forgetful.kill()


async def test_an_older_database_is_sent_from_its_beginning(filled: Filled) -> None:
    """The position is beyond all numbers of a database that was restored from a backup."""
    with filled.server.client() as client:
        client.hset("{bng_events}:positions", "b", 10**9)
    await filled.event("session-start", **SESSION, status="authorizing")
    filled.relay()
    assert [m["seq"] for m in await filled.messages(1)] == ["1"]


async def test_the_stream_is_bounded(filled: Filled) -> None:
    filled.relay(max_length=100)
    for _ in range(5):
        await filled.event("session-update", times=100, **SESSION, status="active")
    deadline = time.monotonic() + PATIENCE * 10
    while entries(filled.server)[-1:] == [] or entries(filled.server)[-1]["seq"] != "500":
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
    assert 100 <= len(entries(filled.server)) <= 300  # '~': whole nodes of the stream go


async def test_a_key_of_another_type_is_told_and_waited_for(filled: Filled) -> None:
    with filled.server.client() as client:
        client.set(STREAM, "no stream")
        filled.relay()
        await filled.event("session-start", **SESSION, status="authorizing")
        await asyncio.sleep(1)
        assert not filled.running[0].done()
        client.delete(STREAM)
    assert len(await filled.messages(1)) == 1
