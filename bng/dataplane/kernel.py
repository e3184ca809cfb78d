"""The data plane in the Linux kernel: nftables maps are the gate, HTB classes shape and count."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import structlog

from bng.dataplane import adoption, audit, elements, nft, port, tc
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
from bng.dataplane.classstats import ClassTable
from bng.dataplane.ground import Ground
from bng.dataplane.netlink import NETFILTER, ROUTE, Connection
from bng.dataplane.port import Port
from bng.dataplane.programming import Programmer, Task
from bng.dataplane.shards import Layout
from bng.dataplane.sweeping import collect

log = structlog.get_logger(__name__)

_AT_A_TIME = 0.002
"""Seconds of work on lost sessions after which the caller gets its turn."""
_FEW = 16
"""Sessions that are brought back in one batch: with classes to be made, some milliseconds."""


class _Lost(NamedTuple):
    """What a session lacks that is to be brought back.

    Attributes:
        may_be_open: whether its gate may be open, as it was.
        counts_in_anew, counts_out_anew: whether its class for upload or download is gone.
    """

    may_be_open: bool = False
    counts_in_anew: bool = False
    counts_out_anew: bool = False


class _Open:
    """What exists between `open` and `close`: connections, and what stands on them."""

    def __init__(self, config: DataPlaneConfig, leaf: tc.Leaf | None, layout: Layout | None) -> None:
        self.route, self.sweeping, self.growing = (Connection(ROUTE) for _ in range(3))
        self.netfilter, self.auditing = Connection(NETFILTER), Connection(NETFILTER)
        self.ground = Ground(self.route, config, leaf, layout)
        self.programmer = Programmer(self.route, self.netfilter, self.ground.marking)
        self.lost: dict[int, _Lost] = {}
        """Slots of sessions that are to be brought back."""

    def close(self) -> None:
        for connection in (self.route, self.sweeping, self.growing, self.netfilter, self.auditing):
            connection.close()


class KernelDataPlane:
    """`DataPlane` for the network namespace that the process is in when it calls `open`.

    Args:
        leaf: queue of each class; by default the best that the kernel has.
        layout: where the classes of slots are; by default the best that the kernel can.
    """

    def __init__(self, leaf: tc.Leaf | None = None, layout: Layout | None = None) -> None:
        self._leaf = leaf
        self._layout = layout
        self._kernel: _Open | None = None
        self._book = Book()
        self._gates = audit.Gates()
        self._where = np.zeros(MAX_SLOTS, np.int64)
        """Per slot, index of the session's subscriber interface; 0 when there is no session."""

    @property
    def capabilities(self) -> Capabilities:
        ground = self._opened().ground
        return Capabilities("nft", ground.leaf.kind if ground.leaf else "pfifo", tuple(ground.warnings))

    @property
    def bindings(self) -> Any:
        return self._book.bindings

    # Interfaces and ruleset

    def open(self, config: DataPlaneConfig) -> Refresh:
        if config.upstream in config.subscriber:
            raise DataPlaneError(f"interface {config.upstream} cannot be both upstream and subscriber")
        is_first = self._kernel is None
        try:
            if self._kernel is None:
                self._kernel = _Open(config, self._leaf, self._layout)
            kernel = self._kernel
            self._leave(kernel, config)
            nft.run(nft.ruleset(config.nat))
            tables = kernel.ground.attach()
            if is_first:
                moved = tuple(self._adopt(kernel, tables))
                return Refresh(tuple(tables), moved, moved, tuple(kernel.ground.missing), bool(kernel.lost))
            self._follow(kernel, tables)
            return self._restore(kernel, tables)
        except (OSError, DataPlaneError) as fault:
            if is_first:
                self.close()
            raise _failure(fault) from fault

    def refresh(self) -> Refresh:
        kernel = self._opened()
        try:
            if kernel.lost:
                return self._restore(kernel, ())
            if not elements.exists(kernel.netfilter):
                log.warning("dataplane.ruleset-gone")
                nft.run(nft.ruleset(kernel.ground.config.nat))
                kernel.lost.update((start.slot, _Lost()) for start in self._book.sessions())
            if kernel.ground.marking.is_gone(kernel.netfilter) and kernel.ground.layout is not None:
                kernel.ground.marking.put(kernel.ground.layout, again=True)
            tables = kernel.ground.attach()
            self._follow(kernel, tables)
            return self._restore(kernel, tables)
        except (OSError, DataPlaneError) as fault:
            raise _failure(fault) from fault

    def _follow(self, kernel: _Open, tables: dict[str, ClassTable]) -> None:
        """See what the sessions lack after interfaces were looked at."""
        if tables:
            self._note_lost(kernel, tables)
        self._restore_neighbours(kernel)

    def audit(self) -> Suspicions:
        kernel = self._opened()
        try:
            return audit.look(kernel.auditing, self._gates)
        except OSError as fault:
            raise _failure(fault) from fault

    def repair(self, suspicions: Suspicions) -> int:
        kernel = self._opened()

        def tasks_of(slots: Iterable[int]) -> list[Task]:
            return self._tasks_of(kernel, (slot for slot in slots if slot not in kernel.lost))

        try:
            return audit.settle(kernel.netfilter, kernel.programmer, self._gates, suspicions, tasks_of)
        except OSError as fault:
            raise _failure(fault) from fault

    def close(self, remove: bool = False) -> None:
        kernel, self._kernel = self._kernel, None
        if kernel is None:
            return
        try:
            if remove:
                kernel.programmer.forget_neighbours(
                    self._task(kernel, start) for start in self._book.sessions()
                )
                for each in kernel.ground.ports():
                    port.detach(kernel.route, each)
                kernel.ground.marking.remove()
                nft.remove_tables()
        except OSError as fault:
            raise _failure(fault) from fault
        finally:
            kernel.close()
            self._book, self._gates = Book(), audit.Gates()
            self._where[:] = 0

    def _leave(self, kernel: _Open, config: DataPlaneConfig) -> None:
        """Apply a configuration; the sessions of interfaces that it no longer has end."""
        gone = [start for start in self._book.sessions() if start.interface not in config.subscriber]
        tasks = [self._task(kernel, start) for start in gone]
        if tasks:
            log.warning("dataplane.sessions-without-interface", sessions=len(tasks))
        kernel.programmer.close_gates(tasks)
        for task in tasks:
            self._forget(task)
        for each in kernel.ground.apply(config):
            log.info("dataplane.detached", interface=each.name)

    def _adopt(self, kernel: _Open, tables: dict[str, ClassTable]) -> list[int]:
        """Take over what the maps hold; what makes no sense now is removed from them. Slots of the sessions
        whose classes were made anew, because they are elsewhere in this version."""
        found = adoption.read(kernel.netfilter, kernel.ground, self._book, tables)
        kernel.netfilter.transaction(
            elements.remove_upload(found.stale) + elements.remove_download(found.halves)
        )
        tasks = {task.slot: task for task in self._tasks_of(kernel, found.slots)}
        moving = [tasks[slot] for slot in found.moving]
        kernel.programmer.move(moving, list(found.moving.values()))
        for task in tasks.values():
            self._bind(task)
        for task in moving:
            if task.error is not None:
                log.error("dataplane.not-restored", session_id=task.start.session_id, reason=task.error)
                kernel.lost[task.slot] = _Lost(True)
        log.info(
            "dataplane.adopted",
            sessions=len(self._book),
            removed=len(found.stale),
            halves=len(found.halves),
            moved=len(moving),
        )
        return sorted(found.moving)

    def _note_lost(self, kernel: _Open, tables: dict[str, ClassTable]) -> None:
        """Find the sessions that have to be brought back after these interfaces were set up: those whose
        interface was made anew, and those that lack a class."""
        ground, end = kernel.ground, self._book.end
        where = self._where[:end]
        active = where != 0
        no_class = np.zeros((end, 2), np.bool_)
        if ground.upstream is not None and ground.upstream.name in tables:
            no_class[:, 0] = active & ~_made(ground.upstream, tables[ground.upstream.name], end)
        elsewhere = active.copy()
        for each in ground.subscriber.values():
            here = where == each.index
            elsewhere &= ~here
            if each.name in tables:
                no_class[:, 1] |= here & ~_made(each, tables[each.name], end)
        no_class[:, 1] |= elsewhere
        for slot in np.nonzero(no_class.any(axis=1))[0].tolist():
            kernel.lost[slot] = _Lost(True, *no_class[slot].tolist())

    def _restore(self, kernel: _Open, attached: Iterable[str]) -> Refresh:
        """Bring back as many of the lost sessions as can be in a few milliseconds."""
        ground, until = kernel.ground, time.monotonic() + _AT_A_TIME
        restarted_in: list[int] = []
        restarted_out: list[int] = []
        while kernel.lost and time.monotonic() < until:
            some = dict(kernel.lost.popitem() for _ in range(min(_FEW, len(kernel.lost))))
            tasks = [
                task
                for task in self._tasks_of(kernel, some)
                if ground.refusal(task.start.interface, task.slot) is None
            ]
            restarted_in += [task.slot for task in tasks if some[task.slot].counts_in_anew]
            restarted_out += [task.slot for task in tasks if some[task.slot].counts_out_anew]
            maybe_open = [task for task in tasks if some[task.slot].may_be_open]
            kernel.programmer.close_gates([self._as_it_was(task) for task in maybe_open])
            kernel.programmer.restore(tasks)
            for task in tasks:
                self._bind(task)
                if task.error is not None:
                    log.error("dataplane.not-restored", session_id=task.start.session_id, reason=task.error)
        return Refresh(
            tuple(attached),
            tuple(sorted(restarted_in)),
            tuple(sorted(restarted_out)),
            tuple(ground.missing),
            bool(kernel.lost),
        )

    def _restore_neighbours(self, kernel: _Open) -> None:
        """Set the neighbours of interfaces that were down again; those of lost sessions come with them."""
        flapped = kernel.ground.flapped
        if flapped:
            starts = [start for start in self._book.sessions() if start.interface in flapped]
            kernel.programmer.restore_neighbours(
                self._task(kernel, start) for start in starts if start.slot not in kernel.lost
            )

    def _as_it_was(self, task: Task) -> Task:
        """The same session on the interface of that name that there was before."""
        before = Port(task.port.name, int(self._where[task.slot]), task.port.layout)
        return Task(task.start, before, task.upstream, task.leaf)

    # Sessions

    def start(self, starts: Sequence[Start]) -> list[StartResult]:
        kernel = self._opened()
        results: list[StartResult] = []
        tasks: dict[int, Task] = {}
        for start in starts:
            fault = self._book.refusal(start) or kernel.ground.refusal(start.interface, start.slot)
            results.append(StartResult(start.slot, fault))
            if fault is not None:
                continue
            if self._book.holds(start):
                (changed,) = self.change([Change(start.slot, start.rates)])
                results[-1] = StartResult(start.slot, changed.error)
                continue
            self._book.put(start)
            tasks[len(results) - 1] = self._task(kernel, start)
        self._run(kernel.programmer.start, tasks.values())
        for at, task in tasks.items():
            results[at] = StartResult(task.slot, task.error, None if task.error else task.counters)
            if task.error is None:
                self._bind(task)
            else:
                self._forget(task)
        return results

    def stop(self, stops: Sequence[Stop]) -> list[StopResult]:
        kernel = self._opened()
        results: list[StopResult] = []
        tasks: dict[int, Task] = {}
        seen: set[int] = set()
        for stop in stops:
            there = self._book.get(stop.slot)
            fault = None
            if there is not None and there.session_id != stop.session_id:
                fault = f"slot {stop.slot} holds session {there.session_id}, not {stop.session_id}"
            results.append(StopResult(stop.slot, fault))
            if there is not None and fault is None and stop.slot not in seen:
                seen.add(stop.slot)
                tasks[len(results) - 1] = self._task(kernel, there)
        self._run(kernel.programmer.stop, tasks.values())
        for at, task in tasks.items():
            results[at] = StopResult(task.slot, task.error, task.counters)
            if task.error is None:
                self._forget(task)
        return results

    def change(self, changes: Sequence[Change]) -> list[ChangeResult]:
        kernel = self._opened()
        results: list[ChangeResult] = []
        tasks: dict[int, Task] = {}
        for change in changes:
            there = self._book.get(change.slot)
            fault = f"slot {change.slot} holds no session" if there is None else rates_refusal(change.rates)
            results.append(ChangeResult(change.slot, fault))
            if fault is None:
                changed = self._book.update(change.slot, change.rates)
                if change.slot not in kernel.lost:  # else it comes back with its new rates
                    tasks[len(results) - 1] = self._task(kernel, changed)
        self._run(kernel.programmer.change, tasks.values())
        for at, task in tasks.items():
            results[at] = ChangeResult(task.slot, task.error)
        return results

    def installed(self, first: int = 0, count: int | None = None) -> list[Installed]:
        return self._book.installed(first, count)

    @property
    def end(self) -> int:
        return self._book.end

    def _run(self, work: Callable[[list[Task]], None], tasks: Iterable[Task]) -> None:
        """Have tasks carried out. A connection that fails altogether fails all of them."""
        wanted = list(tasks)
        if not wanted:
            return
        try:
            work(wanted)
        except OSError as fault:
            log.exception("dataplane.netlink-failed")
            for task in wanted:
                task.fail(fault.errno or errno.EIO)

    def _bind(self, task: Task) -> None:
        """A session is on this interface now, and its gate is open."""
        self._where[task.slot] = task.port.index
        self._gates.open(task.slot, task.gate())

    def _forget(self, task: Task) -> None:
        self._book.drop(task.slot)
        self._gates.close(task.slot)
        self._where[task.slot] = 0
        if self._kernel is not None:
            self._kernel.lost.pop(task.slot, None)

    # Counters and slots

    def sweep(self) -> Sweep:
        kernel = self._opened()
        time_ns, count = time.time_ns(), self._book.end
        bindings, where = self._book.bindings[:count].copy(), self._where[:count].copy()
        values = np.zeros((count, len(COUNTERS)), np.uint64)
        seen = np.zeros((count, 2), np.bool_)
        upstream = kernel.ground.upstream
        sources = [] if upstream is None else [(upstream, 0, where != 0)]
        sources += [(each, 1, where == each.index) for each in kernel.ground.subscriber.values()]
        try:
            for source, side, wanted in sources if count else ():
                collect(
                    kernel.sweeping,
                    source,
                    has_leaves=kernel.ground.leaf is not None,
                    wanted=wanted,
                    values=values[:, side::2],
                    seen=seen[:, side],
                )
        except OSError as fault:
            raise _failure(fault) from fault
        valid = seen.all(axis=1)
        values[~valid] = 0
        return Sweep(values, valid, bindings, time_ns)

    def read(self, slot: int) -> RawCounters | None:
        kernel = self._opened()
        tasks = self._tasks_of(kernel, [slot])
        try:
            kernel.programmer.read(tasks)
        except OSError as fault:
            raise _failure(fault) from fault
        return tasks[0].counters if tasks else None

    def grow(self, limit: int = 32) -> bool:
        kernel = self._opened()
        try:
            return kernel.ground.grow(kernel.growing, self._book.end, limit)
        except OSError as fault:
            raise _failure(fault) from fault

    def _opened(self) -> _Open:
        if self._kernel is None:
            raise DataPlaneError("the data plane is not open")
        return self._kernel

    @staticmethod
    def _task(kernel: _Open, start: Start) -> Task:
        ground = kernel.ground
        return Task(start, ground.subscriber[start.interface], ground.upstream, ground.leaf)

    def _tasks_of(self, kernel: _Open, slots: Iterable[int]) -> list[Task]:
        """The sessions of these slots, as they ought to be."""
        starts = map(self._book.get, slots)
        return [self._task(kernel, start) for start in starts if start is not None]


def _made(each: Port, table: ClassTable, end: int) -> Any:
    """Per slot below `end`, whether it had a class on this interface when that was set up."""
    made = np.zeros(end, np.bool_)
    slots = each.layout.slots(table.classes)
    made[slots[(slots >= 0) & (slots < end)]] = True
    return made


def _failure(fault: Exception) -> DataPlaneError:
    """What a fault of the kernel interface means to a person."""
    if isinstance(fault, DataPlaneError):
        return fault
    if isinstance(fault, OSError) and fault.errno == errno.EPERM:
        return DataPlaneError("the data plane needs the capability NET_ADMIN in its network namespace")
    return DataPlaneError(f"the kernel refused: {fault}")
