"""CPU and memory of this instance: from its own cgroup, else from its processes."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from bng.health import (
    CgroupV1,
    CgroupV2,
    Health,
    LagMeter,
    Usage,
    UsageMeter,
    find_cgroup,
    process_memory,
    process_usage,
)


def make_v2(root: Path, cpu: int = 5_000_000, limit: str = "max") -> None:
    root.mkdir(parents=True, exist_ok=True)
    (root / "cpu.stat").write_text(f"usage_usec {cpu}\nuser_usec 1\n")
    (root / "memory.current").write_text("1000\n")
    (root / "memory.max").write_text(limit + "\n")
    (root / "cgroup.procs").write_text("10\n11\n")


def test_version_two(tmp_path: Path) -> None:
    make_v2(tmp_path / "sys/a/b", limit="4096")
    (tmp_path / "cgroup").write_text("0::/a/b\n")
    found = find_cgroup(tmp_path / "cgroup", tmp_path / "sys")
    assert isinstance(found, CgroupV2)
    assert found.usage() == Usage(5.0, 1000, 4096)
    assert found.pids() == {10, 11}


def test_version_one(tmp_path: Path) -> None:
    for folder in ("cpu,cpuacct", "memory"):
        (tmp_path / "sys" / folder / "x").mkdir(parents=True)
    (tmp_path / "sys/cpu,cpuacct/x/cpuacct.usage").write_text("2000000000")
    memory = tmp_path / "sys/memory/x"
    (memory / "memory.usage_in_bytes").write_text("77")
    (memory / "memory.limit_in_bytes").write_text("9223372036854771712")
    (memory / "cgroup.procs").write_text("1\n")
    (tmp_path / "cgroup").write_text("4:memory:/x\n3:cpu,cpuacct:/x\n")
    found = find_cgroup(tmp_path / "cgroup", tmp_path / "sys")
    assert isinstance(found, CgroupV1)
    assert found.usage() == Usage(2.0, 77, None)


def test_no_cgroup(tmp_path: Path) -> None:
    assert find_cgroup(tmp_path / "nothing", tmp_path) is None
    (tmp_path / "cgroup").write_text("0::/\n")
    assert find_cgroup(tmp_path / "cgroup", tmp_path) is None


def test_a_cgroup_counts_only_when_it_is_ours_alone(tmp_path: Path) -> None:
    make_v2(tmp_path)
    own = UsageMeter(lambda: {10, 11, 12}, CgroupV2(tmp_path))
    assert own.measure() == (0, Usage(5.0, 1000, None))
    make_v2(tmp_path, cpu=5_400_000)
    share, _ = own.measure()
    assert share > 0
    shared = UsageMeter(lambda: {10}, CgroupV2(tmp_path))
    assert shared.measure()[1].memory != 1000


def test_cpu_is_a_difference_over_time() -> None:
    meter = UsageMeter(lambda: {os.getpid()})
    assert meter.measure()[0] == 0
    busy = time.process_time() + 0.1
    while time.process_time() < busy:
        pass
    share, usage = meter.measure()
    assert share > 0
    assert usage.memory > 1 << 20


def test_processes_that_are_gone_count_nothing() -> None:
    assert process_usage([2**22 + 5]) == Usage(0.0, 0, None)


async def test_report_holds_what_the_parts_know() -> None:
    lag = LagMeter()
    task = asyncio.ensure_future(lag.run())
    await asyncio.sleep(0.01)
    time.sleep(0.25)
    await asyncio.sleep(0.01)
    health = Health(UsageMeter(lambda: {os.getpid()}), lag, lambda: {"sessions": 4})
    report = health.report()
    task.cancel()
    assert report["sessions"] == 4
    assert report["loop_lag"] > 100_000
    assert health.report()["loop_lag"] == 0


def test_the_worst_lag_and_the_99th_percentile() -> None:
    lag = LagMeter()
    assert lag.take() == (0, 0)
    for number in range(1, 201):
        lag.note(number / 1e6)
    assert lag.take() == (200, 198)
    lag.note(-1e-6)
    assert lag.take() == (0, 0), "early is not late"


def test_lags_that_nobody_takes_are_bounded() -> None:
    lag = LagMeter()
    lag.note(1.0)
    for _ in range(50_000):
        lag.note(0.0)
    assert lag.take()[0] == 1_000_000


def test_memory_of_each_process() -> None:
    (entry,) = process_memory({"control": os.getpid(), "management": 2**22 + 5})
    assert entry["name"] == "control"
    assert entry["memory_usage"] > 1 << 20
