"""The datastores as the servers use them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lxml import etree

from yang.datastore.model import CommitResult, PathOperation, Session


class Datastores:
    """running and candidate, with locks, edits and commits.

    Every method is a coroutine (edits and validation run in one worker thread) and is called from the event loop.
    All raise `yang.provider.OperationError`; an edit with error-option ``continue-on-error`` raises
    `yang.provider.OperationErrors` with all of them.
    """

    async def lock(self, session: Session, target: str) -> None:
        """``lock-denied`` (info session-id) when it is held, a dirty candidate, or a confirmed commit."""

    async def unlock(self, session: Session, target: str) -> None:
        """``operation-failed`` when this session does not hold it. Unlocking candidate discards changes."""

    async def partial_lock(self, session: Session, paths: Sequence[str]) -> tuple[int, Sequence[str]]:
        """RFC 5717: lock the running nodes at these instance-identifiers → (lock id, locked nodes)."""

    async def partial_unlock(self, session: Session, lock_id: int) -> None:
        """RFC 5717."""

    def lock_holder(self, target: str) -> int | None:
        """Session-id of who holds the global lock of a datastore, or None."""

    async def edit(
        self,
        session: Session,
        target: str,
        config: etree._Element,
        *,
        default_operation: str = "merge",
        test_option: str | None = None,
        error_option: str = "stop-on-error",
    ) -> None:
        """edit-config. `config` is the element whose children are top-level data nodes.

        An edit of candidate is checked for structure and values, the constraints wait for validate or
        commit, unless test_option is ``test-then-set`` or ``test-only``. Target running is
        ``operation-not-supported``: :writable-running is off.
        With stop-on-error, too, a failed edit leaves the target as it was.
        """

    async def edit_paths(self, session: Session, target: str, operations: Sequence[PathOperation]) -> None:
        """The same from paths and JSON values; operations are applied in the order given."""

    async def copy(self, session: Session, target: str, source: str | etree._Element) -> None:
        """copy-config; source is a datastore's name or a ``<config>`` element."""

    async def delete(self, session: Session, target: str) -> None:
        """delete-config: candidate is emptied; running cannot be deleted."""

    async def validate(self, session: Session, source: str | etree._Element) -> None:
        """Check all constraints of a datastore or of a complete configuration."""

    async def discard(self, session: Session) -> None:
        """discard-changes: candidate becomes running again."""

    async def commit(
        self,
        session: Session,
        *,
        confirmed: bool = False,
        confirm_timeout: float = 600,
        persist: str | None = None,
        persist_id: str | None = None,
        comment: str = "",
    ) -> CommitResult:
        """commit, with :confirmed-commit:1.1."""

    async def cancel_commit(self, session: Session, persist_id: str | None = None) -> None:
        """Revert the confirmed commit that is under way."""

    async def confirm_commit(self, persist_id: str | None = None) -> None:
        """Make a confirmed commit permanent without a session (gNMI commit-confirmed)."""

    async def rollback(self, session: Session, number: int) -> None:
        """Set candidate to what running was after the commit with this number (0: before the first)."""

    def history(self) -> Sequence[dict[str, Any]]:
        """Commits, newest first: number, time, user, origin, comment, changed."""

    async def close_session(self, session_id: int) -> None:
        """A session ended, in whatever way: locks go, a candidate that it had locked is discarded, a
        confirmed commit of its own without persist is reverted."""

    def is_dirty(self) -> bool:
        """True when candidate differs from running."""
