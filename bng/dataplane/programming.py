"""Sessions into the kernel and out of it, many at a time."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from bng.dataplane import elements, link, port, reading, shards, tc
from bng.dataplane.base import DataPlaneError, RawCounters, Start
from bng.dataplane.netlink import Connection, Message
from bng.dataplane.nft import MAP_SIZE
from bng.dataplane.port import Port
from bng.dataplane.shards import Marking

_TRIES = 4
_AT_ONCE = 512
"""Sessions in one transaction: it must fit into the send buffer of an unprivileged user."""


Build: TypeAlias = Callable[[list[elements.Gate]], list[Message]]
"""Messages that do something to some gates."""


@dataclass(slots=True)
class Task:
    """One session that is to be programmed, and how that went.

    Attributes:
        port: its subscriber interface.
        upstream: None when there is none at this time.
        leaf: queue of its classes.
        error: why it failed, or None.
        counters: raw counters: before the first packet at a start, after the last one at a stop.
    """

    start: Start
    port: Port
    upstream: Port | None
    leaf: tc.Leaf | None
    error: str | None = None
    counters: RawCounters | None = None

    @property
    def slot(self) -> int:
        return self.start.slot

    @property
    def class_id(self) -> int:
        """On both interfaces."""
        return self.port.layout.class_id(self.start.slot)

    def gate(self) -> elements.Gate:
        start = self.start
        return elements.Gate(start.session_id, self.port.index, start.mac, start.ip, self.class_id, start.nat)

    def both(self) -> list[Port]:
        """The interfaces on which it has a class."""
        return [self.port] if self.upstream is None else [self.upstream, self.port]

    def fail(self, code: int) -> None:
        """Note why it failed; the first reason stays."""
        self.error = self.error or _describe(code, self)

    def take(self, readings: reading.Readings) -> None:
        """Note the counters, if those of both directions were read."""
        if self.upstream is not None:
            self.counters = reading.raw(
                readings.get((self.upstream.index, self.class_id)),
                readings.get((self.port.index, self.class_id)),
            )


class Programmer:
    """Carries tasks out over two netlink connections."""

    def __init__(self, route: Connection, netfilter: Connection, marking: Marking) -> None:
        self._route = route
        self._netfilter = netfilter
        self._marking = marking

    def start(self, tasks: Sequence[Task]) -> None:
        """Shape, then open the gate; the counters in between are the baseline."""
        self._shape(tasks, _start_messages)
        self._open_gates([task for task in tasks if task.error is None])
        self.forget_neighbours(task for task in tasks if task.error is not None)

    def stop(self, tasks: Sequence[Task]) -> None:
        """Close the gates, throw away what still waits in the queues, and read what went through."""
        self.close_gates(tasks)
        closed = [task for task in tasks if task.error is None]
        data = self._route.request(_no_neighbours(closed) + _reading_messages(closed)).data
        readings = reading.readings(data)
        waiting = {key: found.waiting for key, found in readings.items() if found.waiting}
        if waiting:
            readings |= self._flush(closed, waiting)
        for task in closed:
            task.take(readings)

    def read(self, tasks: Sequence[Task]) -> None:
        """Read the counters."""
        readings = reading.readings(self._route.request(_reading_messages(tasks)).data)
        for task in tasks:
            task.take(readings)

    def change(self, tasks: Sequence[Task]) -> None:
        """Shape otherwise."""
        self._shape(tasks, _shape_messages)

    def restore(self, tasks: Sequence[Task]) -> None:
        """Bring back sessions whose gates are closed, be it that their classes exist or not."""
        self.start(tasks)

    def move(self, tasks: Sequence[Task], gates: Sequence[elements.Gate]) -> None:
        """Give sessions other classes than those that their gates name; no packet finds its gate closed."""
        self._shape(tasks, _start_messages)
        ready = [(task, gate) for task, gate in zip(tasks, gates, strict=True) if task.error is None]
        for at in range(0, len(ready), _AT_ONCE // 2):
            some = ready[at : at + _AT_ONCE // 2]
            messages = elements.remove([gate for _, gate in some])
            messages += elements.add([task.gate() for task, _ in some])
            for code in self._netfilter.transaction(messages).errors.values():
                for task, _ in some:
                    task.fail(code)

    def close_gates(self, tasks: Sequence[Task]) -> None:
        """Close gates; that one was not open is no fault."""
        self._transact(tasks, elements.remove, ignore=errno.ENOENT)

    def rebind(self, old: Task, new: Task) -> None:
        """Exchange a session's public address and ports; its flows of before are cut by who calls."""
        self.unbind(old)
        self._transact([new], elements.add_translations)

    def unbind(self, task: Task) -> None:
        """Take a session's public address and ports away; that it had none is no fault."""
        self._transact([task], elements.remove_translations, ignore=errno.ENOENT)

    def restore_neighbours(self, tasks: Iterable[Task]) -> None:
        """Set the permanent neighbours of bridged sessions again."""
        self._route.request([message for task in tasks for message in _neighbour_messages(task)])

    def forget_neighbours(self, tasks: Iterable[Task]) -> None:
        """Take the permanent neighbours of bridged sessions away, if they are there."""
        self._route.request(_no_neighbours(tasks))

    def _open_gates(self, tasks: Sequence[Task]) -> None:
        self._transact(tasks, elements.add)

    def _shape(self, tasks: Sequence[Task], messages: Callable[[Task], list[Message]]) -> None:
        self._make_shards(tasks)
        wanted = [task for task in tasks if task.error is None]
        readings = reading.readings(self._request(wanted, messages))
        for task in wanted:
            if task.error is None:
                task.take(readings)
                for each in task.both():
                    each.made[task.slot] = 1

    def _make_shards(self, tasks: Sequence[Task]) -> None:
        """See that there are HTBs for their classes; `grow` has made them before, as a rule."""
        for task in tasks:
            for each in task.both():
                if each.layout.shard_of(task.slot) not in each.shards:
                    try:
                        shards.make(self._route, each, self._marking, [task.slot])
                    except (OSError, DataPlaneError) as fault:
                        task.error = task.error or str(fault)

    def _request(self, tasks: Sequence[Task], messages: Callable[[Task], list[Message]]) -> bytearray:
        """Carry the messages of all tasks out; a fault is that of the task whose message it was."""
        requests: list[Message] = []
        owners: list[Task] = []
        for task in tasks:
            own = messages(task)
            requests += own
            owners += [task] * len(own)
        replies = self._route.request(requests)
        for number, code in replies.errors.items():
            if requests[number].kind == tc.GETQDISC:  # a class's own queue is invisible
                continue
            if requests[number].kind == tc.NEWQDISC and code == errno.ENOSPC:
                continue  # an interface can have 32,767 queues with a handle: further classes keep their own
            owners[number].fail(code)
        return replies.data

    def _flush(self, tasks: Sequence[Task], waiting: dict[tuple[int, int], int]) -> reading.Readings:
        """Empty the queues that are not; what was thrown away counts as dropped."""
        classes = {class_id for _, class_id in waiting}
        full = [task for task in tasks if task.class_id in classes]
        leaf = tasks[0].leaf
        before = reading.readings(self._route.request(_reading_messages(full)).data)
        self._route.request(
            [message for index, class_id in waiting for message in tc.flush_leaf(index, class_id, leaf)]
        )
        after = reading.readings(self._route.request(_reading_messages(full)).data)
        for key in waiting:
            if key in before and key in after:
                sent = after[key].packets - before[key].packets
                after[key].drops = before[key].drops + max(before[key].waiting - sent, 0)
        return after

    def _transact(self, tasks: Sequence[Task], messages: Build, ignore: int = 0) -> None:
        """Change the gates of some hundred sessions in each transaction."""
        for at in range(0, len(tasks), _AT_ONCE):
            some = tasks[at : at + _AT_ONCE]
            if self._netfilter.transaction(messages([task.gate() for task in some])).errors:
                self._transact_singly(some, messages, ignore)

    def _transact_singly(self, tasks: Sequence[Task], messages: Build, ignore: int) -> None:
        """The same with a message for each element, so that errors tell whose they are. What is at fault
        is left out of the next try: few tries, because the kernel takes long to give a transaction up."""
        wanted = [(task, message) for task in tasks for message in messages([task.gate()])]
        for _ in range(_TRIES):
            errors = self._netfilter.transaction([message for _, message in wanted]).errors
            if not errors:
                return
            for number, code in errors.items():
                at_fault = [wanted[number][0]] if number >= 0 else tasks
                for task in at_fault if code != ignore else ():
                    task.fail(code)
            wanted = [
                (task, message)
                for number, (task, message) in enumerate(wanted)
                if number not in errors and task.error is None
            ]
        for task, _ in wanted:
            task.fail(errno.EAGAIN)


