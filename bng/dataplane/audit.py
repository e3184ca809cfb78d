"""The gates that are open, compared with those that ought to be: in two steps.

`look` reads the maps, in a thread beside the writer's loop: it takes its time, and gives way to the loop
after every few hundred elements. Sessions start and stop meanwhile, and a dump may leave elements out while
the kernel moves them about. So what it finds are suspicions; `settle`, on the loop, asks for these elements
one by one and puts right what is true.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence, Set

import structlog

from bng.dataplane import elements, link
from bng.dataplane.base import Suspicions
from bng.dataplane.elements import MAP_DOWN, MAP_UP, MAPS, Gate
from bng.dataplane.natmap import map_of
from bng.dataplane.netlink import Connection
from bng.dataplane.programming import Programmer, Task

log = structlog.get_logger(__name__)

_AT_ONCE = 1000
_GIVE_WAY = 0.0002
"""Seconds that the thread sleeps between two parts: the interpreter runs one thread at a time, and would let
this one go on for five milliseconds."""


class Gates:
    """The keys of all elements that ought to be there, by map, and the slot of each."""

    def __init__(self) -> None:
        self.keys: dict[bytes, dict[bytes, int]] = {name: {} for name in MAPS}
        self._of_slot: dict[int, tuple[bytes, bytes, bytes, bytes]] = {}

    def open(self, slot: int, gate: Gate) -> None:
        """A session forwards."""
        self.close(slot)
        translation = b"" if gate.nat is None else map_of(gate.nat)
        self._of_slot[slot] = gate.upload_map, gate.upload_key(), gate.ip.packed, translation
        for name, key in self.elements(slot):
            self.keys[name][key] = slot

    def close(self, slot: int) -> None:
        """It does no longer."""
        for name, key in self.elements(slot):
            del self.keys[name][key]
        self._of_slot.pop(slot, None)

    def bridged(self) -> list[tuple[int, bytes]]:
        """Slot and address of the sessions that have a permanent neighbour. From any thread."""
        return [
            (slot, address) for slot, (name, _, address, _) in list(self._of_slot.items()) if name == MAP_UP
        ]

    def elements(self, slot: int) -> list[tuple[bytes, bytes]]:
        """Map and key of the elements of a session; none when it does not forward."""
        known = self._of_slot.get(slot)
        if known is None:
            return []
        name, up, address, translation = known
        own = [(name, up), (MAP_DOWN, address)]
        return [*own, (translation, address)] if translation else own


def look(netfilter: Connection, gates: Gates) -> Suspicions:
    """What seems to be wrong. Raises OSError."""
    strangers: list[tuple[bytes, bytes]] = []
    slots: dict[int, None] = {}
    for name, wanted in gates.keys.items():
        seen: set[bytes] = set()
        for keys in elements.keys(netfilter, name):
            seen.update(keys)
            strangers += [(name, key) for key in keys if key not in wanted]
            time.sleep(_GIVE_WAY)
        ought = list(wanted.items())
        for at in range(0, len(ought), _AT_ONCE):
            slots.update((slot, None) for key, slot in ought[at : at + _AT_ONCE] if key not in seen)
            time.sleep(_GIVE_WAY)
    return Suspicions(tuple(strangers), tuple(slots))


def missing_neighbours(route: Connection, gates: Gates, interfaces: Set[int]) -> tuple[int, ...]:
    """Slots of bridged sessions without a permanent neighbour on one of these interfaces: the kernel drops
    all of an interface when its last address goes, if only for a moment. Raises OSError."""
    wanted = gates.bridged()
    there = {address for index, address in link.neighbours(route) if index in interfaces}
    return tuple(slot for slot, address in wanted if address not in there)


def restore_neighbours(programmer: Programmer, tasks: Sequence[Task]) -> int:
    """Set neighbours again; one that is there already is left as it is. Returns how many."""
    if tasks:
        sessions = [task.start.session_id for task in tasks[:20]]
        log.warning("dataplane.neighbours-restored", sessions=sessions, count=len(tasks))
        programmer.restore_neighbours(tasks)
    return len(tasks)


def settle(
    netfilter: Connection,
    programmer: Programmer,
    gates: Gates,
    suspicions: Suspicions,
    tasks_of: Callable[[Iterable[int]], list[Task]],
) -> int:
    """Repair what is truly wrong. Raises OSError.

    Args:
        tasks_of: tells how the sessions of these slots ought to be.

    Returns:
        Elements that belonged to no session, and sessions whose gate had been closed.
    """
    return _remove(netfilter, gates, suspicions.elements) + _restore(
        netfilter, programmer, gates, suspicions.slots, tasks_of
    )


def _remove(netfilter: Connection, gates: Gates, found: Sequence[tuple[bytes, bytes]]) -> int:
    unknown = [(name, key) for name, key in found if key not in gates.keys[name]]
    there = elements.holds(netfilter, unknown)
    strangers = [element for element, is_there in zip(unknown, there, strict=True) if is_there]
    for name in dict.fromkeys(name for name, _ in strangers):
        keys = [key for where, key in strangers if where == name]
        log.warning("dataplane.strangers-removed", map=name.rstrip(b"\0").decode(), elements=len(keys))
        netfilter.transaction(elements.remove_keys(name, keys))
    return len(strangers)


def _restore(
    netfilter: Connection,
    programmer: Programmer,
    gates: Gates,
    slots: Iterable[int],
    tasks_of: Callable[[Iterable[int]], list[Task]],
) -> int:
    wanted = [(slot, element) for slot in slots for element in gates.elements(slot)]
    there = elements.holds(netfilter, [element for _, element in wanted])
    lacking = dict.fromkeys(slot for (slot, _), is_there in zip(wanted, there, strict=True) if not is_there)
    lost = tasks_of(lacking)
    if lost:
        log.warning("dataplane.gates-restored", sessions=[task.start.session_id for task in lost[:20]])
        programmer.close_gates(lost)
        programmer.restore(lost)
    return len(lost)
