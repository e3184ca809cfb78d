"""The counters of all sessions out of the classes of an interface."""

from __future__ import annotations

import errno
from typing import Any

import numpy as np

from bng.dataplane import tc
from bng.dataplane.base import MAX_SLOTS
from bng.dataplane.classstats import parse_leaves
from bng.dataplane.netlink import Connection
from bng.dataplane.port import Port


def collect(
    connection: Connection, source: Port, *, has_leaves: bool, wanted: Any, values: Any, seen: Any
) -> None:
    """Read the classes of one interface into the rows of the slots that are wanted. Raises OSError.

    Args:
        has_leaves: whether classes have queues of their own, which know the drops.
        wanted: numpy bool per slot.
        values: rows per slot; columns are octets, packets and discards.
        seen: numpy bool per slot, set where a row was read.
    """
    try:
        leaf_drops = _leaf_drops(connection, source) if has_leaves else None
        for table in source.dump(connection):
            slots = source.layout.slots(table.classes)
            chosen = (slots >= 0) & (slots < len(wanted))
            chosen[chosen] &= wanted[slots[chosen]]
            slots, drops = slots[chosen], table.drops[chosen]
            if leaf_drops is not None:
                known, of_leaves = leaf_drops
                drops = np.where(known[slots], of_leaves[slots], drops)
            values[slots] = np.column_stack((table.ip_octets()[chosen], table.packets[chosen], drops))
            seen[slots] = True
    except OSError as fault:
        if fault.errno != errno.ENODEV:
            raise


def _leaf_drops(connection: Connection, source: Port) -> tuple[Any, Any]:
    """Per slot: whether its class has a queue of its own, and what that one dropped."""
    leaves = parse_leaves(connection.dump(tc.GETQDISC, tc.all_classes(source.index)))
    slots = source.layout.slots(leaves.classes)
    here = (leaves.index == np.uint64(source.index)) & (slots >= 0)
    known, drops = np.zeros(MAX_SLOTS, np.bool_), np.zeros(MAX_SLOTS, np.uint64)
    known[slots[here]] = True
    drops[slots[here]] = leaves.drops[here]
    return known, drops
