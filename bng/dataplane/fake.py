"""A data plane in memory, for tests of what stands above it. The contract tests hold it to the real one's
behaviour."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bng.dataplane.base import (
    COUNTERS,
    MAX_SLOTS,
    Capabilities,
    Change,
    ChangeResult,
    DataPlaneConfig,
    DataPlaneError,
    Installed,
    RawCounters,
    Refresh,
    Start,
    StartResult,
    Stop,
    StopResult,
    Suspicions,
    Sweep,
)
from bng.dataplane.book import Book, rates_refusal


@dataclass(slots=True)
class FakeKernel:
    """What outlives a data plane: give the same one to the next `FakeDataPlane` to restart it.

    Attributes:
        interfaces: names of the interfaces that exist.
        sessions: those that forward, by slot.
        counters: raw counters by slot.
        broken: when set, every call raises DataPlaneError with this text.
    """

    interfaces: set[str] = field(default_factory=set)
    sessions: dict[int, Start] = field(default_factory=dict)
    counters: dict[int, list[int]] = field(default_factory=dict)
    broken: str | None = None

    def carry(self, slot: int, counters: RawCounters) -> None:
        """Let a session carry traffic, if it forwards."""
        if slot in self.sessions:
            amounts = [getattr(counters, name) for name in COUNTERS]
            now = self.counters[slot]
            self.counters[slot] = [old + more for old, more in zip(now, amounts, strict=True)]

    def remove_interface(self, name: str) -> None:
        """An interface goes, and the classes on it; those of the upload side stay."""
        self.interfaces.discard(name)
        for slot, start in self.sessions.items():
            if start.interface == name:
                self.counters[slot][1::2] = [0, 0, 0]


class FakeDataPlane:
    """`DataPlane` without a kernel.

    Args:
        kernel: what it stands on; by default one with the interfaces that `open` asks for.
    """

    def __init__(self, kernel: FakeKernel | None = None) -> None:
        self.kernel = kernel or FakeKernel()
        self._all_exist = kernel is None
        self._book = Book()
        self._config: DataPlaneConfig | None = None
        self._attached: set[str] = set()
        self._made = 0

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities("fake", "pfifo")

    @property
    def bindings(self) -> Any:
        return self._book.bindings

    @property
    def end(self) -> int:
        return self._book.end

    def open(self, config: DataPlaneConfig) -> Refresh:
        self._check_kernel()
        if config.upstream in config.subscriber:
            raise DataPlaneError(f"interface {config.upstream} cannot be both upstream and subscriber")
        is_first, self._config = self._config is None, config
        if self._all_exist:
            self.kernel.interfaces |= {config.upstream, *config.subscriber}
        for slot, start in list(self.kernel.sessions.items()):
            if start.interface not in config.subscriber or (
                is_first and start.interface not in self.kernel.interfaces
            ):
                del self.kernel.sessions[slot]
                self._book.drop(slot)
            elif is_first:
                self._book.put(start)
        result = self.refresh()
        if is_first:
            return Refresh(attached=result.attached, missing=result.missing)
        return result

    def refresh(self) -> Refresh:
        config = self._opened()
        wanted = {config.upstream, *config.subscriber}
        attached = (wanted & self.kernel.interfaces) - self._attached
        self._attached = wanted & self.kernel.interfaces
        sessions = self._book.sessions()
        return Refresh(
            attached=tuple(sorted(attached)),
            restarted_in=tuple(sorted(s.slot for s in sessions if config.upstream in attached)),
            restarted_out=tuple(sorted(s.slot for s in sessions if s.interface in attached)),
            missing=tuple(sorted(wanted - self.kernel.interfaces)),
        )

    def start(self, starts: Sequence[Start]) -> list[StartResult]:
        self._opened()
        return [self._start(start) for start in starts]

    def _start(self, start: Start) -> StartResult:
        fault = self._book.refusal(start) or self._no_interface(start.interface)
        if fault is not None:
            return StartResult(start.slot, fault)
        if self._book.holds(start):
            self._book.update(start.slot, start.rates)
            self.kernel.sessions[start.slot] = self._book.rebind(start.slot, start.nat)
            return StartResult(start.slot)
        self._book.put(start)
        self.kernel.sessions[start.slot] = start
        raw = self.kernel.counters.setdefault(start.slot, [0] * len(COUNTERS))
        return StartResult(start.slot, None, RawCounters(*raw))

    def stop(self, stops: Sequence[Stop]) -> list[StopResult]:
        self._opened()
        return [self._stop(stop) for stop in stops]

    def _stop(self, stop: Stop) -> StopResult:
        there = self._book.get(stop.slot)
        if there is None:
            return StopResult(stop.slot)
        if there.session_id != stop.session_id:
            fault = f"slot {stop.slot} holds session {there.session_id}, not {stop.session_id}"
            return StopResult(stop.slot, fault)
        self._book.drop(stop.slot)
        del self.kernel.sessions[stop.slot]
        gone = there.interface not in self.kernel.interfaces
        return StopResult(stop.slot, None, None if gone else RawCounters(*self.kernel.counters[stop.slot]))

    def change(self, changes: Sequence[Change]) -> list[ChangeResult]:
        self._opened()
        return [self._change(change) for change in changes]

    def _change(self, change: Change) -> ChangeResult:
        if self._book.get(change.slot) is None:
            return ChangeResult(change.slot, f"slot {change.slot} holds no session")
        fault = rates_refusal(change.rates)
        if fault is None:
            self.kernel.sessions[change.slot] = self._book.update(change.slot, change.rates)
        return ChangeResult(change.slot, fault)

    def sweep(self) -> Sweep:
        self._opened()
        count = self._book.end
        values, valid = np.zeros((count, len(COUNTERS)), np.uint64), np.zeros(count, np.bool_)
        for start in self._book.sessions():
            if start.interface in self.kernel.interfaces:
                values[start.slot] = self.kernel.counters[start.slot]
                valid[start.slot] = True
        return Sweep(values, valid, self._book.bindings[:count].copy(), time.time_ns())

    def installed(self, first: int = 0, count: int | None = None) -> list[Installed]:
        self._opened()
        return self._book.installed(first, count)

    def audit(self) -> Suspicions:
        self._opened()
        return Suspicions()

    def repair(self, suspicions: Suspicions) -> int:
        del suspicions  # nobody but this data plane touches a fake kernel
        self._opened()
        return 0

    def read(self, slot: int) -> RawCounters | None:
        self._opened()
        start = self._book.get(slot)
        if start is None or start.interface not in self.kernel.interfaces:
            return None
        return RawCounters(*self.kernel.counters[slot])

    def grow(self, limit: int = 32) -> bool:
        config = self._opened()
        target = min(self._book.end + config.reserve, MAX_SLOTS)
        self._made = min(max(self._made, self._book.end) + limit, target)
        return self._made < target

    def close(self, remove: bool = False) -> None:
        if remove:
            self.kernel.sessions.clear()
            self.kernel.counters.clear()
        self._book, self._config, self._attached = Book(), None, set()

    def _no_interface(self, interface: str) -> str | None:
        config = self._opened()
        if interface not in config.subscriber:
            return f"{interface} is not a subscriber interface"
        if interface not in self.kernel.interfaces:
            return f"subscriber interface {interface} does not exist at this time"
        if config.upstream not in self.kernel.interfaces:
            return f"upstream interface {config.upstream} does not exist at this time"
        return None

    def _check_kernel(self) -> None:
        if self.kernel.broken is not None:
            raise DataPlaneError(self.kernel.broken)

    def _opened(self) -> DataPlaneConfig:
        self._check_kernel()
        if self._config is None:
            raise DataPlaneError("the data plane is not open")
        return self._config
