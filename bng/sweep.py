"""The sweep over the kernel's counters: from there into the matrix, and who fell idle or woke up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

import numpy as np
import structlog

from bng.dataplane.base import DataPlane, DataPlaneError, Refresh, Sweep
from bng.seam.clock import NS
from bng.seam.matrix import Matrix
from bng.session import counters
from bng.session.events import Event, SessionIdle, SessionTraffic

log = structlog.get_logger()

_PORTION = 2048
"""Slots that are taken over before the loop gets its turn."""


class Sweeper:
    """Counters of all sessions, one tick at a time.

    Args:
        post: told of sessions that fell idle, and of idle ones that carry traffic again.
        idle_after: seconds without an octet after which a session is idle; may be changed.
    """

    def __init__(
        self, dataplane: DataPlane, matrix: Matrix, post: Callable[[Event], None], idle_after: int = 60
    ) -> None:
        self.idle_after = idle_after
        self._dataplane = dataplane
        self._matrix = matrix
        self._post = post
        self._sessions: dict[int, str] = {}
        self._bound = np.zeros(0, np.bool_)
        self._idle = np.zeros(0, np.bool_)
        self._octets = np.zeros(0, np.uint64)
        self._last_traffic = np.zeros(0, np.int64)

    def bind(self, slot: int, session_id: str | None) -> None:
        """A slot counts for this session from now on (None: for none)."""
        if session_id is None:
            self._sessions.pop(slot, None)
            if slot < len(self._bound):
                self._bound[slot] = False
            return
        self._fit(slot + 1)
        if self._sessions.get(slot) == session_id:
            return
        self._sessions[slot] = session_id
        self._bound[slot] = True
        self._idle[slot] = False
        self._octets[slot] = self._matrix.rows[slot, 1:3].sum()
        self._last_traffic[slot] = time.time_ns()

    def mark_idle(self, slots: Iterable[int]) -> None:
        """The sessions of these slots are idle already: only traffic is news of them."""
        for slot in slots:
            self._idle[slot] = True

    def refreshed(self, refresh: Refresh) -> None:
        """The kernel's classes of some slots were made anew and count from 0."""
        if refresh.restarted_in or refresh.restarted_out:
            with self._matrix.writing() as rows:
                counters.restart(rows, refresh.restarted_in, "in")
                counters.restart(rows, refresh.restarted_out, "out")

    async def run(self) -> int:
        """One sweep. The kernel is read in a thread. Returns the tick, or 0 when the kernel refused."""
        try:
            sweep = await asyncio.to_thread(self._dataplane.sweep)
        except DataPlaneError as error:
            log.warning("sweep.failed", reason=str(error))
            return 0
        for part in self._parts(sweep):
            self._apply(sweep, part)
            await asyncio.sleep(0)
        return self._finish()

    def apply(self, sweep: Sweep) -> int:
        """Take a sweep into the matrix. Returns its tick."""
        for part in self._parts(sweep):
            self._apply(sweep, part)
        return self._finish()

    def _parts(self, sweep: Sweep) -> list[slice]:
        """The slots in portions of about a millisecond. Readers may see the counters of some sessions as of
        this sweep and of others as of the last; the tick is counted on when all are there."""
        self._fit(len(sweep.valid))
        return [slice(at, at + _PORTION) for at in range(0, len(self._bound), _PORTION)]

    def _finish(self) -> int:
        with self._matrix.writing():
            return self._matrix.finish_sweep()

    def _apply(self, sweep: Sweep, part: slice) -> None:
        # What ended or was bound again while the sweep was under way is left alone: the row has its final
        # counters, or belongs to another session.
        valid = sweep.valid[part]
        here = slice(part.start, part.start + len(valid))
        valid = valid & self._bound[here] & (sweep.bindings[part] == self._dataplane.bindings[here])
        with self._matrix.writing() as rows:
            counters.apply(rows[part], sweep.values[part], valid)
        self._tell_activity(sweep.time_ns, part)

    def _tell_activity(self, now: int, part: slice) -> None:
        rows, bound, idle, since = (
            each[part] for each in (self._matrix.rows, self._bound, self._idle, self._last_traffic)
        )
        octets = rows[: len(bound), 1] + rows[: len(bound), 2]
        moved = octets != self._octets[part]
        self._octets[part] = octets
        woken = np.nonzero(bound & idle & moved)[0]
        silent = ~moved & ~idle & (now - since >= self.idle_after * NS)
        fallen = np.nonzero(bound & silent)[0]
        since[moved] = now
        idle[woken] = False
        idle[fallen] = True
        for slot in (part.start + woken).tolist():
            self._post(SessionTraffic(self._sessions[slot]))
        for slot in (part.start + fallen).tolist():
            self._post(SessionIdle(self._sessions[slot], int(self._last_traffic[slot])))

    def _fit(self, slots: int) -> None:
        self._matrix.grow(slots)
        missing = self._matrix.slots - len(self._bound)
        if missing > 0:
            self._bound = np.pad(self._bound, (0, missing))
            self._idle = np.pad(self._idle, (0, missing))
            self._octets = np.pad(self._octets, (0, missing))
            self._last_traffic = np.pad(self._last_traffic, (0, missing))
