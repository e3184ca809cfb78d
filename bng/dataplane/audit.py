"""The gates that are open, compared with those that ought to be."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from bng.dataplane import elements
from bng.dataplane.elements import MAP_DOWN
from bng.dataplane.natmap import map_of
from bng.dataplane.netlink import Connection
from bng.dataplane.programming import Programmer, Task

log = structlog.get_logger(__name__)


def audit(netfilter: Connection, programmer: Programmer, tasks: Sequence[Task]) -> int:
    """Repair the gates.

    Args:
        tasks: all sessions that ought to forward.

    Returns:
        Sessions whose gate had been closed, and elements that belonged to no session.
    """
    wanted = elements.keys_of(task.gate() for task in tasks)
    if elements.read_keys(netfilter) == wanted:
        return 0
    # A dump may leave elements out while the kernel moves them about: what two of them lack is missing.
    once, twice = elements.read_keys(netfilter), elements.read_keys(netfilter)
    surplus = {name: once[name] - wanted[name] for name in wanted}
    missing = {name: wanted[name] - once[name] - twice[name] for name in wanted}
    for name, keys in surplus.items():
        if keys:
            log.warning("dataplane.strangers-removed", map=name.rstrip(b"\0").decode(), elements=len(keys))
            netfilter.transaction(elements.remove_keys(name, keys))
    lost = [
        task
        for task in tasks
        if task.gate().upload_key() in missing[task.gate().upload_map]
        or task.start.ip.packed in missing[MAP_DOWN]
        or (task.start.nat is not None and task.start.ip.packed in missing[map_of(task.start.nat)])
    ]
    if lost:
        log.warning("dataplane.gates-restored", sessions=[task.start.session_id for task in lost[:20]])
        programmer.close_gates(lost)
        programmer.restore(lost)
    return len(lost) + sum(len(keys) for keys in surplus.values())
