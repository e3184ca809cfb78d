"""Group commit: what must not be seen before it is durable waits here for the disk, the loop does not."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import structlog

from bng.seam.journal import Journal
from bng.seam.sessions import Checkpoint

log = structlog.get_logger()

_GATHER = 0.002
"""Seconds between the end of one flush and the next while events keep coming: what is gathered meanwhile
shares it, and a flush costs more than an event. The first event after a pause does not wait."""
_RETRY = 1.0
"""Seconds between two tries while the disk refuses."""


class GroupCommit:
    """Runs `Journal.sync` in a thread whenever events wait; those that arrive meanwhile share the next.

    While the journal cannot be written nothing is held back: subscribers are served, accounted for and
    answered, and `Journal.alarm` says that the journal lags.

    Args:
        published: called with the number of the last durable event whenever it grew.
        checkpoint_every: events between two checkpoints, at least.
    """

    def __init__(
        self,
        journal: Journal,
        checkpoint: Checkpoint,
        published: Callable[[int], None],
        checkpoint_every: int = 5000,
    ) -> None:
        self.journal = journal
        self._checkpoint = checkpoint
        self._published = published
        self._every = checkpoint_every
        self._checkpointed = journal.durable
        self._held: deque[tuple[int, Callable[[], None]]] = deque()
        self._thread = ThreadPoolExecutor(1, "journal")
        self._running: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Actions that wait for the disk."""
        return len(self._held)

    def after(self, action: Callable[[], None]) -> None:
        """Do something when all events appended so far are durable; at once if they are."""
        if self.journal.alarm is not None or self.journal.newest == self.journal.durable:
            action()
        else:
            self._held.append((self.journal.newest, action))

    def request(self) -> None:
        """Make what was appended durable soon. Cheap; call it once per turn."""
        if self._running is None and self.journal.pending:
            self._running = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Make all durable, write a checkpoint, let go of the journal."""
        if self._running is not None:
            await self._running
        await self._sync()
        await self._write_checkpoint()
        self.journal.close()
        self._thread.shutdown()

    async def _run(self) -> None:
        try:
            while self.journal.pending:
                await self._sync()
                # it costs in proportion to the sessions: of many, more events are let pass
                wanted = max(self._every, len(self._checkpoint) // 2)
                if self.journal.durable - self._checkpointed >= wanted:
                    await self._write_checkpoint()
                await asyncio.sleep(_GATHER if self.journal.alarm is None else _RETRY)
        finally:
            self._running = None

    async def _sync(self) -> None:
        before = self.journal.durable
        durable = await asyncio.get_running_loop().run_in_executor(self._thread, self.journal.sync)
        if durable > before:
            self._published(durable)
        release_all = self.journal.alarm is not None
        while self._held and (release_all or self._held[0][0] <= durable):
            self._held.popleft()[1]()

    async def _write_checkpoint(self) -> None:
        seq, records = self._checkpoint.freeze()
        if self.journal.durable < seq:
            await self._sync()
        if self.journal.durable < seq:
            return
        self._checkpointed = seq
        try:
            await asyncio.to_thread(self._checkpoint.write, records)
            self.journal.retain(seq)
        except OSError as error:
            log.warning("checkpoint.not-written", reason=error.strerror)
