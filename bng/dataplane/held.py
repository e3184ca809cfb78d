"""The sessions that a data plane of the kernel holds, and where each of them is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from bng.dataplane.audit import Gates
from bng.dataplane.base import MAX_SLOTS, Start
from bng.dataplane.book import Book
from bng.dataplane.ground import Ground
from bng.dataplane.programming import Task


class Lost(NamedTuple):
    """What a session lacks that is to be brought back.

    Attributes:
        may_be_open: whether its gate may be open, as it was.
        counts_in_anew, counts_out_anew: whether its class for upload or download is gone.
    """

    may_be_open: bool = False
    counts_in_anew: bool = False
    counts_out_anew: bool = False


class Held:
    """Attributes:
    book: the sessions.
    gates: the elements that ought to be there for them.
    where: per slot, index of the session's subscriber interface; 0 when there is no session.
    lost: slots of sessions that are to be brought back.
    """

    def __init__(self, ground: Ground) -> None:
        self.book = Book()
        self.gates = Gates()
        self.where = np.zeros(MAX_SLOTS, np.int64)
        self.lost: dict[int, Lost] = {}
        self._ground = ground

    def task(self, start: Start) -> Task:
        """A session as it ought to be."""
        ground = self._ground
        return Task(start, ground.subscriber[start.interface], ground.upstream, ground.leaf)

    def tasks(self, slots: Iterable[int]) -> list[Task]:
        """Those of these slots that there are."""
        starts = map(self.book.get, slots)
        return [self.task(start) for start in starts if start is not None]

    def bind(self, task: Task) -> None:
        """A session is on this interface now, and its gate is open."""
        self.where[task.slot] = task.port.index
        self.gates.open(task.slot, task.gate())

    def forget(self, task: Task) -> None:
        """A session has ended."""
        self.book.drop(task.slot)
        self.gates.close(task.slot)
        self.where[task.slot] = 0
        self.lost.pop(task.slot, None)
