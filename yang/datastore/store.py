"""The datastores as the servers use them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

import structlog
from lxml import etree

from yang.access import ALLOW_ALL
from yang.datastore.data import EMPTY, Tree, differences, from_json, to_json
from yang.datastore.edits import Change
from yang.datastore.locks import PartialLock, denied
from yang.datastore.model import PathOperation, Session
from yang.datastore.running import Author, finish, hash_passwords
from yang.datastore.transactions import Transactions
from yang.path import DataPath, PathError
from yang.provider import OperationError, OperationErrors
from yang.schema import SchemaNode

_DEFAULT_OPERATIONS: Final = frozenset({"merge", "replace", "none"})
_TEST_OPTIONS: Final = frozenset({"set", "test-then-set", "test-only"})
_ERROR_OPTIONS: Final = frozenset({"stop-on-error", "continue-on-error", "rollback-on-error"})
NAMES: Final = ("running", "candidate", "startup")

log = structlog.get_logger()


class Datastores(Transactions):
    """running, candidates and startup, with locks, edits and commits.

    Every method that changes something is a coroutine and is called from the event loop; edits and validation
    run in one worker thread. All raise `yang.provider.OperationError`; an edit with error-option
    ``continue-on-error`` raises `yang.provider.OperationErrors` with all of them.
    """

    # --- reading ---------------------------------------------------------------------------------

    @property
    def candidate(self) -> Tree:
        """The candidate configuration that sessions share."""
        return self._candidates.get()

    @property
    def startup(self) -> Tree:
        """The startup configuration."""
        return self._startup.tree(self.permanent)

    def tree(self, name: str, *, defaults: bool = False, session: int = 0) -> Tree:
        """What a datastore holds.

        Args:
            defaults: with default values. Of what differs from running they are worked out anew.
            session: whose candidate; 0 for the shared one.
        """
        _check_name(name)
        snapshot = self._running.snapshot
        tree = self._explicit(name, session)
        if not defaults:
            return tree
        if tree is snapshot.tree:
            return snapshot.full
        members = self._running.submit(self._validator.defaults, tree).result()
        return from_json(self._schema.root, members)

    def _explicit(self, name: str, session: int) -> Tree:
        if name == "running":
            return self.running.tree
        return self.startup if name == "startup" else self._candidates.get(session)

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
        if target == "candidate" and self._candidates.lock(session.id):
            return
        async with self._change:  # a lock is not given while another session's change is under way
            self._lock(session, target)

    def _lock(self, session: Session, target: str) -> None:
        if target == "candidate" and self._locks.holder(target) is None and self.is_dirty():
            raise denied(0, "the candidate has changes that were neither committed nor discarded")
        if target == "running" and self._confirm.is_foreign(session.id):
            raise denied(self._confirm.session or 0, "a confirmed commit is under way")
        self._locks.lock(session.id, target)

    async def unlock(self, session: Session, target: str) -> None:
        """Unlock a datastore; changes to the shared candidate that were not committed are discarded.
        ``operation-failed`` when this session does not hold the lock."""
        _check_name(target)
        if target == "candidate" and self._candidates.unlock(session.id):
            return
        self._locks.unlock(session.id, target)
        if target == "candidate":
            self._candidates.reset(0)

    async def partial_lock(self, session: Session, paths: Sequence[str]) -> tuple[int, Sequence[str]]:
        """RFC 5717: lock the running nodes at these instance-identifiers → (lock id, locked nodes). Errors
        are those of its section 2.4.1.2."""
        nodes: list[str] = []
        for text in paths:
            try:
                path = DataPath.parse(text)
                path.schema_node(self._schema)
                self._access.check_read(path, session.user)
            except PathError as error:
                raise OperationError(
                    "invalid-value", str(error), app_tag="invalid-lock-specification"
                ) from error
            nodes.append(str(path))
        if not nodes:
            raise OperationError("operation-failed", "no node to lock", app_tag="no-matches")
        async with self._change:
            if self._confirm.is_foreign(session.id):
                refusal = denied(self._confirm.session or 0, "a confirmed commit is under way")
                refusal.app_tag = "outstanding-confirmed-commit"
                raise refusal
            return self._locks.lock_paths(session.id, nodes, session.user.name), nodes

    async def partial_unlock(self, session: Session, lock_id: int) -> None:
        """RFC 5717: give a partial lock back. ``invalid-value`` when it is not this session's."""
        self._locks.unlock_paths(session.id, lock_id)

    # --- private candidates ----------------------------------------------------------------------

    def make_private(self, session: int) -> None:
        """Give a session a candidate of its own until it ends (draft-ietf-netconf-privcand)."""
        self._candidates.make_private(session)

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
        self._check_edited(session, target)
        errors: list[OperationError] = []
        apply = self._edits.of_xml(config, default_operation, error_option == "continue-on-error", errors)
        async with self._change:
            with self._candidates.charged(
                session.id, session.user.name, () if test_option == "test-only" else config
            ):
                await self._edit_candidate(session, apply, test_option)
        if errors:
            rules = self._access.rules_for(session.user)
            raise OperationErrors([self._edits.concealed(error, rules, True) for error in errors])

    async def edit_paths(self, session: Session, target: str, operations: Sequence[PathOperation]) -> None:
        """The same from paths and JSON values; operations are applied in the order given."""
        self._check_edited(session, target)
        async with self._change:
            with self._candidates.charged(session.id, session.user.name, operations):
                await self._edit_candidate(session, self._edits.of_paths(operations))

    def _check_edited(self, session: Session, target: str) -> None:
        """Raise unless target is a candidate that this session may change."""
        _check_name(target)
        if target == "running":
            raise OperationError(
                "operation-not-supported",
                "running is not written directly: edit candidate, then commit",
                error_type="protocol",
            )
        if target == "startup":
            raise OperationError(
                "operation-not-supported",
                "startup is not edited: copy a configuration to it",
                error_type="protocol",
            )
        self._check_candidate_lock(session)

    # --- whole configurations --------------------------------------------------------------------

    async def copy(self, session: Session, target: str, source: str | etree._Element) -> None:
        """copy-config; source is a datastore's name or a ``<config>`` element.

        What the user may not read is not copied from a datastore, what differs in the target must be theirs
        to change; running → startup needs neither (RFC 8341 section 3.2.6). A target startup has to be valid.
        """
        if target != "startup":
            self._check_edited(session, target)
        self._locks.check(session.id, *([target] if target == "startup" else []))
        if source == target:
            raise OperationError("invalid-value", "source and target are the same", error_type="protocol")
        async with self._change:
            change = await self._copied(session, source)
            if target == "startup":
                self._locks.check(session.id, target)
                await finish(self._save(session, source, change))
                return
            cost = () if isinstance(source, str) else source
            with self._candidates.charged(session.id, session.user.name, cost):
                await self._edit_candidate(session, change)

    async def _save(self, session: Session, source: str | etree._Element, change: Change) -> None:
        """Make a configuration the startup configuration."""
        if source == "running":
            content = self.running.tree
        else:
            content = await self._edited(session.user, self.startup, change, "test-then-set")
            content = await self._running.in_worker(hash_passwords, content)
        before = self.startup
        if content is self.permanent and self._saves(self.running.tree):
            if self._startup.own is not None:
                await self._on_disk(self._startup.file.follow)
            self._startup.own = None
        else:
            await self._on_disk(self._startup.file.write, to_json(self._schema.root, content))
            self._startup.own = content
        log.info("config.startup-saved", user=session.user.name, origin=session.origin)
        await self._tell_of_startup(session, before)

    async def _empty_startup(self, session: Session) -> None:
        """Delete the startup configuration: the next boot begins as the first start did."""
        before = self.startup
        await self._on_disk(self._startup.file.write, None)
        self._startup.own = EMPTY
        log.info("config.startup-deleted", user=session.user.name, origin=session.origin)
        await self._tell_of_startup(session, before)

    async def _tell_of_startup(self, session: Session, before: Tree) -> None:
        author = Author(session.user.name, session.origin, "", session.id)
        found = await self._running.in_worker(changed_paths, self._schema.root, before, self.startup)
        for listener in self._startup_listeners if found else ():
            listener(found, author)

    async def delete(self, session: Session, target: str) -> None:
        """delete-config: startup or the shared candidate is emptied, a private candidate dropped (the next
        access makes a new one of running); running cannot be deleted."""
        if target == "startup":
            self._locks.check(session.id, target)
            async with self._change:
                self._locks.check(session.id, target)
                await finish(self._empty_startup(session))
            return
        self._check_edited(session, target)
        async with self._change:
            if self._candidates.find(session.id) is not None:
                self._candidates.reset(session.id)
            else:
                await self._edit_candidate(session, lambda _: EMPTY)

    async def validate(self, session: Session, source: str | etree._Element) -> None:
        """Check all constraints of a datastore or of a complete configuration."""
        with self._edits.concealing(self._access.rules_for(session.user)):
            if isinstance(source, str):
                _check_name(source)
                tree = self._explicit(source, session.id)
            else:
                tree = await self.parse(source)
            await self._running.in_worker(self._validator.complete, tree)

    async def parse(self, config: etree._Element) -> Tree:
        """What a ``<config>`` element holds, if it fits the schema; constraints are not checked."""
        result: Tree = await self._running.in_worker(self._edits.of_xml(config), EMPTY)
        return result

    async def discard(self, session: Session) -> None:
        """discard-changes: candidate becomes running again."""
        self._check_candidate_lock(session)
        async with self._change:
            self._check_candidate_lock(session)
            self._candidates.discard(session.id)

    async def _copied(self, session: Session, source: str | etree._Element) -> Change:
        """A configuration to copy, as far as the user may read it, in the place of what there is."""
        if not isinstance(source, str):
            given = self._edits.of_xml(source)
            return lambda _: given(EMPTY)
        _check_name(source)
        rules = self._access.rules_for(session.user)
        tree = self._explicit(source, session.id)
        result: Tree = await self._running.in_worker(self._edits.readable, tree, rules)
        return lambda _: result

    # --- lifecycle -------------------------------------------------------------------------------

    async def close_session(self, session_id: int) -> None:
        """A session ended, in whatever way: locks go, its private candidate and a shared one that it had
        locked are discarded, a confirmed commit of its own without persist is reverted."""
        self._candidates.drop(session_id)
        if "candidate" in self._locks.release(session_id):
            self._candidates.reset(0)
        if self._confirm.belongs_to(session_id):
            why, period = "its session ended before it was confirmed", self._confirm.period
            await finish(self._confirm.run_revert(why, "cancel", period))

    async def close(self) -> None:
        """Revert a confirmed commit that is under way, unless it goes on at the next start, and end its
        timer."""
        if self._confirm.active and not self._confirm.survives:
            why, period = "the element stopped before it was confirmed", self._confirm.period
            await finish(self._confirm.run_revert(why, "cancel", period))
        self._confirm.stop()


def changed_paths(root: SchemaNode, before: Tree, after: Tree) -> list[str]:
    """Instance-identifiers of what differs."""
    return [found.path for found in differences(root, before, after, ALLOW_ALL)]


def _check_name(name: str) -> None:
    if name not in NAMES:
        raise OperationError("invalid-value", f'there is no datastore "{name}"', error_type="protocol")


def _check_option(name: str, value: str, known: frozenset[str]) -> None:
    if value not in known:
        raise OperationError(
            "invalid-value",
            f'{name}: there is no "{value}"',
            error_type="protocol",
            info={"bad-element": name},
        )
