"""Bringing sessions back whose ruleset, interface or classes are gone: a few at a time."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import structlog

from bng.dataplane.classstats import ClassTable
from bng.dataplane.ground import Ground
from bng.dataplane.held import Held, Lost
from bng.dataplane.port import Port
from bng.dataplane.programming import Programmer, Task

log = structlog.get_logger(__name__)

_AT_A_TIME = 0.002
"""Seconds of work after which the caller gets its turn."""
_FEW = 16
"""Sessions that are brought back in one batch: with classes to be made, some milliseconds."""


def note(held: Held, ground: Ground, tables: dict[str, ClassTable]) -> None:
    """Find the sessions that are lost after interfaces were set up: those whose interface was made anew, and
    those that lack a class.

    Args:
        tables: of these interfaces, the classes that there were.
    """
    end = held.book.end
    where = held.where[:end]
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
        held.lost[slot] = Lost(True, *no_class[slot].tolist())


def step(held: Held, ground: Ground, programmer: Programmer) -> tuple[list[int], list[int]]:
    """Bring back as many as can be in a few milliseconds.

    Returns:
        Slots of the sessions whose upload counts anew, and of those whose download does.
    """
    until = time.monotonic() + _AT_A_TIME
    counts_in: list[int] = []
    counts_out: list[int] = []
    while held.lost and time.monotonic() < until:
        some = dict(held.lost.popitem() for _ in range(min(_FEW, len(held.lost))))
        # one whose interface is missing is found again when that one is back
        tasks = [task for task in held.tasks(some) if ground.refusal(task.start.interface, task.slot) is None]
        counts_in += [task.slot for task in tasks if some[task.slot].counts_in_anew]
        counts_out += [task.slot for task in tasks if some[task.slot].counts_out_anew]
        maybe_open = [task for task in tasks if some[task.slot].may_be_open]
        programmer.close_gates([_as_it_was(held, task) for task in maybe_open])
        programmer.restore(tasks)
        for task in tasks:
            held.bind(task)
        tell(tasks)
    return sorted(counts_in), sorted(counts_out)


def tell(tasks: list[Task]) -> None:
    """Log those that could not be brought back; the audit will try again."""
    for task in tasks:
        if task.error is not None:
            log.error("dataplane.not-restored", session_id=task.start.session_id, reason=task.error)


def _as_it_was(held: Held, task: Task) -> Task:
    """The same session on the interface of that name that there was before."""
    before = Port(task.port.name, int(held.where[task.slot]), task.port.layout)
    return Task(task.start, before, task.upstream, task.leaf)


def _made(each: Port, table: ClassTable, end: int) -> Any:
    """Per slot below `end`, whether it had a class on this interface when that was set up."""
    made = np.zeros(end, np.bool_)
    slots = each.layout.slots(table.classes)
    made[slots[(slots >= 0) & (slots < end)]] = True
    return made
