"""Health of this instance: CPU and memory, lateness of the loop, and what the parts count.

CPU and memory are those of the cgroup when this instance has one to itself, else of its processes. CPU is
a difference over real time.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bng.dataplane import conntrack
from bng.seam.clock import date_and_time
from bng.session.nat import NatAllocator

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")
_LAG_PERIOD = 0.02
_MAX_LAGS = 20_000
_UNLIMITED = 1 << 60
"""cgroup v1 writes "no limit" as a number near 2⁶³."""


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds used so far, octets of memory in use, and how many may be (None: no limit)."""

    cpu: float
    memory: int
    limit: int | None


class CgroupV2:
    """A cgroup of the unified hierarchy."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def usage(self) -> Usage:
        """Raises OSError, ValueError."""
        fields = dict(line.split() for line in (self.folder / "cpu.stat").read_text().splitlines())
        limit = _number(self.folder / "memory.max")
        memory = int((self.folder / "memory.current").read_text())
        return Usage(int(fields["usage_usec"]) / 1e6, memory, limit)

    def pids(self) -> set[int]:
        return {int(line) for line in (self.folder / "cgroup.procs").read_text().split()}


class CgroupV1:
    """The cpuacct and memory hierarchies of version 1."""

    def __init__(self, cpu: Path, memory: Path) -> None:
        self.cpu, self.memory = cpu, memory

    def usage(self) -> Usage:
        """Raises OSError, ValueError."""
        limit = _number(self.memory / "memory.limit_in_bytes")
        return Usage(
            int((self.cpu / "cpuacct.usage").read_text()) / 1e9,
            int((self.memory / "memory.usage_in_bytes").read_text()),
            None if limit is None or limit >= _UNLIMITED else limit,
        )

    def pids(self) -> set[int]:
        return {int(line) for line in (self.memory / "cgroup.procs").read_text().split()}


Cgroup = CgroupV2 | CgroupV1


def _number(path: Path) -> int | None:
    text = path.read_text().strip()
    return None if text == "max" else int(text)


def find_cgroup(proc: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> Cgroup | None:
    """The cgroup of this process, or None when its figures cannot be read."""
    try:
        lines = [line.split(":", 2) for line in proc.read_text().splitlines()]
    except OSError:
        return None
    by_controller = {name: path for _, names, path in lines for name in names.split(",")}
    if (folder := root / by_controller.get("", "/").lstrip("/")).joinpath("memory.current").exists():
        return CgroupV2(folder)
    if "cpuacct" not in by_controller or "memory" not in by_controller:
        return None
    for name in ("cpuacct", "cpu,cpuacct"):
        cpu = root / name / by_controller["cpuacct"].lstrip("/")
        memory = root / "memory" / by_controller["memory"].lstrip("/")
        if (cpu / "cpuacct.usage").exists() and (memory / "memory.usage_in_bytes").exists():
            return CgroupV1(cpu, memory)
    return None


def process_usage(pids: Iterable[int]) -> Usage:
    """CPU and resident memory of processes; those that are gone count nothing."""
    cpu = memory = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            memory += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
        except (OSError, IndexError):
            continue
        cpu += int(fields[11]) + int(fields[12])
    return Usage(cpu / _TICKS, memory, None)


class UsageMeter:
    """CPU and memory of this instance.

    Args:
        pids: tells the processes of this instance.
    """

    def __init__(self, pids: Callable[[], set[int]], cgroup: Cgroup | None = None) -> None:
        self._pids = pids
        self._cgroup = cgroup
        self._last: tuple[float, Usage, bool] | None = None

    def measure(self) -> tuple[int, Usage]:
        """(CPU since the last call in hundredths of a percent of one core, usage now)."""
        now = time.monotonic()
        usage, own = self._usage()
        share = 0
        if self._last is not None and self._last[2] == own:
            before, last, _ = self._last
            # a process that was restarted takes its CPU time with it: never less than nothing
            share = max(0, round(10_000 * (usage.cpu - last.cpu) / max(now - before, 1e-6)))
        self._last = now, usage, own
        return share, usage

    def _usage(self) -> tuple[Usage, bool]:
        pids = self._pids()
        if self._cgroup is not None:
            try:
                if self._cgroup.pids() <= pids:
                    return self._cgroup.usage(), True
            except (OSError, ValueError, KeyError):
                pass
        return process_usage(pids), False


def process_memory(pids: Mapping[str, int]) -> list[dict[str, Any]]:
    """Resident memory of processes by their names; those that are gone are left out."""
    found = []
    for name, pid in pids.items():
        with suppress(OSError, IndexError):
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            found.append({"name": name, "memory_usage": pages * _PAGE})
    return found


def _microseconds(seconds: float) -> int:
    return max(0, round(seconds * 1e6))


class LagMeter:
    """How late the event loop is."""

    def __init__(self) -> None:
        self._lags: list[float] = []

    async def run(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _LAG_PERIOD
            await asyncio.sleep(_LAG_PERIOD)
            self.note(loop.time() - due)

    def note(self, lag: float) -> None:
        """One measurement, seconds."""
        if len(self._lags) >= _MAX_LAGS:  # nobody takes them
            self._lags = [max(self._lags)]
        self._lags.append(lag)

    def take(self) -> tuple[int, int]:
        """(the worst since the last call, the 99th percentile), microseconds."""
        lags, self._lags = sorted(self._lags), []
        if not lags:
            return 0, 0
        return _microseconds(lags[-1]), _microseconds(lags[(len(lags) * 99 - 1) // 100])


def nat_report(allocator: NatAllocator, *, tracked: bool) -> dict[str, Any]:
    """The leaves about NAT: flows in the kernel, and what of the pool is in use."""
    found = conntrack.usage() if tracked else None
    entries, limit = found or (None, None)
    has_pool = allocator.pool is not None
    return {
        "conntrack_entries": entries,
        "conntrack_limit": limit,
        "nat_bindings": allocator.held if has_pool else None,
        "nat_bindings_limit": allocator.size if has_pool else None,
    }


class Health:
    """Makes the reports of aether-health.

    Args:
        parts: called for each report; gives the leaves that the parts of the control plane know (with
            ``_`` for ``-``), ``radius_server`` and ``dhcp_server`` as lists of such records.
    """

    def __init__(self, usage: UsageMeter, lag: LagMeter, parts: Callable[[], dict[str, Any]]) -> None:
        self._usage = usage
        self._lag = lag
        self._parts = parts
        self._started = time.monotonic()

    def report(self) -> dict[str, Any]:
        """The report of this moment."""
        share, usage = self._usage.measure()
        worst, percentile = self._lag.take()
        return {
            "time": date_and_time(time.time_ns()),
            "uptime": int(time.monotonic() - self._started),
            "cpu_usage": share,
            "memory_usage": usage.memory,
            "memory_limit": usage.limit,
            "loop_lag": worst,
            "loop_lag_p99": percentile,
            **self._parts(),
        }
