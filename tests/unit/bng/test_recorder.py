"""Recordings of a writer's machine, and the report of a crash."""

from __future__ import annotations

import errno
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bng import recorder as module
from bng.recorder import Recorder
from bng.session import events as ev
from bng.session.nat import NatBinding, NatPool
from bng.session.records import AccessLine
from bng.session.replay import replay
from bng.session.settings import Profile
from bng.witness import MAX_REPORTS, Witness
from tests.replay.scenario import from_client, from_server
from tests.support.control_bench import Bench
from tests.support.waiting import until


def watched(folder: Path) -> tuple[Bench, Witness]:
    bench = Bench(folder)
    witness = bench.writer.witness = Witness(bench.writer, folder)
    return bench, witness


def identical(path: Path) -> int:
    """How many events a recording has, all of which gave the same again."""
    with path.open() as file:
        played = list(replay(file))
    assert all(one.identical for one in played)
    return len(played)


async def finish(recorder: Recorder) -> None:
    recorder.end("test")
    await until(lambda: recorder.ended is not None)


@pytest.mark.parametrize("of_line", [False, True], ids=["all", "line"])
async def test_it_replays(tmp_path: Path, of_line: bool) -> None:
    bench, witness = watched(tmp_path)
    before = await bench.begin(1, 2, 3)
    path = tmp_path / "recording.jsonl"
    witness.record(path, {AccessLine("node-1", "1/0/2")} if of_line else None)
    await bench.begin(4)
    bench.writer.post(ev.ProfileChanged("gold", Profile(60_000_000, 20_000_000)))
    await bench.writer.command(lambda token: ev.Disconnect(token, before[1]))
    await bench.begin(5)
    assert witness.recorder is not None
    await finish(witness.recorder)
    assert identical(path) >= 4
    assert ("1/0/5" in path.read_text()) is not of_line
    assert (path.stat().st_mode & 0o777) == 0o600
    assert json.loads(path.read_text().splitlines()[-1])["reason"] == "test"
    await bench.commit.close()


@pytest.mark.parametrize("of_line", [False, True], ids=["all", "line"])
async def test_public_addresses_are_given_again(tmp_path: Path, of_line: bool) -> None:
    """Of one line, what it got of a pool that others have a share in, and what it did not get."""
    bench, witness = watched(tmp_path)
    settings, sources = bench.machine.settings, ("0.0.0.0/0",)
    small = NatPool((("203.0.113.1", "203.0.113.1"),), sources, 16384)  # three blocks

    async def use(pool: NatPool | None) -> None:
        bench.writer.post(ev.SettingsChanged(replace(settings, nat=pool)))
        await until(lambda: bench.machine.nat.pool == pool)

    def nat_of(session_id: str) -> NatBinding | None:
        session = bench.machine.store.get(session_id)
        assert session is not None
        return session.nat

    await use(small)
    before = await bench.begin(1, 2)
    path = tmp_path / "recording.jsonl"
    witness.record(path, {AccessLine("node-1", "1/0/3"), AccessLine("node-1", "1/0/4")} if of_line else None)
    (third,) = await bench.begin(3)
    bench.writer.post(bench.lease(4))
    await until(lambda: len(bench.outlets.asked) == 4)
    fourth = bench.outlets.asked[-1].session_id
    bench.writer.post(ev.RadiusAccept(fourth, 1, ("gold",)))
    await until(lambda: bench.machine.failures["no-public-address"])
    await bench.writer.command(lambda token: ev.Disconnect(token, before[0]))
    bench.writer.post(ev.TimerDue(ev.Timer.AUTH_RETRY, fourth))
    bench.writer.post(ev.RadiusAccept(fourth, 2, ("gold",)))
    await until(lambda: nat_of(fourth) is not None)
    assert nat_of(fourth) == ("203.0.113.1", 1024, 17407)
    await use(None)
    await until(lambda: nat_of(third) is None)
    await use(replace(small, port_block_size=0, ranges=(("203.0.113.8", "203.0.113.9"),)))
    await bench.writer.command(lambda token: ev.Disconnect(token, before[1]))
    assert witness.recorder is not None
    await finish(witness.recorder)
    assert identical(path) >= 5
    assert len({session.nat for session in bench.machine.store}) == len(bench.machine.store)
    await bench.commit.close()


async def test_a_line_whose_address_another_one_gets(tmp_path: Path) -> None:
    bench, witness = watched(tmp_path)
    bench.machine.settings = replace(bench.machine.settings, port_move="move")
    await bench.begin(1)
    path = tmp_path / "recording.jsonl"
    witness.record(path, {AccessLine("node-1", "1/0/1")})
    held = bench.machine.store.on_line(AccessLine("node-1", "1/0/1"))
    assert held is not None
    line, where = "node-1 1/0/2", {"link": "10.0.0.1", "server": "192.0.2.2"}
    mac, ip = "02:00:00:00:00:99", held.ip_address
    for event in (
        from_client("discover", line, mac=mac),
        from_server("offer", line, mac=mac, ip=ip, **where),
        from_client("request", line, mac=mac, ip=ip),
        from_server("ack", line, mac=mac, ip=ip, **where),
    ):
        bench.writer.post(event)
    await until(lambda: bench.machine.store.on_line(AccessLine("node-1", "1/0/1")) is None)
    assert witness.recorder is not None
    await finish(witness.recorder)
    assert identical(path) >= 2
    assert "1/0/2" in path.read_text(), "the line that came into the way is recorded from then on"
    await bench.commit.close()


