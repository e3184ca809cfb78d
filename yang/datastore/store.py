"""The datastores as the servers use them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Final

from lxml import etree

from yang.access import ALLOW_ALL, AccessControl, User
from yang.datastore.confirm import ConfirmedCommit, Event
from yang.datastore.data import EMPTY, Tree, differences, from_json, to_json
from yang.datastore.edits import Change, Edits
from yang.datastore.guard import Guard
from yang.datastore.history import Store
from yang.datastore.locks import Locks, PartialLock, denied
from yang.datastore.model import CommitResult, PathOperation, Session
from yang.datastore.running import Author, Check, Running, Snapshot, finish
from yang.datastore.validator import Validator
from yang.path import DataPath, PathError
from yang.provider import OperationError, OperationErrors
from yang.schema import Schema

_DEFAULT_OPERATIONS: Final = frozenset({"merge", "replace", "none"})
_TEST_OPTIONS: Final = frozenset({"set", "test-then-set", "test-only"})
_ERROR_OPTIONS: Final = frozenset({"stop-on-error", "continue-on-error", "rollback-on-error"})
MAX_PERSIST: Final = 255


class Datastores:
    """running and candidate, with locks, edits and commits.

    Every method that changes something is a coroutine and is called from the event loop; edits and validation
    run in one worker thread. All raise `yang.provider.OperationError`; an edit with error-option
    ``continue-on-error`` raises `yang.provider.OperationErrors` with all of them.
    """

    def __init__(
        self, schema: Schema, validator: Validator, running: Running, store: Store, access: AccessControl
    ) -> None:
        self._schema = schema
        self._validator = validator
        self._running = running
        self._store = store
        self._access = access
        self._edits = Edits(schema, validator, access)
        self._locks = Locks()
        self._candidate: Tree | None = None
        self._change = asyncio.Lock()
        self._confirm = ConfirmedCommit(store, running.in_worker, self._revert)
        self.guard: Guard | None = None
        """Refuses a commit that is to be made as a confirmed commit only."""

    @property
    def confirmed_commit(self) -> ConfirmedCommit:
        """The confirmed commit that is under way, if any."""
        return self._confirm

    # --- reading ---------------------------------------------------------------------------------

    @property
    def running(self) -> Snapshot:
        """The running configuration."""
        return self._running.snapshot

    @property
    def candidate(self) -> Tree:
        """The candidate configuration."""
        return self._running.snapshot.tree if self._candidate is None else self._candidate

    def tree(self, name: str, *, defaults: bool = False) -> Tree:
        """What a datastore holds.

        Args:
            defaults: with default values. Of a candidate that differs from running they are worked out anew.
        """
        _check_name(name)
        snapshot = self._running.snapshot
        if name == "running" or not self.is_dirty():
            return snapshot.full if defaults else snapshot.tree
        if not defaults:
            return self.candidate
        members = self._running.submit(self._validator.defaults, self.candidate).result()
        return from_json(self._schema.root, members)

    def is_dirty(self) -> bool:
        """True when candidate differs from running."""
        if self._candidate is None:
            return False
        root = self._schema.root
        return next(differences(root, self.running.tree, self._candidate, ALLOW_ALL), None) is not None

    def history(self) -> Sequence[dict[str, Any]]:
        """Commits, newest first, as `yang.datastore.history.Entry`."""
        return [asdict(entry) for entry in reversed(self._store.entries)]

    def lock_holder(self, target: str) -> int | None:
        """Session-id of who holds the global lock of a datastore, or None."""
        return self._locks.holder(target)

    def lock_time(self, target: str) -> str | None:
        """When the global lock of a datastore was taken (RFC 3339), or None."""
        return self._locks.since(target)

    def partial_locks(self) -> Sequence[PartialLock]:
        """All partial locks."""
        return self._locks.partial_locks()

    # --- locks -----------------------------------------------------------------------------------

    async def lock(self, session: Session, target: str) -> None:
        """Lock a datastore. ``lock-denied`` (info session-id) when it is held, a candidate that is modified,
        or running while a confirmed commit of another session is under way."""
        _check_name(target)
        if target == "candidate" and self._locks.holder(target) is None and self.is_dirty():
            raise denied(0, "the candidate has changes that were neither committed nor discarded")
        if target == "running" and self._confirm.is_foreign(session.id):
            raise denied(self._confirm.session or 0, "a confirmed commit is under way")
        self._locks.lock(session.id, target)

    async def unlock(self, session: Session, target: str) -> None:
        """Unlock a datastore; changes to candidate that were not committed are discarded.
        ``operation-failed`` when this session does not hold the lock."""
        _check_name(target)
        self._locks.unlock(session.id, target)
        if target == "candidate":
            self._candidate = None

    async def partial_lock(self, session: Session, paths: Sequence[str]) -> tuple[int, Sequence[str]]:
        """RFC 5717: lock the running nodes at these instance-identifiers → (lock id, locked nodes)."""
        nodes: list[str] = []
        for text in paths:
            try:
                path = DataPath.parse(text)
                path.schema_node(self._schema)
            except PathError as error:
                raise OperationError(
                    "invalid-value", str(error), app_tag="invalid-lock-specification"
                ) from error
            nodes.append(str(path))
        if not nodes:
            raise OperationError("operation-failed", "no node to lock", app_tag="no-matches")
        return self._locks.lock_paths(session.id, nodes), nodes

    async def partial_unlock(self, session: Session, lock_id: int) -> None:
        """RFC 5717: give a partial lock back. ``invalid-value`` when it is not this session's."""
        self._locks.unlock_paths(session.id, lock_id)

    # --- edits -----------------------------------------------------------------------------------

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
        _check_option("default-operation", default_operation, _DEFAULT_OPERATIONS)
        _check_option("test-option", test_option or "set", _TEST_OPTIONS)
        _check_option("error-option", error_option, _ERROR_OPTIONS)
        self._check_target(session, target)
        errors: list[OperationError] = []
        apply = self._edits.of_xml(config, default_operation, error_option == "continue-on-error", errors)
        async with self._change:
            tree = await self._edited(session.user, apply, test_option)
            if test_option != "test-only":
                self._candidate = tree
        if errors:
            raise OperationErrors(errors)

    async def edit_paths(self, session: Session, target: str, operations: Sequence[PathOperation]) -> None:
        """The same from paths and JSON values; operations are applied in the order given."""
        self._check_target(session, target)
        async with self._change:
            self._candidate = await self._edited(session.user, self._edits.of_paths(operations), None)

    async def _edited(self, user: User, apply: Change, test_option: str | None) -> Tree:
        """Candidate after an edit, which the user must be allowed to make."""
        validate = test_option in ("test-then-set", "test-only")
        rules = self._access.rules_for(user)
        result: Tree = await self._running.in_worker(
            self._edits.carry_out, self.candidate, apply, rules, validate
        )
        return result

    def _check_target(self, session: Session, target: str) -> None:
        _check_name(target)
        if target == "running":
            raise OperationError(
                "operation-not-supported",
                "running is not written directly: edit candidate, then commit",
                error_type="protocol",
            )
        self._locks.check(session.id, target)

    async def copy(self, session: Session, target: str, source: str | etree._Element) -> None:
        """copy-config; source is a datastore's name or a ``<config>`` element."""
        self._check_target(session, target)
        if source == target:
            raise OperationError("invalid-value", "source and target are the same", error_type="protocol")
        async with self._change:
            content = await self._source(source)
            self._candidate = await self._edited(session.user, lambda _: content, None)

    async def delete(self, session: Session, target: str) -> None:
        """delete-config: candidate is emptied; running cannot be deleted."""
        self._check_target(session, target)
        async with self._change:
            self._candidate = await self._edited(session.user, lambda _: EMPTY, None)

    async def validate(self, session: Session, source: str | etree._Element) -> None:  # noqa: ARG002
        """Check all constraints of a datastore or of a complete configuration."""
        tree = await self._source(source)
        await self._running.in_worker(self._validator.complete, tree)

    async def discard(self, session: Session) -> None:
        """discard-changes: candidate becomes running again."""
        self._locks.check(session.id, "candidate")
        async with self._change:
            self._candidate = None

    async def _source(self, source: str | etree._Element) -> Tree:
        if isinstance(source, str):
            return self.tree(source)

        result: Tree = await self._running.in_worker(self._edits.of_xml(source), EMPTY)
        return result

    # --- commits ---------------------------------------------------------------------------------

    async def commit(
        self,
        session: Session,
        *,
        confirmed: bool = False,
        confirm_timeout: float = 600,
        persist: str | None = None,
        persist_id: str | None = None,
        comment: str = "",
        rollback: tuple[int, Tree] | None = None,
    ) -> CommitResult:
        """commit, with :confirmed-commit:1.1.

        Args:
            rollback: a commit's number and configuration, which is committed in place of candidate.
            confirm_timeout: seconds until it is reverted, 1 … 2³²-1.
            persist: outlive the session; whoever knows the token confirms.
            persist_id: token of the confirmed commit that this one confirms or extends.
        """
        if confirm_timeout <= 0 or len(persist or "") > MAX_PERSIST:
            raise OperationError("invalid-value", "confirm-timeout or persist is out of range")
        if persist is not None and not confirmed:
            raise OperationError("invalid-value", "persist goes with confirmed only", error_type="protocol")
        self._locks.check(session.id, "candidate", "running")
        timeout = confirm_timeout if confirmed else None
        author = Author(session.user.name, session.origin, comment, session.id, confirm_timeout=timeout)
        return await finish(self._commit(session, author, persist, persist_id, rollback))

    async def _commit(
        self,
        session: Session,
        author: Author,
        persist: str | None,
        persist_id: str | None,
        rollback: tuple[int, Tree] | None,
    ) -> CommitResult:
        async with self._change:
            self._confirm.authorise(session.id, persist_id)
            tree = self.candidate
            if rollback is not None:
                if self.is_dirty():
                    raise OperationError(
                        "operation-failed", "candidate has changes: commit or discard them before a rollback"
                    )
                author = replace(author, kind="rollback", restores=rollback[0])
                tree = rollback[1]
            result = await self._replace(session.id, session.user, tree, author)
            self._candidate = None
            if author.confirm_timeout is None:
                await self._confirm.end("complete", author)
            else:
                self._confirm.start(author, session.id, author.confirm_timeout, persist)
            return result

    async def _replace(self, session_id: int, user: User, tree: Tree, author: Author) -> CommitResult:
        before = self.running.tree
        # the exact nodes that a commit changes are those that need permission (RFC 8341 section 3.2.8)
        rules = self._access.rules_for(user)
        await self._running.in_worker(self._edits.check_access, before, tree, rules)
        if author.confirm_timeout is None:
            return await self._running.replace(
                tree, author, self._guards(session_id, None if user.recovery else self.guard)
            )
        members = await self._running.in_worker(to_json, self._schema.root, before)
        await self._confirm.keep(before, members)
        try:
            return await self._running.replace(tree, author, self._guards(session_id, None))
        except BaseException:
            await self._confirm.forget()
            raise

    def _guards(self, session_id: int, guard: Guard | None) -> Check:
        """What is asked once it is known what a commit changes."""

        def check(old: Snapshot, new: Snapshot, changed: Sequence[str]) -> None:
            self._locks.check_paths(session_id, changed)
            if guard is not None:
                guard(old, new)

        return check

    async def cancel_commit(self, session: Session, persist_id: str | None = None) -> None:
        """Revert the confirmed commit that is under way."""
        async with self._change:
            if not self._confirm.active:
                raise OperationError("operation-failed", "there is no confirmed commit to cancel")
            self._confirm.authorise(session.id, persist_id)
            await finish(self._revert_now(Author(session.user.name, session.origin, "cancelled", session.id)))

    async def confirm_commit(self, persist_id: str | None = None) -> None:
        """Make a confirmed commit permanent without a session (gNMI commit-confirmed)."""
        async with self._change:
            if not self._confirm.active:
                raise OperationError("operation-failed", "there is no confirmed commit to confirm")
            self._confirm.authorise(0, persist_id)
            await self._confirm.end("complete", self._confirm.author)

    async def cancel_confirmed(self, persist_id: str | None = None, *, user: str, origin: str) -> None:
        """Revert a confirmed commit without a session (gNMI commit-confirmed)."""
        async with self._change:
            if not self._confirm.active:
                raise OperationError("operation-failed", "there is no confirmed commit to cancel")
            self._confirm.authorise(0, persist_id)
            await finish(self._revert_now(Author(user, origin, "cancelled")))

    async def _revert(self, why: str, event: Event = "cancel") -> None:
        """Called when the time of a confirmed commit is over."""
        async with self._change:
            if self._confirm.active:
                author = self._confirm.author
                await self._revert_now(Author(author.user, author.origin, why), event)

    async def _revert_now(self, author: Author, event: Event = "cancel") -> None:
        backup = self._confirm.backup
        author = replace(author, kind="revert", restores=self._confirm.backup_number)
        await self._running.replace(backup, author)
        await self._confirm.end(event, author)

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
        self._locks.check(0, "candidate", "running")
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
            self._locks.check(0, "candidate", "running")
            if self._confirm.active:
                raise OperationError("in-use", "a confirmed commit is under way")
            apply = self._edits.of_paths(_in_gnmi_order(operations))
            tree = await self._running.in_worker(apply, self.running.tree)
            author = Author(user.name, origin, comment, confirm_timeout=confirm_timeout)
            result = await self._replace(0, user, tree, author)
            if self._candidate is not None:
                # otherwise the next commit of candidate would undo this one
                self._candidate = await self._rebased(apply, self._candidate)
            if confirm_timeout is not None and result.number:
                self._confirm.start(author, 0, confirm_timeout, persist_id)
            elif confirm_timeout is not None:
                await self._confirm.forget()
            return result

    async def _rebased(self, apply: Change, candidate: Tree) -> Tree:
        try:
            result: Tree = await self._running.in_worker(apply, candidate)
        except OperationError:
            return candidate
        return result

    # --- lifecycle -------------------------------------------------------------------------------

    async def close_session(self, session_id: int) -> None:
        """A session ended, in whatever way: locks go, a candidate that it had locked is discarded, a
        confirmed commit of its own without persist is reverted."""
        if "candidate" in self._locks.release(session_id):
            self._candidate = None
        if self._confirm.belongs_to(session_id):
            await finish(self._confirm.run_revert("its session ended before it was confirmed", "cancel"))

    async def close(self) -> None:
        """Revert a confirmed commit that is under way, and end its timer."""
        if self._confirm.active:
            await finish(self._confirm.run_revert("the element stopped before it was confirmed", "cancel"))
        self._confirm.stop()


def _in_gnmi_order(operations: Sequence[PathOperation]) -> list[PathOperation]:
    """Deletes first, then replaces, then updates (gNMI specification 3.4.3)."""
    order: Mapping[str, int] = {"delete": 0, "remove": 0, "replace": 1, "update": 2, "create": 2}
    return sorted(operations, key=lambda operation: order[operation.op])


def _check_name(name: str) -> None:
    if name not in ("running", "candidate"):
        raise OperationError("invalid-value", f'there is no datastore "{name}"', error_type="protocol")


def _check_option(name: str, value: str, known: frozenset[str]) -> None:
    if value not in known:
        raise OperationError(
            "invalid-value",
            f'{name}: there is no "{value}"',
            error_type="protocol",
            info={"bad-element": name},
        )