def _shape_messages(task: Task, *, echo: bool = False) -> list[Message]:
    rates = task.start.rates
    found = port.class_messages(task.port, task.slot, port.download(rates), task.leaf, echo=echo)
    if task.upstream is not None:
        found += port.class_messages(task.upstream, task.slot, port.upload(rates), task.leaf, echo=echo)
    return found


def _start_messages(task: Task) -> list[Message]:
    found = _shape_messages(task, echo=True)
    if task.leaf is not None:
        found += [tc.read_leaf(each.index, task.class_id) for each in task.both()]
    return found + _neighbour_messages(task)


def _neighbour_messages(task: Task) -> list[Message]:
    mac = task.start.mac
    return [] if mac is None else [link.neighbour(task.port.index, task.start.ip, mac)]


def _no_neighbours(tasks: Iterable[Task]) -> list[Message]:
    bridged = (task for task in tasks if task.start.mac is not None)
    return [link.no_neighbour(task.port.index, task.start.ip) for task in bridged]


def _reading_messages(tasks: Iterable[Task]) -> list[Message]:
    """Ask for the counters of both classes of each task."""
    return [
        message
        for task in tasks
        for each in task.both()
        for message in reading.requests(each.index, task.class_id, task.leaf)
    ]


def _describe(code: int, task: Task) -> str:
    """What an errno means here."""
    if code == errno.ENFILE:
        return f"the kernel's session maps are full ({MAP_SIZE} elements)"
    if code == errno.EEXIST:
        return f"the kernel holds {task.start.ip} for another session"
    if code in (errno.ENODEV, errno.ENOENT, errno.ENETDOWN):
        return f"interface {task.port.name} is gone or down: {os.strerror(code)}"
    return f"the kernel refused session {task.start.session_id}: {os.strerror(code)}"
