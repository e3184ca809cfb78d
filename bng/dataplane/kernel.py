"""The data plane in the Linux kernel: nftables maps are the gate, HTB classes shape and count."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import structlog

from bng.dataplane import adoption, audit, elements, nft, poolroute, port, restoration, tc
from bng.dataplane.base import (
    COUNTERS,
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
from bng.dataplane.book import rates_refusal
from bng.dataplane.classstats import ClassTable
from bng.dataplane.held import Lost
from bng.dataplane.opened import Opened
from bng.dataplane.programming import Task
from bng.dataplane.shards import Layout
from bng.dataplane.sweeping import collect

log = structlog.get_logger(__name__)


class KernelDataPlane:
    """`DataPlane` for the network namespace that the process is in when it calls `open`.

    Args:
        leaf: queue of each class; by default the best that the kernel has.
        layout: where the classes of slots are; by default the best that the kernel can.
    """

    def __init__(self, leaf: tc.Leaf | None = None, layout: Layout | None = None) -> None:
        self._leaf = leaf
        self._layout = layout
        self._kernel: Opened | None = None

    @property
    def capabilities(self) -> Capabilities:
        ground = self._opened().ground
        return Capabilities("nft", ground.leaf.kind if ground.leaf else "pfifo", tuple(ground.warnings))

    @property
    def bindings(self) -> Any:
        return self._opened().held.book.bindings

    # Interfaces and ruleset

    def open(self, config: DataPlaneConfig) -> Refresh:
        if config.upstream in config.subscriber:
            raise DataPlaneError(f"interface {config.upstream} cannot be both upstream and subscriber")
        is_first = self._kernel is None
        try:
            if self._kernel is None:
                self._kernel = Opened(config, self._leaf, self._layout)
            kernel = self._kernel
            self._leave(kernel, config)
            kernel.apply_ruleset()
            kernel.cut_untranslated()
            tables = kernel.attach()
            kernel.hold_pool()
            if is_first:
                moved = tuple(self._adopt(kernel, tables))
                return Refresh(
                    tuple(tables), moved, moved, tuple(kernel.ground.missing), bool(kernel.held.lost)
                )
            self._follow(kernel, tables)
            return self._restore(kernel, tables)
        except (OSError, DataPlaneError) as fault:
            if is_first:
                self.close()
            raise _failure(fault) from fault

    def refresh(self) -> Refresh:
        kernel = self._opened()
        try:
            if kernel.held.lost:
                return self._restore(kernel, ())
            if not elements.exists(kernel.netfilter):
                log.warning("dataplane.ruleset-gone")
                kernel.apply_ruleset()
                kernel.cut_untranslated()
                kernel.held.lost.update((start.slot, Lost()) for start in kernel.held.book.sessions())
            if kernel.ground.marking.is_gone(kernel.netfilter) and kernel.ground.layout is not None:
                kernel.ground.marking.put(kernel.ground.layout, again=True)
            tables = kernel.attach()
            kernel.look_after_pool()
            self._follow(kernel, tables)
            return self._restore(kernel, tables)
        except (OSError, DataPlaneError) as fault:
            raise _failure(fault) from fault

    def _follow(self, kernel: Opened, tables: dict[str, ClassTable]) -> None:
        """See what the sessions lack after interfaces were looked at."""
        if tables:
            restoration.note(kernel.held, kernel.ground, tables)
        self._restore_neighbours(kernel)

    def audit(self) -> Suspicions:
        kernel = self._opened()
        try:
            indexes = {each.index for each in list(kernel.ground.subscriber.values())}
            lacking = audit.missing_neighbours(kernel.looking, kernel.held.gates, indexes)
            return replace(audit.look(kernel.auditing, kernel.held.gates), neighbours=lacking)
        except OSError as fault:
            raise _failure(fault) from fault

    def repair(self, suspicions: Suspicions) -> int:
        kernel = self._opened()

        def tasks_of(slots: Iterable[int]) -> list[Task]:
            return kernel.held.tasks(slot for slot in slots if slot not in kernel.held.lost)

        try:
            restored = audit.restore_neighbours(kernel.programmer, tasks_of(suspicions.neighbours))
            return restored + audit.settle(
                kernel.netfilter, kernel.programmer, kernel.held.gates, suspicions, tasks_of
            )
        except OSError as fault:
            raise _failure(fault) from fault

    def close(self, remove: bool = False) -> None:
        kernel, self._kernel = self._kernel, None
        if kernel is None:
            return
        try:
            if remove:
                kernel.programmer.forget_neighbours(
                    kernel.held.task(start) for start in kernel.held.book.sessions()
                )
                port.detach(kernel.route, kernel.ground.ports())
                kernel.ground.marking.remove()
                nft.remove_tables()
                poolroute.hold(kernel.route, 0, ())
        except OSError as fault:
            raise _failure(fault) from fault
        finally:
            kernel.close()

    def _leave(self, kernel: Opened, config: DataPlaneConfig) -> None:
        """Apply a configuration; the sessions of interfaces that it no longer has end."""
        gone = [start for start in kernel.held.book.sessions() if start.interface not in config.subscriber]
        tasks = [kernel.held.task(start) for start in gone]
        if tasks:
            log.warning("dataplane.sessions-without-interface", sessions=len(tasks))
        kernel.programmer.close_gates(tasks)
        for task in tasks:
            kernel.held.forget(task)
        kernel.cut(tasks)
        for each in kernel.ground.apply(config):
            log.info("dataplane.detached", interface=each.name)

    def _adopt(self, kernel: Opened, tables: dict[str, ClassTable]) -> list[int]:
        """Take over what the maps hold; what makes no sense now is removed from them. Slots of the sessions
        whose classes were made anew, because they are elsewhere in this version."""
        found = adoption.read(kernel.netfilter, kernel.ground, kernel.held.book, tables)
        kernel.netfilter.transaction(found.removal())
        kernel.cut_strangers()
        tasks = {task.slot: task for task in kernel.held.tasks(found.slots)}
        moving = [tasks[slot] for slot in found.moving]
        kernel.programmer.move(moving, list(found.moving.values()))
        for task in tasks.values():
            kernel.held.bind(task)
        kernel.held.lost.update((task.slot, Lost(True)) for task in moving if task.error is not None)
        restoration.tell(moving)
        log.info(
            "dataplane.adopted",
            sessions=len(kernel.held.book),
            removed=len(found.stale),
            halves=len(found.halves),
            moved=len(moving),
        )
        return sorted(found.moving)

    @staticmethod
    def _restore(kernel: Opened, attached: Iterable[str]) -> Refresh:
        """Bring back some of the lost sessions."""
        counts_in, counts_out = restoration.step(kernel.held, kernel.ground, kernel.programmer)
        return Refresh(
            tuple(attached),
            tuple(counts_in),
            tuple(counts_out),
            tuple(kernel.ground.missing),
            bool(kernel.held.lost),
        )

    @staticmethod
    def _restore_neighbours(kernel: Opened) -> None:
        """Set the neighbours of interfaces that were down again; those of lost sessions come with them."""
        held, flapped = kernel.held, kernel.ground.flapped
        if flapped:
            starts = [start for start in held.book.sessions() if start.interface in flapped]
            kernel.programmer.restore_neighbours(
                held.task(start) for start in starts if start.slot not in held.lost
            )

    # Sessions

    def start(self, starts: Sequence[Start]) -> list[StartResult]:
        kernel = self._opened()
        results: list[StartResult] = []
        tasks: dict[int, Task] = {}
        for start in starts:
            fault = kernel.held.book.refusal(start) or kernel.ground.refusal(start.interface, start.slot)
            results.append(StartResult(start.slot, fault))
            if fault is not None:
                continue
            if kernel.held.book.holds(start):
                (changed,) = self.change([Change(start.slot, start.rates)])
                results[-1] = StartResult(start.slot, changed.error or self._rebind(kernel, start))
                continue
            kernel.held.book.put(start)
            tasks[len(results) - 1] = kernel.held.task(start)
        kernel.flows.settle((task.start.ip, task.start.nat) for task in tasks.values())
        self._run(kernel.programmer.start, tasks.values())
        for at, task in tasks.items():
            results[at] = StartResult(task.slot, task.error, None if task.error else task.counters)
            if task.error is None:
                kernel.held.bind(task)
            else:
                kernel.held.forget(task)
        return results

    def stop(self, stops: Sequence[Stop]) -> list[StopResult]:
        kernel = self._opened()
        results: list[StopResult] = []
        tasks: dict[int, Task] = {}
        seen: set[int] = set()
        for stop in stops:
            there = kernel.held.book.get(stop.slot)
            fault = None
            if there is not None and there.session_id != stop.session_id:
                fault = f"slot {stop.slot} holds session {there.session_id}, not {stop.session_id}"
            results.append(StopResult(stop.slot, fault))
            if there is not None and fault is None and stop.slot not in seen:
                seen.add(stop.slot)
                tasks[len(results) - 1] = kernel.held.task(there)
        self._run(kernel.programmer.stop, tasks.values())
        for at, task in tasks.items():
            results[at] = StopResult(task.slot, task.error, task.counters)
            if task.error is None:
                kernel.held.forget(task)
        kernel.cut(task for task in tasks.values() if task.error is None)
        return results

    def change(self, changes: Sequence[Change]) -> list[ChangeResult]:
        kernel = self._opened()
        results: list[ChangeResult] = []
        tasks: dict[int, Task] = {}
        for change in changes:
            there = kernel.held.book.get(change.slot)
            fault = f"slot {change.slot} holds no session" if there is None else rates_refusal(change.rates)
            results.append(ChangeResult(change.slot, fault))
            if fault is None:
                changed = kernel.held.book.update(change.slot, change.rates)
                if change.slot not in kernel.held.lost:  # else it comes back with its new rates
                    tasks[len(results) - 1] = kernel.held.task(changed)
        self._run(kernel.programmer.change, tasks.values())
        for at, task in tasks.items():
            results[at] = ChangeResult(task.slot, task.error)
        return results

    def installed(self, first: int = 0, count: int | None = None) -> list[Installed]:
        return self._opened().held.book.installed(first, count)

    @property
    def end(self) -> int:
        return self._opened().held.book.end

    def _rebind(self, kernel: Opened, start: Start) -> str | None:
        """Give a session that forwards another public address and ports. Why it could not be, or None."""
        held = kernel.held
        there = held.book.get(start.slot)
        assert there is not None
        if there.nat == start.nat:
            return None
        kernel.flows.settle([(start.ip, start.nat)])
        old, new = held.task(there), held.task(held.book.rebind(start.slot, start.nat))
        if start.slot in held.lost:  # it comes back with what it has now
            self._run(lambda _: kernel.programmer.unbind(old), [new])
        else:
            self._run(lambda _: kernel.programmer.rebind(old, new), [new])
            held.bind(new)
        kernel.cut([old])
        return new.error

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

    # Counters and slots

    def sweep(self) -> Sweep:
        kernel = self._opened()
        time_ns, count = time.time_ns(), kernel.held.book.end
        bindings, where = kernel.held.book.bindings[:count].copy(), kernel.held.where[:count].copy()
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
        tasks = kernel.held.tasks([slot])
        try:
            kernel.programmer.read(tasks)
        except OSError as fault:
            raise _failure(fault) from fault
        return tasks[0].counters if tasks else None

    def grow(self, limit: int = 32) -> bool:
        kernel = self._opened()
        try:
            return kernel.ground.grow(kernel.growing, kernel.held.book.end, limit)
        except OSError as fault:
            raise _failure(fault) from fault

    def _opened(self) -> Opened:
        if self._kernel is None:
            raise DataPlaneError("the data plane is not open")
        return self._kernel


def _failure(fault: Exception) -> DataPlaneError:
    """What a fault of the kernel interface means to a person."""
    if isinstance(fault, DataPlaneError):
        return fault
    if isinstance(fault, OSError) and fault.errno == errno.EPERM:
        return DataPlaneError("the data plane needs the capability NET_ADMIN in its network namespace")
    return DataPlaneError(f"the kernel refused: {fault}")
