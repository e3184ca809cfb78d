"""Commits: a candidate becomes running, at once, for a while, or without a candidate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, Literal

import structlog

from yang.access import ALLOW_ALL, AccessControl, Rules, User
from yang.datastore.candidates import Candidates
from yang.datastore.confirm import ConfirmedCommit, Event
from yang.datastore.data import Tree, differences, to_json
from yang.datastore.edits import Change, Edits, release
from yang.datastore.guard import Guard
from yang.datastore.history import Store
from yang.datastore.locks import Locks
from yang.datastore.merge import Keep, Merge
from yang.datastore.model import CommitResult, Session
from yang.datastore.running import Author, Compared, Running, Snapshot, finish
from yang.datastore.startup import Startup
from yang.datastore.validator import Validator
from yang.provider import OperationError
from yang.schema import Schema

MAX_PERSIST: Final = 255
UpdateMode = Literal["revert-on-conflict", "prefer-candidate", "prefer-running"]

log = structlog.get_logger()


def save_always(running: Mapping[str, Any]) -> bool:  # noqa: ARG001
    """The policy of an element without one: startup is whatever is permanent in running."""
    return True


class Commits:
    """What candidates and running share with each other, and with startup.

    Args:
        startup: the startup datastore.
        saves: whether a permanent commit is startup too, by the running configuration (a tree or RFC 7951
            members, explicit values). What it says of the configuration before or after a commit counts.
    """

    def __init__(
        self,
        schema: Schema,
        validator: Validator,
        running: Running,
        store: Store,
        access: AccessControl,
        startup: Startup,
        saves: Callable[[Mapping[str, Any]], bool] = save_always,
    ) -> None:
        self._schema = schema
        self._validator = validator
        self._running = running
        self._store = store
        self._access = access
        self._startup = startup
        self._saves = saves
        self._startup_listeners: list[Callable[[Sequence[str], Author], None]] = []
        self._edits = Edits(schema, validator, access)
        self._locks = Locks()
        self._candidates = Candidates(lambda: self._running.snapshot.tree)
        self._change = asyncio.Lock()
        self._confirm = ConfirmedCommit(store, running.in_worker, self._revert)
        self.guard: Guard | None = None
        """Refuses a commit that is to be made as a confirmed commit only."""

    @property
    def confirmed_commit(self) -> ConfirmedCommit:
        """The confirmed commit that is under way, if any."""
        return self._confirm

    def on_startup_change(self, listener: Callable[[Sequence[str], Author], None]) -> None:
        """Call `listener(changed, author)` after startup was copied to or deleted, in the loop."""
        self._startup_listeners.append(listener)

    @property
    def running(self) -> Snapshot:
        """The running configuration."""
        return self._running.snapshot

    @property
    def permanent(self) -> Tree:
        """The running configuration, without a confirmed commit that waits to be confirmed."""
        return self._confirm.backup if self._confirm.active else self.running.tree

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
        self._check_candidate_lock(session)
        self._locks.check(session.id, *self._written_by_commits())
        timeout = confirm_timeout if confirmed else None
        author = Author(
            session.user.name,
            session.origin,
            comment,
            session.id,
            confirm_timeout=timeout,
            confirm_id=persist,
        )
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
            # once more: while this one waited another session may have got a lock
            self._check_candidate_lock(session)
            self._locks.check(session.id, *self._written_by_commits())
            self._confirm.authorise(session.id, persist_id)
            if rollback is not None:
                if self.is_dirty(session.id):
                    raise OperationError(
                        "operation-failed", "candidate has changes: commit or discard them before a rollback"
                    )
                author = replace(author, kind="rollback", restores=rollback[0])
            await self._update(session, "revert-on-conflict")
            before, saved = self.running.tree, self.permanent
            tree = self._candidates.get(session.id) if rollback is None else rollback[1]
            result = await self._replace(session.id, session.user, tree, author)
            await self._rebase_shared(session, before)
            self._candidates.reset(session.id)
            if author.confirm_timeout is None:
                await self._confirm.end("complete", author)
                await self._made_permanent(saved)
            else:
                await self._confirm.start(author, session.id, author.confirm_timeout, persist)
            return result

    def is_dirty(self, session: int = 0) -> bool:
        """True when a candidate differs from running, or from what running was when it was made.

        Args:
            session: whose candidate; 0 for the shared one.
        """
        private = self._candidates.find(session)
        before = self.running.tree if private is None else private.base
        tree = self._candidates.shared if private is None else private.tree
        if before is None or tree is None:
            return False
        return next(differences(self._schema.root, before, tree, ALLOW_ALL), None) is not None

    async def update(self, session: Session, mode: UpdateMode = "revert-on-conflict") -> None:
        """Take over what changed in running into the private candidate of a session.

        Raises:
            OperationError: ``operation-not-supported`` for a session without one.
            ConflictError: in mode revert-on-conflict; nothing is taken over then.
        """
        async with self._change:
            if self._candidates.private(session.id) is None:
                raise OperationError(
                    "operation-not-supported",
                    "this session has the shared candidate: a private one has to be asked for in the hello",
                    error_type="protocol",
                )
            await self._update(session, mode)

    async def _update(self, session: Session, mode: UpdateMode) -> None:
        private = self._candidates.private(session.id)
        running = self.running.tree
        if private is None or private.base is None or private.base is running:
            return
        keep: Keep = "running" if mode == "prefer-running" else "candidate"
        merge = Merge(self._access.rules_for(session.user), keep)
        tree = await self._running.in_worker(
            merge.trees, self._schema.root, private.base, running, private.tree
        )
        if mode == "revert-on-conflict":
            merge.check()
        private.base, private.tree = running, tree

    async def _rebase_shared(self, session: Session, before: Tree) -> None:
        """After the commit of a private candidate: the shared one keeps what it changes itself, and takes
        over the rest. Otherwise its next commit would undo this one."""
        shared = self._candidates.shared
        if shared is None or self._candidates.private(session.id) is None:
            return
        merge = Merge(ALLOW_ALL, "candidate")
        tree = await self._running.in_worker(
            merge.trees, self._schema.root, before, self.running.tree, shared
        )
        self._candidates.set(0, tree)

    def _written_by_commits(self) -> tuple[str, ...]:
        """Datastores whose locks keep others from committing."""
        return ("running", "startup") if self._saves(self.running.tree) else ("running",)

    async def _made_permanent(self, before: Tree) -> None:
        """Running will not be reverted: see to it that startup is the same, if that is the policy.

        Args:
            before: what was permanent before.
        """
        if self._startup.own is None or not (self._saves(before) or self._saves(self.running.tree)):
            return
        await self._on_disk(self._startup.file.follow, but="the commit is in force, but ")
        self._startup.own = None

    async def _part_startup(self) -> None:
        """Before a commit that is not to be saved."""
        if self._startup.own is not None or self._saves(self.running.tree):
            return
        permanent = self.permanent
        await self._on_disk(self._startup.file.part, lambda: to_json(self._schema.root, permanent))
        self._startup.own = permanent

    async def _on_disk(self, function: Callable[..., Any], *args: Any, but: str = "") -> None:
        """Change the file of startup, in the worker."""
        try:
            await self._running.in_worker(function, *args)
        except OSError as error:
            log.error("config.write-failed", error=str(error))
            raise OperationError(
                "operation-failed", f"{but}the startup configuration cannot be written: {error.strerror}"
            ) from error

    async def _replace(self, session_id: int, user: User, tree: Tree, author: Author) -> CommitResult:
        before = self.running.tree
        # the exact nodes that a commit changes are those that need permission (RFC 8341 section 3.2.8)
        rules = self._access.rules_for(user)
        found = self._edits.checked(before, tree, rules)
        if found is None:
            found = await self._running.in_worker(self._edits.check_access, before, tree, rules)
        self._edits.forget()
        try:
            await self._part_startup()
            if author.confirm_timeout is None:
                guard = None if user.recovery else self.guard
                return await self._put(tree, author, rules, session_id, guard, (before, tree, found))
            await self._confirm.keep(before, self.running.explicit)
            try:
                return await self._put(tree, author, rules, session_id, None, (before, tree, found))
            except BaseException:
                await self._confirm.forget()
                raise
        finally:
            with suppress(RuntimeError):  # the element ends
                self._running.submit(release, found)

    async def _put(
        self,
        tree: Tree,
        author: Author,
        rules: Rules,
        session_id: int,
        guard: Guard | None,
        compared: Compared,
    ) -> CommitResult:
        """Make a tree running, if what it changes is not locked, and the guard agrees."""

        def check(old: Snapshot, new: Snapshot, changed: Sequence[str]) -> None:
            self._locks.check_paths(session_id, changed)
            if guard is not None:
                guard(old, new)

        with self._edits.concealing(rules):
            return await self._running.replace(tree, author, check, compared)

    async def cancel_commit(self, session: Session, persist_id: str | None = None) -> None:
        """Revert the confirmed commit that is under way."""
        author = Author(session.user.name, session.origin, "cancelled", session.id)
        await finish(self._cancel(session.id, persist_id, author))

    async def _cancel(self, session_id: int, persist_id: str | None, author: Author) -> None:
        # all of it goes on when the caller is cancelled: a lock that is given up before the revert has ended
        # would let the next commit begin beside it
        async with self._change:
            if not self._confirm.active:
                raise OperationError("operation-failed", "there is no confirmed commit to cancel")
            self._confirm.authorise(session_id, persist_id)
            await self._revert_now(author)

    async def _revert(self, why: str, event: Event, period: int) -> None:
        """Called when the time of a confirmed commit is over."""
        async with self._change:
            if self._confirm.active and self._confirm.period == period:
                author = self._confirm.author
                await self._revert_now(Author(author.user, author.origin, why), event)

    async def _revert_now(self, author: Author, event: Event = "cancel") -> None:
        backup, committed = self._confirm.backup, self.running.tree
        author = replace(
            author,
            kind="revert",
            restores=self._confirm.backup_number,
            confirm_id=self._confirm.persist,
        )
        private = self._candidates.find(self._confirm.session)
        await self._running.replace(backup, author)
        if private is not None:
            private.go_back(committed, self.running.tree)
        await self._confirm.end(event, author)

    def _check_candidate_lock(self, session: Session) -> None:
        """Raise ``in-use`` when another session has locked the candidate of this one."""
        if self._candidates.find(session.id) is None:
            self._locks.check(session.id, "candidate")

    async def _edit_candidate(self, session: Session, apply: Change, test_option: str | None = None) -> None:
        """Edit the candidate of a session, which its user must be allowed to do; with ``test-only`` only see
        whether it could be."""
        self._check_candidate_lock(session)
        before = self._candidates.get(session.id)
        tree = await self._edited(session.user, before, apply, test_option)
        if test_option != "test-only":
            self._candidates.set(session.id, tree)

    async def _edited(self, user: User, before: Tree, apply: Change, test_option: str | None = None) -> Tree:
        """A tree after an edit, which the user must be allowed to make."""
        validate = test_option in ("test-then-set", "test-only")
        rules = self._access.rules_for(user)
        result: Tree = await self._running.in_worker(self._edits.carry_out, before, apply, rules, validate)
        return result
