"""Changes without a session and without its candidate: gNMI's Set, and its commit-confirmed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from yang.access import User
from yang.datastore.commits import Commits
from yang.datastore.data import Tree
from yang.datastore.edits import Change
from yang.datastore.model import CommitResult, PathOperation
from yang.datastore.running import Author, finish
from yang.provider import OperationError


class Transactions(Commits):
    """An edit of running that is validated and committed at once."""

    async def transaction(
        self,
        user: User,
        origin: str,
        operations: Sequence[PathOperation],
        *,
        comment: str = "",
        confirm_timeout: float | None = None,
        persist_id: str | None = None,
    ) -> CommitResult:
        """See `yang.tree.Tree.transaction`."""
        self._locks.check(0, "candidate", *self._written_by_commits())
        return await finish(self._transaction(user, origin, operations, comment, confirm_timeout, persist_id))

    async def _transaction(
        self,
        user: User,
        origin: str,
        operations: Sequence[PathOperation],
        comment: str,
        confirm_timeout: float | None,
        persist_id: str | None,
    ) -> CommitResult:
        async with self._change:
            self._locks.check(0, "candidate", *self._written_by_commits())
            if self._confirm.active:
                raise OperationError("in-use", "a confirmed commit is under way")
            backup = self.running.tree
            ordered = await self._running.in_worker(_in_gnmi_order, operations)
            apply = self._edits.of_paths(ordered)
            tree = await self._edited(user, backup, apply)
            author = Author(
                user.name, origin, comment, confirm_timeout=confirm_timeout, confirm_id=persist_id
            )
            result = await self._replace(0, user, tree, author)
            if self._candidates.shared is not None:
                # otherwise the next commit of candidate would undo this one
                self._candidates.set(0, await self._rebased(apply, self._candidates.shared))
            if confirm_timeout is not None and result.number:
                await self._confirm.start(author, 0, confirm_timeout, persist_id)
            else:
                if confirm_timeout is not None:
                    await self._confirm.forget()
                await self._made_permanent(backup)
            return result

    async def _rebased(self, apply: Change, candidate: Tree) -> Tree:
        try:
            result: Tree = await self._running.in_worker(apply, candidate)
        except OperationError:
            return candidate
        return result

    # --- commit-confirmed ------------------------------------------------------------------------

    async def confirm_commit(self, persist_id: str | None = None) -> None:
        """Make a confirmed commit permanent without a session (gNMI commit-confirmed)."""
        await finish(self._confirm_now(persist_id))

    async def _confirm_now(self, persist_id: str | None) -> None:
        async with self._change:
            if not self._confirm.active:
                raise OperationError("operation-failed", "there is no confirmed commit to confirm")
            self._confirm.authorise(0, persist_id)
            saved = self.permanent
            await self._confirm.end("complete", self._confirm.author)
            await self._made_permanent(saved)

    async def set_rollback_duration(self, persist_id: str, seconds: float) -> None:
        """From now on, a confirmed commit has so long until it is reverted (gNMI commit-confirmed)."""
        await finish(self._extend(persist_id, seconds))

    async def _extend(self, persist_id: str, seconds: float) -> None:
        async with self._change:
            if not self._confirm.active:
                raise OperationError("operation-failed", "there is no confirmed commit to set the time of")
            self._confirm.authorise(0, persist_id)
            confirm = self._confirm
            await confirm.start(confirm.author, confirm.session or 0, seconds, persist_id)

    async def cancel_confirmed(self, persist_id: str | None = None, *, user: str, origin: str) -> None:
        """Revert a confirmed commit without a session (gNMI commit-confirmed)."""
        await finish(self._cancel(0, persist_id, Author(user, origin, "cancelled")))


def _in_gnmi_order(operations: Sequence[PathOperation]) -> list[PathOperation]:
    """Deletes first, then the union, replaces, updates (gNMI specification 3.4.3)."""
    order: Mapping[str, int] = {"delete": 0, "remove": 0, "union": 1, "replace": 2, "update": 3, "create": 3}
    return sorted(operations, key=lambda operation: order[operation.op])