async def test_a_full_disk_ends_it_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, witness = watched(tmp_path)
    path = tmp_path / "recording.jsonl"
    witness.record(path, None)
    recorder = witness.recorder
    assert recorder is not None
    await bench.begin(1)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(recorder, "_put", full)
    await bench.begin(2)
    await until(lambda: recorder.ended is not None)
    assert recorder.ended == "the file cannot be written: No space left on device"
    await bench.begin(3)
    await bench.commit.close()


async def test_it_ends_at_its_size(tmp_path: Path) -> None:
    bench, witness = watched(tmp_path)
    witness.record(tmp_path / "recording.jsonl", None, max_octets=20_000)
    recorder = witness.recorder
    assert recorder is not None
    for number in range(1, 40):
        await bench.begin(number)
    await until(lambda: recorder.ended is not None)
    assert recorder.ended == "it has 20000 octets"
    assert (tmp_path / "recording.jsonl").stat().st_size < 30_000
    assert identical(tmp_path / "recording.jsonl")
    await bench.commit.close()


async def test_it_ends_when_it_cannot_keep_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, witness = watched(tmp_path)
    monkeypatch.setattr(module, "_MAX_WAITING", 3)
    monkeypatch.setattr(module, "_POLL", 0.5)
    witness.record(tmp_path / "recording.jsonl", None)
    recorder = witness.recorder
    assert recorder is not None
    for number in range(1, 6):
        await bench.begin(number)
    await until(lambda: recorder.ended is not None)
    assert "faster than they could be written" in str(recorder.ended)
    identical(tmp_path / "recording.jsonl")
    await bench.commit.close()


async def test_it_ends_with_its_time(tmp_path: Path) -> None:
    bench, witness = watched(tmp_path)
    witness.record(tmp_path / "recording.jsonl", None, deadline=time.time_ns())
    recorder = witness.recorder
    assert recorder is not None
    await until(lambda: recorder.ended is not None)
    assert recorder.ended == "its time is over"
    await bench.commit.close()


async def test_it_ends_when_nobody_asks_for_it_any_more(tmp_path: Path) -> None:
    bench, witness = watched(tmp_path)
    witness.record(tmp_path / "recording.jsonl", None, forsaken=0.05)
    recorder = witness.recorder
    assert recorder is not None
    await until(lambda: recorder.ended is not None)
    assert recorder.ended == "nobody asked for it any more"
    await bench.commit.close()


async def test_who_looks_on_disturbs_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, witness = watched(tmp_path)
    witness.record(tmp_path / "recording.jsonl", None)
    recorder = witness.recorder
    assert recorder is not None

    def fail(*_: Any) -> None:
        raise RuntimeError("a defect of its own")

    monkeypatch.setattr(recorder, "after", fail)
    monkeypatch.setattr(witness.timeline, "note", fail)
    (session_id,) = await bench.begin(1)
    await bench.writer.command(lambda token: ev.SetPolicy(token, session_id, profile="gold"))
    await until(lambda: recorder.ended is not None)
    assert "a defect of its own" in str(recorder.ended)
    assert not list(tmp_path.glob("crash-*"))
    await bench.commit.close()


async def test_a_crash_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, _ = watched(tmp_path)
    first, second = await bench.begin(1, 2)
    for number in range(MAX_REPORTS + 3):
        (tmp_path / f"crash-20200101T0000{number:02d}.jsonl").write_text("old")

    def fail(_event: ev.Event) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setitem(bench.machine._handlers, ev.SessionTraffic, fail)
    bench.writer.post(ev.SessionTraffic(first))
    reports = lambda: sorted(tmp_path.glob("crash-*.jsonl"))  # noqa: E731
    await until(lambda: len(reports()) == MAX_REPORTS and "crash-2020" not in reports()[-1].name)
    lines = [json.loads(line) for line in reports()[-1].read_text().splitlines()]
    assert "RuntimeError: a defect" in lines[0]["error"]
    assert lines[0]["lines"] == [["node-1", "1/0/1"]]
    kinds = [line["event"]["kind"] for line in lines if "event" in line]
    assert kinds == ["LeaseFound", "RadiusAccept", "Enforced", "SessionTraffic"]
    assert any(line.get("class") == "Session" and line["id"] == first for line in lines)
    assert second not in reports()[-1].read_text()
    bench.writer.post(ev.SessionTraffic(second))  # at once again: one report is enough
    await until(lambda: not bench.writer.waiting)
    assert len(reports()) == MAX_REPORTS
    await bench.commit.close()


async def test_what_is_shed_of_invented_lines_pushes_nobody_out(tmp_path: Path) -> None:
    bench, witness = watched(tmp_path)
    noisy, invented = AccessLine("node-1", "1/0/7"), AccessLine("node-9", "x")
    witness.shed(invented, "strangers-limit", 1)
    witness.shed(noisy, "rate-limit", 2)
    witness.shed(noisy, "strangers-limit", 3)
    assert not witness.timeline.knows(invented)
    assert [step.reason for step in witness.timeline.of(noisy)] == [
        "dropped: rate-limit",
        "dropped: strangers-limit",
    ]
    await bench.commit.close()
