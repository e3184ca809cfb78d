"""Restarting the control plane over the same state folder and the same (fake) kernel; reconciliation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from bng.dataplane.base import Binding, Rates, RawCounters, Start, Stop, Suspicions
from bng.dataplane.fake import FakeDataPlane, FakeKernel
from bng.reconcile import Reconciler
from bng.repairs import KERNEL_GATE
from bng.session import events as ev
from bng.session.nat import NatPool
from tests.support.control_bench import Bench, counters_of
from tests.support.waiting import until


def reconciler(bench: Bench, forwards: Callable[[str], bool] = lambda _: True) -> Reconciler:
    return Reconciler(
        bench.writer,
        bench.dataplane,
        bench.enforcer.adopt,
        forwards,
    )


async def killed(bench: Bench) -> None:
    """End a control plane as kill -9 does: nothing is said, nothing is written any more."""
    await bench.settle()
    bench.journal.close()


async def test_adopted_sessions_go_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    first, second = await bench.begin(1, 2)
    bench.kernel.carry(0, RawCounters(1000, 1000, 1, 1))
    await bench.sweeper.run()
    await killed(bench)
    bench.kernel.carry(0, RawCounters(10, 10, 1, 1))

    again = Bench(tmp_path, bench.kernel)
    again.restore()
    difference = reconciler(again).adopt()
    await again.settle()
    assert {session.id for session in difference.adopted} == {first, second}
    assert (difference.surplus, difference.lost) == ((), ())
    assert again.outlets.asked == []
    assert again.outlets.accounts == []
    assert again.types() == ["session-start", "session-start", "policy-apply", "policy-apply"]
    await again.writer.command(lambda token: ev.Disconnect(token, first))
    await again.settle()
    assert counters_of(again.events()[-1]) == (1010, 1010)
    await again.commit.close()


async def test_a_kernel_that_forgot_gets_its_sessions_back(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    (session_id,) = await bench.begin(1)
    bench.kernel.carry(0, RawCounters(1000, 1000, 1, 1))
    await bench.sweeper.run()
    await killed(bench)

    again = Bench(tmp_path, FakeKernel({"sub0", "up0"}))
    again.restore()
    difference = reconciler(again).adopt()
    assert difference.lost == (session_id,)
    # more than before: whoever compares raw values only would not notice that the kernel began anew
    again.kernel.carry(0, RawCounters(5000, 5000, 5, 5))
    await again.writer.command(lambda token: ev.Disconnect(token, session_id))
    await again.settle()
    assert counters_of(again.events()[-1]) == (6000, 6000)
    assert again.outlets.accounted() == ["stop"]
    await again.commit.close()


async def test_without_its_matrix_a_session_counts_from_now_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    (session_id,) = await bench.begin(1)
    bench.kernel.carry(0, RawCounters(1000, 1000, 1, 1))
    await killed(bench)
    (tmp_path / "matrix").unlink()
    again = Bench(tmp_path, bench.kernel)
    again.restore()
    reconciler(again).adopt()
    bench.kernel.carry(0, RawCounters(7, 8, 1, 1))
    await again.writer.command(lambda token: ev.Disconnect(token, session_id))
    await again.settle()
    assert counters_of(again.events()[-1]) == (7, 8)
    await again.commit.close()


def with_pool(bench: Bench) -> Bench:
    """The same with public addresses for its sessions."""
    pool = NatPool((("203.0.113.1", "203.0.113.1"),), ("10.0.0.0/8",), 1024)
    bench.machine.settings = replace(bench.machine.settings, nat=pool)
    bench.machine.nat.change(pool, ())
    return bench


@pytest.mark.parametrize("other", [None, Binding(IPv4Address("203.0.113.1"), 4096, 5119)])
async def test_what_the_kernel_translates_otherwise_is_repaired(
    tmp_path: Path, other: Binding | None
) -> None:
    bench = with_pool(Bench(tmp_path))
    first, second = await bench.begin(1, 2)
    wanted = [each.nat for each in bench.dataplane.installed()]
    assert wanted == [Binding(IPv4Address("203.0.113.1"), at, at + 1023) for at in (1024, 2048)]

    def disturb(data_plane: FakeDataPlane) -> None:
        (result,) = data_plane.start([replace(bench.kernel.sessions[0], nat=other)])
        assert result.error is None
        assert data_plane.installed(0, 1)[0].nat == other

    disturb(bench.dataplane)
    assert await reconciler(bench).run() == 2  # removed, and installed again
    assert [each.nat for each in bench.dataplane.installed()] == wanted
    disturb(bench.dataplane)
    await killed(bench)

    again = with_pool(Bench(tmp_path, bench.kernel))
    again.restore()
    difference = reconciler(again).adopt()
    assert ([each.session_id for each in difference.surplus], difference.lost) == ([first], (first,))
    assert [each.nat for each in again.dataplane.installed()] == wanted
    assert again.machine.nat.held == 2
    assert {session.id for session in again.machine.store} == {first, second}
    await again.commit.close()


async def test_elements_without_a_session_are_removed(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await bench.begin(1)
    await killed(bench)
    for path in (tmp_path / "journal").glob("*.log"):
        path.unlink()
    again = Bench(tmp_path, bench.kernel)
    again.restore()
    assert len(reconciler(again).adopt().surplus) == 1
    assert again.dataplane.installed() == []
    await again.commit.close()


async def test_unanswered_questions_are_asked_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.writer.post(bench.lease(1))
    await until(lambda: bench.outlets.asked)
    await killed(bench)
    again = Bench(tmp_path, bench.kernel)
    again.restore()
    assert [ask.session_id for ask in again.outlets.asked] == [bench.outlets.asked[0].session_id]
    await again.commit.close()


async def test_a_healthy_run_changes_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await bench.begin(1, 2, 3)
    await bench.settle()
    events = len(bench.events())
    keeper = reconciler(bench)
    for _ in range(3):
        await keeper.run()
    await bench.settle()
    assert sum(keeper.repairs.counts.values()) == 0
    assert len(bench.events()) == events
    await bench.commit.close()


async def test_what_went_missing_is_repaired_and_counted(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    (session_id,) = await bench.begin(1)
    bench.dataplane.stop([Stop(0, session_id)])
    keeper = reconciler(bench)
    await keeper.run()
    assert dict(keeper.repairs.counts) == {"kernel-lost": 1, "kernel-surplus": 0}
    assert [element.session_id for element in bench.dataplane.installed()] == [session_id]
    await bench.commit.close()


async def test_an_audit_repairs_what_is_suspicious_in_portions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path)
    told: list[Suspicions] = []

    def repair(suspicions: Suspicions) -> int:
        told.append(suspicions)
        return len(suspicions.slots)

    monkeypatch.setattr(bench.dataplane, "audit", lambda: Suspicions(slots=tuple(range(120))))
    monkeypatch.setattr(bench.dataplane, "repair", repair)
    keeper = reconciler(bench)
    await keeper.audit()
    assert keeper.repairs.counts[KERNEL_GATE] == 120
    assert [len(each.slots) for each in told] == [50, 50, 20]
    bench.kernel.broken = "broken"
    monkeypatch.undo()
    await keeper.audit()
    assert keeper.repairs.counts[KERNEL_GATE] == 120
    await bench.commit.close()


async def test_interfaces_that_are_away_are_left_alone(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    (session_id,) = await bench.begin(1)
    bench.dataplane.stop([Stop(0, session_id)])
    keeper = reconciler(bench, lambda _: False)
    await keeper.run()
    assert sum(keeper.repairs.counts.values()) == 0
    await bench.commit.close()


@pytest.mark.parametrize("count", [0, 3])
async def test_checkpoint_at_the_end(tmp_path: Path, count: int) -> None:
    bench = Bench(tmp_path)
    if count:
        await bench.begin(*range(1, count + 1))
    await bench.commit.close()
    again = Bench(tmp_path, bench.kernel)
    assert len(again.recovered.by_id) == count
    again.journal.close()


async def test_only_what_is_still_wrong_is_repaired(tmp_path: Path) -> None:
    """Many differences, some of which go away by themselves while the rest is looked at."""
    bench = Bench(tmp_path)
    ids = await bench.begin(*range(1, 41))
    await bench.settle()
    lost = ids[::4]
    bench.dataplane.stop([Stop(ids.index(session_id), session_id) for session_id in lost])
    keeper = reconciler(bench)
    running = asyncio.ensure_future(keeper.run())
    await asyncio.sleep(0)
    await bench.writer.command(lambda token: ev.Disconnect(token, lost[-1]))
    await running
    await bench.settle()
    held = {element.session_id for element in bench.dataplane.installed()}
    assert held == set(ids) - {lost[-1]}
    assert keeper.repairs.counts["kernel-lost"] >= len(lost) - 1
    assert await keeper.run() == 0
    record = keeper.repairs.record()["kernel"]
    assert record["sessions_compared"] == len(ids) - 1
    await bench.commit.close()


async def test_a_stranger_in_a_sessions_place_makes_way(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    (session_id,) = await bench.begin(1)
    await bench.settle()
    bench.dataplane.stop([Stop(0, session_id)])
    rates = Rates(1_000_000, 1_000_000)
    stranger = Start(0, "f" * 16, "sub0", bytes(6), IPv4Address("10.0.1.1"), rates)
    assert bench.dataplane.start([stranger])[0].error is None
    keeper = reconciler(bench)
    await keeper.run()
    await bench.settle()
    assert dict(keeper.repairs.counts) == {"kernel-surplus": 1, "kernel-lost": 1}
    assert [element.session_id for element in bench.dataplane.installed()] == [session_id]
    await bench.commit.close()


async def test_installed_by_pages(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await bench.begin(*range(1, 11))
    whole = bench.dataplane.installed()
    pages = [bench.dataplane.installed(first, 3) for first in range(0, 30, 3)]
    assert [element for page in pages for element in page] == whole
    assert [len(page) for page in pages[:5]] == [3, 3, 3, 1, 0]
    await bench.commit.close()
