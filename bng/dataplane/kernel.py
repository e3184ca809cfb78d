"""The data plane in the Linux kernel: nftables maps are the gate, HTB classes shape and count."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import structlog

from bng.dataplane import elements, nft, poolroute, port, sysctl, tc
from bng.dataplane.audit import audit
from bng.dataplane.base import (
    COUNTERS,
    MAX_SLOTS,
    Capabilities,
    Change,
    ChangeResult,
    DataPlaneConfig,
    DataPlaneError,
    Installed,
    Rates,
    Refresh,
    Start,
    StartResult,
    Stop,
    StopResult,
    Sweep,
)
from bng.dataplane.book import Book, rates_refusal
from bng.dataplane.classstats import ClassTable, parse_classes, parse_leaves
from bng.dataplane.conntrack import FlowCutter
from bng.dataplane.ground import Ground
from bng.dataplane.netlink import NETFILTER, ROUTE, Connection
from bng.dataplane.port import Port
from bng.dataplane.programming import Programmer, Task

log = structlog.get_logger(__name__)

_AUDIT_SECONDS = 15.0


class _Open:
    """What exists between `open` and `close`: connections, and what stands on them."""

    def __init__(self, config: DataPlaneConfig, leaf: tc.Leaf | None) -> None:
        self.route, self.sweeping, self.growing = (Connection(ROUTE) for _ in range(3))
        self.netfilter = Connection(NETFILTER)
        self.ground = Ground(self.route, config, leaf)
        self.programmer = Programmer(self.route, self.netfilter)
        self.flows = FlowCutter()
        self.next_audit = 0.0

    def apply_ruleset(self) -> None:
        """As the configuration wants it. Raises DataPlaneError."""
        nat, guard = self.ground.config.nat, self.ground.config.guard
        try:
            nft.run(nft.ruleset(nat, guard))
        except DataPlaneError as fault:
            if nat is None or not nat.flow_limit:
                raise
            nft.run(nft.ruleset(replace(nat, flow_limit=0), guard))
            self.ground.warnings.append(f"flows of subscribers are not limited: {fault}")
        try:
            nft.run(nft.arp_ruleset())
        except DataPlaneError as fault:
            self.ground.warnings.append(f"ARP of subscribers is not limited: {fault}")

    def attach(self) -> dict[str, ClassTable]:
        """`Ground.attach`, and what interfaces need that were made anew."""
        tables = self.ground.attach()
        for name in tables:
            if name in self.ground.config.subscriber:
                sysctl.prepare_subscribers(name, self.ground.warnings)
            else:
                self.hold_pool()
        return tables

    def hold_pool(self) -> None:
        """See `poolroute`."""
        nat, upstream = self.ground.config.nat, self.ground.upstream
        if upstream is not None:
            poolroute.hold(self.route, upstream.index, nat.pool if nat is not None else ())

    def close(self) -> None:
        self.flows.close()
        for connection in (self.route, self.sweeping, self.growing, self.netfilter):
            connection.close()


class KernelDataPlane:
    """`DataPlane` for the network namespace that the process is in when it calls `open`.

    Args:
        leaf: queue of each class; by default the best that the kernel has.
    """

    def __init__(self, leaf: tc.Leaf | None = None) -> None:
        self._leaf = leaf
        self._kernel: _Open | None = None
        self._book = Book()
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
                self._kernel = _Open(config, self._leaf)
            kernel = self._kernel
            self._leave(kernel, config)
            kernel.apply_ruleset()
            tables = kernel.attach()
            kernel.hold_pool()
            if is_first:
                self._adopt(kernel, tables)
            return self._rebuilt(kernel, {} if is_first else tables, attached=tables)
        except (OSError, DataPlaneError) as fault:
            if is_first:
                self.close()
            raise _failure(fault) from fault

    def refresh(self) -> Refresh:
        kernel = self._opened()
        try:
            if not elements.exists(kernel.netfilter):
                log.warning("dataplane.ruleset-gone")
                kernel.apply_ruleset()
                kernel.programmer.restore(self._tasks(kernel, self._book.sessions()))
            tables = kernel.attach()
            result = self._rebuilt(kernel, tables, attached=tables)
            if time.monotonic() < kernel.next_audit:
                return result
            kernel.next_audit = time.monotonic() + _AUDIT_SECONDS
            kernel.hold_pool()
            tasks = self._tasks(kernel, self._book.sessions())
            return replace(result, repaired=audit(kernel.netfilter, kernel.programmer, tasks))
        except OSError as fault:
            raise _failure(fault) from fault

    def close(self, remove: bool = False) -> None:
        kernel, self._kernel = self._kernel, None
        if kernel is None:
            return
        try:
            if remove:
                kernel.programmer.forget_neighbours(self._tasks(kernel, self._book.sessions()))
                for each in kernel.ground.ports():
                    port.detach(kernel.route, each)
                nft.remove_tables()
                poolroute.hold(kernel.route, 0, ())
        except OSError as fault:
            raise _failure(fault) from fault
        finally:
            kernel.close()
            self._book = Book()
            self._where[:] = 0

    def _leave(self, kernel: _Open, config: DataPlaneConfig) -> None:
        """Apply a configuration; the sessions of interfaces that it no longer has end."""
        gone = [start for start in self._book.sessions() if start.interface not in config.subscriber]
        tasks = self._tasks(kernel, gone)
        if tasks:
            log.warning("dataplane.sessions-without-interface", sessions=len(tasks))
        kernel.programmer.close_gates(tasks)
        for task in tasks:
            self._forget(task)
        _cut(kernel, tasks)
        for each in kernel.ground.apply(config):
            log.info("dataplane.detached", interface=each.name)

    def _adopt(self, kernel: _Open, tables: dict[str, ClassTable]) -> None:
        """Take over what the maps hold; what makes no sense now is removed from them."""
        ports = {each.index: each for each in kernel.ground.subscriber.values()}
        shapes = {name: port.shapes(table) for name, table in tables.items()}
        upload = shapes.get(kernel.ground.config.upstream, {})
        download = elements.read_download(kernel.netfilter)
        bindings = elements.read_translations(kernel.netfilter)
        stale: list[elements.Gate] = []
        for gate in elements.read_gates(kernel.netfilter):
            where, slot = ports.get(gate.index), tc.slot_of(gate.class_id)
            if where is not None and download.get(gate.ip) == gate.class_id and slot in upload:
                rates = _rates(shapes[where.name].get(slot, tc.PARKED), upload[slot])
                nat = bindings.get(gate.ip)
                start = Start(slot, gate.session_id, where.name, gate.mac, gate.ip, rates, nat)
                if self._book.refusal(start) is None:
                    self._book.put(start)
                    self._where[slot] = where.index
                    del download[gate.ip]
                    bindings.pop(gate.ip, None)
                    continue
            stale.append(gate)
        kernel.netfilter.transaction(
            elements.remove_upload(stale)
            + elements.remove_download(list(download))
            + elements.remove_bindings(bindings)
        )
        if kernel.ground.config.nat is not None:
            # those that ended while nobody looked
            known = [start.ip for start in self._book.sessions()]
            kernel.flows.cut_strangers(kernel.ground.config.nat.prefixes, known)
        log.info("dataplane.adopted", sessions=len(self._book), removed=len(stale), halves=len(download))

    def _rebuilt(self, kernel: _Open, tables: dict[str, ClassTable], attached: Iterable[str]) -> Refresh:
        """Bring sessions back to interfaces that were made anew, and neighbours to those that were down."""
        ground = kernel.ground
        if not tables and not ground.flapped:
            return Refresh(tuple(attached), missing=tuple(ground.missing))
        sessions = list(self._book.sessions())
        moved = self._tasks(kernel, (start for start in sessions if start.interface in tables))
        others = self._tasks(kernel, (start for start in sessions if start.interface not in tables))
        new_upstream = ground.config.upstream in tables
        restarted_out = [task.slot for task in moved if not task.port.made[task.slot]]
        restarted_in = [
            task.slot
            for task in moved + others
            if new_upstream and task.upstream is not None and not task.upstream.made[task.slot]
        ]
        kernel.programmer.close_gates([self._as_it_was(task) for task in moved])
        kernel.programmer.restore(moved)
        for task in moved:
            self._where[task.slot] = task.port.index
        if new_upstream:
            kernel.programmer.change(others)
        kernel.programmer.restore_neighbours(task for task in others if task.port.name in ground.flapped)
        for task in moved + others:
            if task.error is not None:
                log.error("dataplane.not-restored", session_id=task.start.session_id, reason=task.error)
        return Refresh(tuple(attached), tuple(restarted_in), tuple(restarted_out), tuple(ground.missing))

    def _as_it_was(self, task: Task) -> Task:
        """The same session on the interface of that name that there was before."""
        before = Port(task.port.name, int(self._where[task.slot]))
        return Task(task.start, before, task.upstream, task.leaf)

    # Sessions

    def start(self, starts: Sequence[Start]) -> list[StartResult]:
        kernel = self._opened()
        results: list[StartResult] = []
        tasks: dict[int, Task] = {}
        for start in starts:
            fault = self._book.refusal(start) or kernel.ground.refusal(start.interface)
            results.append(StartResult(start.slot, fault))
            if fault is not None:
                continue
            if self._book.holds(start):
                (changed,) = self.change([Change(start.slot, start.rates)])
                results[-1] = StartResult(start.slot, changed.error or self._rebind(kernel, start))
                continue
            self._book.put(start)
            (tasks[len(results) - 1],) = self._tasks(kernel, [start])
        kernel.flows.settle((task.start.ip, task.start.nat) for task in tasks.values())
        self._run(kernel.programmer.start, tasks.values())
        for at, task in tasks.items():
            results[at] = StartResult(task.slot, task.error, None if task.error else task.counters)
            if task.error is None:
                self._where[task.slot] = task.port.index
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
                (tasks[len(results) - 1],) = self._tasks(kernel, [there])
        self._run(kernel.programmer.stop, tasks.values())
        for at, task in tasks.items():
            results[at] = StopResult(task.slot, task.error, task.counters)
            if task.error is None:
                self._forget(task)
        _cut(kernel, [task for task in tasks.values() if task.error is None])
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
                (tasks[len(results) - 1],) = self._tasks(
                    kernel, [self._book.update(change.slot, change.rates)]
                )
        self._run(kernel.programmer.change, tasks.values())
        for at, task in tasks.items():
            results[at] = ChangeResult(task.slot, task.error)
        return results

    def installed(self) -> list[Installed]:
        return self._book.installed()

    def _rebind(self, kernel: _Open, start: Start) -> str | None:
        """Give a session that forwards another public address and ports. Why it could not be, or None."""
        there = self._book.get(start.slot)
        assert there is not None
        if there.nat == start.nat:
            return None
        kernel.flows.settle([(start.ip, start.nat)])
        old, new = self._tasks(kernel, [there, self._book.rebind(start.slot, start.nat)])
        self._run(lambda _: kernel.programmer.rebind(old, new), [new])
        _cut(kernel, [old])
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

    def _forget(self, task: Task) -> None:
        self._book.drop(task.slot)
        self._where[task.slot] = 0

    # Counters and slots

    def sweep(self) -> Sweep:
        kernel = self._opened()
        time_ns, count = time.time_ns(), self._book.end
        bindings, where = self._book.bindings[:count].copy(), self._where[:count].copy()
        values = np.zeros((count, len(COUNTERS)), np.uint64)
        seen = np.zeros((count, 2), np.bool_)
        upstream = kernel.ground.upstream
        try:
            if upstream is not None and count:
                _collect(kernel, upstream, where != 0, values[:, 0::2], seen[:, 0])
            for each in list(kernel.ground.subscriber.values()) if count else ():
                _collect(kernel, each, where == each.index, values[:, 1::2], seen[:, 1])
        except OSError as fault:
            raise _failure(fault) from fault
        valid = seen.all(axis=1)
        values[~valid] = 0
        return Sweep(values, valid, bindings, time_ns)

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
    def _tasks(kernel: _Open, starts: Iterable[Start]) -> list[Task]:
        ground = kernel.ground
        return [
            Task(start, ground.subscriber[start.interface], ground.upstream, ground.leaf) for start in starts
        ]


def _collect(kernel: _Open, source: Port, wanted: Any, values: Any, seen: Any) -> None:
    """Read the classes of one interface into the rows of the slots that are wanted."""
    try:
        table = parse_classes(kernel.sweeping.dump(tc.GETCLASS, tc.all_classes(source.index)))
    except OSError as fault:
        if fault.errno == errno.ENODEV:
            return
        raise
    drops = table.drops
    if kernel.ground.leaf is not None:
        drops = _leaf_drops(kernel, source, table)
    slots = table.slots.astype(np.intp)
    chosen = slots < len(wanted)
    chosen[chosen] &= wanted[slots[chosen]]
    slots = slots[chosen]
    values[slots] = np.column_stack((table.ip_octets(), table.packets, drops))[chosen]
    seen[slots] = True


def _leaf_drops(kernel: _Open, source: Port, table: ClassTable) -> Any:
    """Drops of the queues that classes have of their own; of the others, those of the class."""
    leaves = parse_leaves(kernel.sweeping.dump(tc.GETQDISC, tc.all_classes(source.index)))
    here = leaves.index == np.uint64(source.index)
    known = np.zeros(MAX_SLOTS, np.uint64)
    known[table.slots] = table.drops
    known[leaves.slots[here]] = leaves.drops[here]
    return known[table.slots]


def _cut(kernel: _Open, tasks: Iterable[Task]) -> None:
    """Cut the flows of sessions whose gate is closed. Without translation none are tracked."""
    if kernel.ground.config.nat is not None:
        kernel.flows.cut({task.start.ip: task.start.nat for task in tasks})


def _rates(download: tc.Shape, upload: tc.Shape) -> Rates:
    return Rates(download.bps, upload.bps, download.burst, upload.burst, download.priority)


def _failure(fault: Exception) -> DataPlaneError:
    """What a fault of the kernel interface means to a person."""
    if isinstance(fault, DataPlaneError):
        return fault
    if isinstance(fault, OSError) and fault.errno == errno.EPERM:
        return DataPlaneError("the data plane needs the capability NET_ADMIN in its network namespace")
    return DataPlaneError(f"the kernel refused: {fault}")
