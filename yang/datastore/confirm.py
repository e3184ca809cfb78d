"""The confirmed commit that is under way, if any (RFC 6241 section 8.4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import structlog

from yang.datastore.data import EMPTY, Tree
from yang.datastore.history import Store
from yang.datastore.running import Author
from yang.provider import OperationError

log = structlog.get_logger()


class ConfirmedCommit:
    """Remembers what to go back to, and goes back when the time is over.

    Args:
        in_worker: runs a function that touches the disk.
        revert: called when the time is over, with why, and `period`; makes the backup running again and calls
            `end`.

    Attributes:
        period: number of the time that runs or ran last; a revert that had to wait for something else finds
            by it that it comes too late, since the commit was extended, or that it is another one by now.
    """

    def __init__(
        self,
        store: Store,
        in_worker: Callable[..., Awaitable[Any]],
        revert: Callable[[str, int], Awaitable[None]],
    ) -> None:
        self._store = store
        self._in_worker = in_worker
        self._revert = revert
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._persist: str | None = None
        self.active = False
        self.period = 0
        self.session: int | None = None
        self.backup: Tree = EMPTY
        self.author = Author("", "")

    def is_foreign(self, session_id: int) -> bool:
        """True when one is under way that another session began."""
        return self.active and self.session != session_id

    def belongs_to(self, session_id: int) -> bool:
        """True when one is under way that ends with this session."""
        return self.active and self._persist is None and self.session == session_id

    def authorise(self, session_id: int, persist_id: str | None) -> None:
        """Raise unless this session may confirm, extend or cancel.

        Raises:
            OperationError: ``invalid-value`` for a wrong persist-id, ``in-use`` for another session's commit.
        """
        if not self.active:
            if persist_id is not None:
                raise OperationError("invalid-value", "there is no confirmed commit with this persist-id")
            return
        if self._persist is not None:
            if persist_id != self._persist:
                raise OperationError(
                    "invalid-value", "a confirmed commit is under way: it needs its own persist-id"
                )
        elif persist_id is not None:
            raise OperationError("invalid-value", "the confirmed commit under way has no persist-id")
        elif self.session != session_id:
            raise OperationError("in-use", "a confirmed commit of another session is under way")

    @asynccontextmanager
    async def keeping(self, members: Mapping[str, Any] | None) -> AsyncIterator[None]:
        """Have the backup on disk before running is written: an element that dies in between goes back to it.

        Args:
            members: the backup as RFC 7951; None when the commit is none that may be reverted.
        """
        fresh = members is not None and not self.active
        if fresh:
            await self._in_worker(self._store.keep_backup, members)
        try:
            yield
        except BaseException:
            if fresh:
                await self._in_worker(self._store.drop_backup)
            raise

    async def start(
        self,
        backup: Tree,
        members: Mapping[str, Any],
        author: Author,
        session_id: int,
        timeout: float,
        persist: str | None,
    ) -> None:
        """Begin, or extend: then the first backup stays.

        Args:
            members: the backup as RFC 7951, for the disk.
        """
        if not self.active:
            self.backup = backup
            self.active = True
            await self._in_worker(self._store.keep_backup, members)
        self.session = session_id
        self.author = author
        self._persist = persist
        self.period += 1
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(timeout, self._expired)
        log.info("config.confirmed-commit", user=author.user, timeout=timeout, persist=persist is not None)

    def _expired(self) -> None:
        self._timer = None
        log.warning("config.confirm-timeout", user=self.author.user)
        self._task = asyncio.get_running_loop().create_task(self._run_revert(self.period))

    async def _run_revert(self, period: int) -> None:
        try:
            await self._revert("it was not confirmed in time", period)
        except OperationError as error:
            log.error("config.revert-failed", error=error.message)

    async def end(self) -> None:
        """It was confirmed or reverted."""
        if not self.active:
            return
        self._stop_timer()
        self.active = False
        self.session = None
        self._persist = None
        self.backup = EMPTY
        await self._in_worker(self._store.drop_backup)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
