"""The confirmed commit that is under way, if any (RFC 6241 section 8.4)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Literal

import structlog

from yang.datastore.confirmation import Confirmation
from yang.datastore.data import EMPTY, Tree
from yang.datastore.history import Store
from yang.datastore.running import Author
from yang.provider import OperationError

log = structlog.get_logger()

Event = Literal["start", "cancel", "timeout", "extend", "complete"]
"""What happens to a confirmed commit, as netconf-confirmed-commit has it (RFC 6470)."""

_RETRY: Final = 5.0
"""Seconds until a revert that failed is tried again."""


class ConfirmedCommit:
    """Remembers what to go back to, and goes back when the time is over.

    Args:
        in_worker: runs a function that touches the disk.
        revert: called when the time is over, with why, and `period`; makes the backup running again and calls
            `end`.

    Attributes:
        period: number of the time that runs or ran last; a revert that had to wait for something else finds
            by it that it comes too late, since the commit was extended, or that it is another one by now.
        backup_number: the commit that it goes back to.
        survives: it goes on when the process starts again.
    """

    def __init__(
        self,
        store: Store,
        in_worker: Callable[..., Awaitable[Any]],
        revert: Callable[[str, Event, int], Awaitable[None]],
    ) -> None:
        self._store = store
        self._in_worker = in_worker
        self._revert = revert
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._persist: str | None = None
        self.active = self.survives = False
        self.period = 0
        self.session: int | None = None
        self.backup: Tree = EMPTY
        self.backup_number: int | None = None
        self.author = Author("", "")
        self.listeners: list[Callable[[Event, Author, float | None], None]] = []

    @property
    def persist(self) -> str | None:
        """Who knows it confirms or cancels; None when that is the session that made the commit."""
        return self._persist or None

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
                    "invalid-value",
                    "a confirmed commit is under way: confirm, extend or cancel it with its persist-id first",
                )
        elif persist_id is not None:
            raise OperationError("invalid-value", "the confirmed commit under way has no persist-id")
        elif self.session != session_id:
            raise OperationError("in-use", "a confirmed commit of another session is under way")

    async def keep(self, backup: Tree, members: Mapping[str, Any]) -> None:
        """Before the commit: have what it may revert to on the disk, so that it is there whenever the element
        stops. An extension keeps the first backup.

        Args:
            members: the backup as RFC 7951, for the disk.

        Raises:
            OperationError: it cannot be written.
        """
        if self.active:
            return
        self.backup, self.backup_number = backup, self._store.newest_number
        try:
            await self._in_worker(self._store.keep_backup, members, self.backup_number)
        except OSError as error:
            log.error("config.write-failed", error=str(error))
            raise OperationError(
                "operation-failed", f"what a confirmed commit reverts to cannot be written: {error.strerror}"
            ) from error

    async def forget(self) -> None:
        """The commit was refused: what was kept for it is not needed."""
        if not self.active:
            self.backup, self.backup_number = EMPTY, None
            await self._drop()

    async def start(self, author: Author, session_id: int, timeout: float, persist: str | None) -> None:
        """Begin, after `keep`; or extend."""
        await self._remember(author, session_id, timeout, persist)
        event: Event = "extend" if self.active else "start"
        self.active = True
        self.session = session_id
        self.author = author
        self._persist = persist
        self.period += 1
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(timeout, self._expired)
        if event == "start":
            log.info(
                "config.confirmed-commit", user=author.user, timeout=timeout, persist=persist is not None
            )
        else:
            log.info("config.confirm-extended", user=author.user, timeout=timeout)
        self._tell(event, author, timeout)

    async def _remember(self, author: Author, session_id: int, timeout: float, persist: str | None) -> None:
        """Have a commit that persists on the disk. Where that cannot be, it ends with the process."""
        file, self.survives = self._store.confirmation, False
        try:
            if not persist or not file.kept:
                await self._in_worker(file.drop)
                return
            until, newest = time.monotonic() + timeout, self._store.newest_number
            by = (author.user, author.origin, author.comment, session_id)
            await self._in_worker(file.keep, Confirmation(newest, persist, until, timeout, *by))
            self.survives = True
        except OSError as error:
            log.error("config.write-failed", error=str(error))

    def resume(self, found: Confirmation, backup: Tree) -> None:
        """After a start: go on with the commit that was under way."""
        self.active = self.survives = True
        self.session = 0  # the session that made it is gone
        self.backup, self.backup_number = backup, self._store.backup_number
        self.author = Author(
            found.user,
            found.origin,
            found.comment,
            found.session,
            confirm_timeout=found.timeout,
            confirm_id=found.token,
        )
        self._persist = found.token
        self.period += 1
        left = max(0.0, found.until - time.monotonic())
        self._timer = asyncio.get_running_loop().call_later(left, self._expired)
        log.info("config.confirm-resumed", user=found.user, timeout=round(left, 1))

    def _expired(self) -> None:
        self._timer = None
        log.warning("config.confirm-timeout", user=self.author.user)
        self._task = asyncio.get_running_loop().create_task(
            self.run_revert("it was not confirmed in time", "timeout", self.period)
        )

    async def run_revert(self, why: str, event: Event, period: int) -> None:
        """Revert; what refuses now is asked again later, for nobody else will."""
        try:
            await self._revert(why, event, period)
        except OperationError as error:
            log.error("config.revert-failed", error=error.message)
            if self.active:
                self._persist = self._persist or ""  # with its session gone, nobody's any more
                self._stop_timer()
                self._timer = asyncio.get_running_loop().call_later(_RETRY, self._again, why, event, period)

    def _again(self, why: str, event: Event, period: int) -> None:
        self._timer = None
        self._task = asyncio.get_running_loop().create_task(self.run_revert(why, event, period))

    async def end(self, event: Event, author: Author) -> None:
        """It was confirmed (``complete``) or reverted.

        Args:
            author: who did it.
        """
        if not self.active:
            return
        self._stop_timer()
        self.active = self.survives = False
        self.session = None
        self._persist = None
        self.backup, self.backup_number = EMPTY, None
        await self._drop()
        if event == "complete":
            log.info("config.confirmed", user=author.user)
        elif event == "cancel":
            log.info("config.confirm-cancelled", user=author.user, reason=author.comment)
        self._tell(event, author, None)

    async def _drop(self) -> None:
        try:
            await self._in_worker(self._store.drop_backup)
        except OSError as error:
            log.error("config.write-failed", error=str(error))

    def _tell(self, event: Event, author: Author, timeout: float | None) -> None:
        for listener in self.listeners:
            listener(event, author, timeout)

    def stop(self) -> None:
        """The element ends: what is not undone now goes on, or is undone, when it starts again."""
        self._stop_timer()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
