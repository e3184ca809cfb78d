"""The whole northbound over a real seam: control is a command server that the test plays."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bng.northbound.notifications import notification_of
from bng.northbound.provider import Northbound
from bng.seam.command import CommandServer
from bng.seam.journal import Journal
from bng.seam.matrix import Matrix
from bng.units import digest, empty_units
from tests.support.waiting import until
from yang.bus import Bus
from yang.provider import ConfigDiff, LogProvider, OperationError

INSTANCE = "6f1f1b5e-8f8e-4a55-9a37-0a4a3b2d4c11"
BNG = {"aether-bng:bng": {"identity": {"bng-id": "bng-01"}}}


class FakeControl:
    """The methods of control, remembered."""

    def __init__(self, folder: Path) -> None:
        self.called: list[tuple[str, dict[str, Any]]] = []
        self.refuse: str | None = None
        self.digest = digest(empty_units())
        self.journal = Journal(folder / "journal", INSTANCE)
        self.matrix = Matrix(folder / "matrix", INSTANCE)
        names = ("config.prepare", "config.commit", "config.abort", "invoke")
        methods = {name: self._method(name) for name in names} | {"hello": self._hello}
        self.server = CommandServer(folder / "control.sock", methods)

    def _method(self, name: str) -> Any:
        async def carry_out(params: dict[str, Any]) -> Any:
            self.called.append((name, params))
            if self.refuse:
                raise OperationError("invalid-value", self.refuse)
            return {"token": 4} if name == "config.prepare" else None

        return carry_out

    async def _hello(self, _params: dict[str, Any]) -> dict[str, Any]:
        return {
            "instance_id": INSTANCE,
            "bng_id": "bng-01",
            "version": "1",
            "started": "2026-01-01T00:00:00Z",
            "config_digest": self.digest,
            "newest_seq": self.journal.durable,
            "health": None,
            "routers": {"configured": [], "discovered": []},
        }

    def append(self, kind: str, number: int = 1, **more: object) -> None:
        self.journal.append(
            {
                "type": kind,
                "session-id": f"{number:016x}",
                "access-line": {"remote-id": "node-1", "circuit-id": f"1/0/{number}"},
                "status": "active",
                **more,
            }
        )
        self.server.push("journal", newest_seq=self.journal.sync())


class Fixture:
    def __init__(self, control: FakeControl, north: Northbound, bus: Bus) -> None:
        self.control, self.north, self.bus = control, north, bus

    async def reach(self, count: int) -> None:
        await until(lambda: len(self.north.sessions) == count)


@contextlib.asynccontextmanager
async def connected(folder: Path, running: dict[str, Any] | None = None) -> AsyncIterator[Fixture]:
    control = FakeControl(folder)
    await control.server.start()
    north = Northbound(folder, lambda: running or empty_units())
    bus = Bus()
    task = asyncio.ensure_future(north.run(bus))
    try:
        await until(lambda: north.identity.identity is not None)
        yield Fixture(control, north, bus)
    finally:
        task.cancel()
        await control.server.close()


async def test_events_become_state_and_notifications(tmp_path: Path) -> None:
    async with connected(tmp_path) as fixture:
        subscription = fixture.bus.subscribe_notifications()
        watch = fixture.bus.watch("/aether-subscriber:sessions/session")
        fixture.control.append("session-start")
        await fixture.reach(1)
        assert await watch.wait()
        notification = await anext(subscription)
        assert notification.path == "/aether-subscriber:session-start"
        assert (notification.seq, notification.record.session_id) == (1, f"{1:016x}")
        counters = {"in-octets": 5, "out-octets": 6}
        fixture.control.append(
            "session-stop",
            counters=counters,
            **{"terminate-cause": "User-Request"},  # type: ignore[arg-type]
        )
        await fixture.reach(0)
        stop = (await anext(subscription)).record
        assert (stop.terminate_cause, stop.counters.in_octets, stop.counters.in_packets) == (
            "User-Request",
            5,
            0,
        )


async def test_what_was_there_before_is_there(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", INSTANCE)
    journal.append(
        {"type": "session-start", "session-id": "a" * 16, "access-line": {}, "status": "authorizing"}
    )
    journal.sync()
    journal.close()
    async with connected(tmp_path) as fixture:
        assert len(fixture.north.sessions) == 1
        fixture.control.append("session-start", 2)
        await fixture.reach(2)


async def test_control_may_go_and_come_back(tmp_path: Path) -> None:
    async with connected(tmp_path) as fixture:
        fixture.control.append("session-start", 1)
        await fixture.reach(1)
        await fixture.control.server.close()
        with pytest.raises(OperationError, match=r"not running|went away"):
            await fixture.north.control.call("hello", {})
        fixture.control.append("session-start", 2)
        await fixture.control.server.start()
        await fixture.reach(2)


async def test_log_reads_seeks_and_knows_its_bounds(tmp_path: Path) -> None:
    async with connected(tmp_path) as fixture:
        for number in range(1, 400):
            fixture.control.append("session-start", number)
        await fixture.reach(399)
        log = fixture.north.events
        assert isinstance(log, LogProvider)
        assert (log.oldest, log.newest) == (1, 399)
        record = log.get((17,))
        assert record is not None
        assert log.seek(log.time_of(record)) == 17
        assert [r.seq for r in log.read(390, 50)] == list(range(390, 400))
        assert [r.seq for r in log.iter()] == list(range(1, 400))
        assert log.get((400,)) is None
        bounds = fixture.north.bounds.get(())
        assert (bounds.oldest_seq, bounds.newest_seq) == (1, 399)
        replayed = fixture.north.replay.notification(record)
        assert replayed is not None
        assert replayed.seq == 17


async def test_events_that_are_no_notifications(tmp_path: Path) -> None:
    async with connected(tmp_path) as fixture:
        router = {"name": "x", "reachability": "up", "configured": True}
        fixture.control.journal.append({"type": "router-update", "router": router})
        fixture.control.append("session-start", 1)
        await fixture.reach(1)
        record = fixture.north.events.get((1,))
        assert record is not None
        assert (record.router.name, record.session_id, record.counters) == ("x", None, None)
        assert notification_of(record) is None


async def test_a_move_is_told_and_changes_no_session(tmp_path: Path) -> None:
    async with connected(tmp_path) as fixture:
        subscription = fixture.bus.subscribe_notifications()
        fixture.control.append("session-start", 1, _session_timeout=600, _routed=True)
        await fixture.reach(1)
        await anext(subscription)
        record = fixture.north.sessions.get((f"{1:016x}",))
        assert record is not None
        assert (record.session_timeout, record.idle_timeout, record.routed) == (600, None, True)
        line = {"new-access-line": {"remote-id": "node-2", "circuit-id": "7"}}
        for kind in ("session-move-denied", "session-moved"):
            fixture.control.append(kind, 1, status="idle", **line)  # type: ignore[arg-type]
            told = await anext(subscription)
            assert told.path == f"/aether-subscriber:{kind}"
            new = told.record.new_access_line
            assert (new.remote_id, new.circuit_id) == ("node-2", "7")
        assert fixture.north.sessions.get((f"{1:016x}",)) is record
        fixture.control.append("session-stop", 1)
        await fixture.reach(0)
        fixture.control.append("session-moved", 1, **line)  # type: ignore[arg-type]
        assert (await anext(subscription)).path == "/aether-subscriber:session-stop"
        assert (await anext(subscription)).path == "/aether-subscriber:session-moved"
        assert len(fixture.north.sessions) == 0


async def test_control_counts_what_the_journal_does_not_tell(tmp_path: Path) -> None:
    async with connected(tmp_path) as fixture:
        north = fixture.north
        assert (north.summary.record().setup_rate, north.summary.record().failure) == (None, [])
        drops = [{"reason": "rate-limit", "packets": 7}]
        counted = {"setup_rate": 3, "failure": {"rejected": 2, "no-address": 1}}
        fixture.control.server.push("health", record={"uptime": 3, "dhcp_drop": drops, "summary": counted})
        await until(lambda: north.health.version)
        summary = north.summary.record()
        assert summary.setup_rate == 3
        assert [tuple(failure) for failure in summary.failure] == [("no-address", 1), ("rejected", 2)]
        health = north.health.record()
        assert health is not None
        assert [(drop.reason, drop.packets) for drop in health.dhcp_drop] == [("rate-limit", 7)]
        assert not hasattr(health, "summary")


async def test_health_and_routers_are_pushed_and_watchable(tmp_path: Path) -> None:
    async with connected(tmp_path) as fixture:
        north, push = fixture.north, fixture.control.server.push
        before = north.health.version
        push("health", record={"uptime": 3, "radius_server": [{"name": "r", "up": True}], "dhcp_server": []})
        await until(lambda: north.health.version > before)
        (change,) = north.health.changes(before)
        assert (change.record.uptime, change.record.radius_server[0].up) == (3, True)
        assert change.record.dynamic_authorization is None
        dynamic = {"listening": True, "unknown_clients": 1, "client": [{"name": "r", "acks": 7}]}
        push("health", record={"dynamic_authorization": dynamic})
        await until(lambda: north.health.version > before + 1)
        record = north.health.record().dynamic_authorization
        assert (record.listening, record.client[0].acks) == (True, 7)
        entry = {
            "name": "a",
            "reachability": "up",
            "last_seen": None,
            "round_trip_time": 5,
            "active_sessions": 1,
        }
        push(
            "routers",
            records={"configured": [entry], "discovered": [{"remote_id": "z", "giaddr": "0.0.0.0"}]},
        )
        await until(lambda: north.routers.configured.get(("a",)))
        assert north.routers.configured.get(("a",)).state.reachability == "up"
        assert north.routers.discovered.get(("z",)).giaddr == "0.0.0.0"
        version = north.routers.configured.version
        push("routers", records={"configured": [{**entry, "reachability": "down"}], "discovered": []})
        await until(lambda: north.routers.configured.version > version)
        (change,) = north.routers.configured.changes(version) or ()
        assert change.record.state.reachability == "down"
        assert north.routers.discovered.iter() == []


async def test_a_commit_goes_to_control_in_two_steps(tmp_path: Path) -> None:
    async with connected(tmp_path) as fixture:
        handler, called = fixture.north.config, fixture.control.called
        token = await handler.prepare(ConfigDiff((), BNG, {}))
        await handler.commit(token)
        assert called == [
            ("config.prepare", {"units": {"bng": BNG["aether-bng:bng"]}}),
            ("config.commit", {"token": 4}),
        ]
        assert await handler.prepare(ConfigDiff((), BNG, BNG)) is None
        await handler.commit(None)
        await handler.abort(None)
        assert len(called) == 2, "what concerns control not is not sent"
        await handler.abort(await handler.prepare(ConfigDiff((), {}, BNG)))
        assert called[-1] == ("config.abort", {"token": 4})


async def test_a_commit_that_control_refuses_or_cannot_hear_fails(tmp_path: Path) -> None:
    async with connected(tmp_path) as fixture:
        fixture.control.refuse = "not like this"
        with pytest.raises(OperationError, match="not like this"):
            await fixture.north.config.prepare(ConfigDiff((), BNG, {}))
        fixture.control.refuse = None
        await fixture.north.config.abort(await fixture.north.config.prepare(ConfigDiff((), BNG, {})))
        await fixture.control.server.close()
        await until(lambda: not fixture.north.control.connected)
        with pytest.raises(OperationError, match="not running"):
            await fixture.north.config.prepare(ConfigDiff((), BNG, {}))


async def test_control_that_means_something_else_gets_everything(tmp_path: Path) -> None:
    running = {**empty_units(), "bng": BNG["aether-bng:bng"]}
    async with connected(tmp_path, running) as fixture:
        await until(lambda: len(fixture.control.called) == 2)
        assert fixture.control.called[0] == ("config.prepare", {"units": running, "replace": True})


async def test_an_empty_configuration_takes_nothing_away(tmp_path: Path) -> None:
    async with connected(tmp_path) as fixture:
        await fixture.control.server.close()
        fixture.control.digest = "another"
        await fixture.control.server.start()
        await until(lambda: fixture.north.control.connected)
        fixture.control.append("session-start")
        await fixture.reach(1)
        assert fixture.control.called == []


async def test_operations_are_handed_over(tmp_path: Path) -> None:
    async with connected(tmp_path) as fixture:
        operations = fixture.north.registration().operations
        path = "/aether-subscriber:sessions/session/disconnect"
        await operations[path](("a" * 16,), {"reason": "why"}, "ann")
        assert fixture.control.called == [
            ("invoke", {"path": path, "keys": ["a" * 16], "input": {"reason": "why"}, "user": "ann"})
        ]
