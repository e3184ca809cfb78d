"""The sweep: totals in the matrix, who falls idle and who wakes up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bng.dataplane.base import RawCounters, Sweep
from bng.seam.matrix import MatrixReader
from bng.session import events as ev
from tests.support.control_bench import NS, Bench
from tests.support.waiting import until


@pytest.fixture(params=[2048, 2], ids=["all at once", "in portions"], autouse=True)
def portion(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bng.sweep._PORTION", request.param)


def later(sweep: Sweep, seconds: int) -> Sweep:
    return Sweep(sweep.values, sweep.valid, sweep.bindings, sweep.time_ns + seconds * NS)


async def test_totals_and_ticks(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await bench.begin(*range(1, 7))
    bench.kernel.carry(5, RawCounters(10, 20, 3, 4, 5, 6))
    assert await bench.sweeper.run() == 1
    assert await bench.sweeper.run() == 2
    tick, _, rows = MatrixReader(tmp_path / "matrix").snapshot()
    assert tick == 2
    assert rows[5, 1:7].tolist() == [10, 20, 3, 4, 5, 6]
    assert rows[0, 1:7].tolist() == [0] * 6
    await bench.commit.close()


async def test_idle_and_back(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    told: list[Any] = []
    (session_id,) = await bench.begin(1)
    bench.sweeper._post = told.append
    bench.sweeper.idle_after = 10
    sweep = bench.dataplane.sweep()
    bench.sweeper.apply(later(sweep, 5))
    assert told == []
    bench.sweeper.apply(later(sweep, 15))
    bench.sweeper.apply(later(sweep, 30))
    (idle,) = told
    assert isinstance(idle, ev.SessionIdle)
    assert idle.session_id == session_id
    assert idle.since <= sweep.time_ns + NS
    bench.kernel.carry(0, RawCounters(1, 0, 1, 0))
    bench.sweeper.apply(later(bench.dataplane.sweep(), 31))
    assert told[1:] == [ev.SessionTraffic(session_id)]
    bench.sweeper.apply(later(bench.dataplane.sweep(), 39))
    assert len(told) == 2
    await bench.commit.close()


async def test_a_sweep_that_was_overtaken_counts_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, slots=1)
    (session_id,) = await bench.begin(1)
    bench.kernel.carry(0, RawCounters(100, 100, 1, 1))
    old = bench.dataplane.sweep()
    bench.kernel.carry(0, RawCounters(100, 100, 1, 1))
    await bench.writer.command(lambda token: ev.Disconnect(token, session_id, tombstone=False))
    before = bench.matrix.rows[0].tolist()
    bench.sweeper.apply(old)
    assert bench.matrix.rows[0].tolist() == before, "the session had ended"
    await bench.begin(1)
    bench.sweeper.apply(old)
    assert bench.matrix.rows[0, 1:7].tolist() == [0] * 6, "the slot is another session's"
    await bench.commit.close()


async def test_classes_made_anew_lose_no_count(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await bench.begin(1)
    bench.kernel.carry(0, RawCounters(100, 300, 1, 3))
    await bench.sweeper.run()
    bench.kernel.remove_interface("sub0")
    bench.dataplane.refresh()
    bench.kernel.interfaces.add("sub0")
    bench.sweeper.refreshed(bench.dataplane.refresh())
    bench.kernel.carry(0, RawCounters(1, 1000, 1, 9))
    await bench.sweeper.run()
    assert bench.matrix.rows[0, 1:5].tolist() == [101, 1300, 2, 12]
    await until(lambda: bench.journal.pending == 0)
    await bench.commit.close()
