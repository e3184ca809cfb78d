"""running, and the one way to change it: validate, ask the handlers, write, swap."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import structlog

from yang.access import ALLOW_ALL
from yang.datastore.data import EMPTY, Difference, Tree, differences
from yang.datastore.handlers import NOT_UNDONE, Handlers
from yang.datastore.history import Entry, Store
from yang.datastore.model import CommitResult
from yang.datastore.sharing import members_of, tree_of
from yang.datastore.validator import Validator
from yang.path import paths_text
from yang.provider import ConfigDiff, ConfigHandler, OperationError
from yang.schema import Schema
from yang.users import hash_cleartext

T = TypeVar("T")
_UNWATCHED: Final[set[asyncio.Task[Any]]] = set()

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """A valid configuration.

    Attributes:
        tree: what was set explicitly.
        members: RFC 7951, with defaults.
        full: the tree with defaults.
        explicit: RFC 7951, without defaults.
    """

    tree: Tree
    members: Mapping[str, Any]
    full: Tree
    explicit: Mapping[str, Any] = field(default_factory=dict)


Check = Callable[[Snapshot, Snapshot, Sequence[str]], None]
Compared = tuple[Tree, Tree, Sequence[Difference]]
"""Two trees, and what differs."""

EMPTY_SNAPSHOT: Final = Snapshot(EMPTY, EMPTY, EMPTY)


def complete(schema: Schema, validator: Validator, tree: Tree, before: Snapshot) -> Snapshot:
    """Validate a tree. What is as in an earlier snapshot is taken over from it. In the worker.

    Raises:
        OperationError: the first constraint that does not hold.
    """
    explicit = members_of(schema.root, tree, before.tree, before.explicit)
    known = validator.kept.follow(before.tree, tree, before.full, before.members)
    if known is not None:
        return Snapshot(tree, known[1], known[0], explicit)
    found = validator.complete(tree, explicit, keep=True)
    full, members = tree_of(schema.root, found, before.members, before.full)
    return Snapshot(tree, members, full, explicit)


@dataclass(frozen=True, slots=True)
class Author:
    """Who makes a commit; session 0 is no NETCONF session. The rest is of `yang.datastore.history.Entry`.

    Attributes:
        confirm_id: the token of the confirmed commit that is made or reverted.
    """

    user: str
    origin: str
    comment: str = ""
    session: int = 0
    kind: str = "commit"
    restores: int | None = None
    confirm_timeout: float | None = None
    confirm_id: str | None = None


class Running:
    """The running configuration. Commits are one after the other; each is all or nothing."""

    def __init__(
        self,
        schema: Schema,
        validator: Validator,
        worker: ThreadPoolExecutor,
        store: Store,
        handlers: Sequence[ConfigHandler],
        snapshot: Snapshot,
    ) -> None:
        self._schema = schema
        self._validator = validator
        self._worker = worker
        self._store = store
        self._handlers = Handlers(handlers)
        self._listeners: list[Callable[[Snapshot, Sequence[str], Author], None]] = []
        self.snapshot = snapshot

    async def in_worker(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function in the worker thread, where libyang lives."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, function, *args)

    def submit(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        """The same for a caller that cannot wait in the loop."""
        return self._worker.submit(function, *args)

    def forget(self) -> None:
        """In the worker, at the end: free what libyang has of the configuration."""
        self._validator.kept.drop()

    def on_change(self, listener: Callable[[Snapshot, Sequence[str], Author], None]) -> None:
        """Call `listener(snapshot, changed, author)` after each commit, in the loop."""
        self._listeners.append(listener)

    async def replace(
        self, tree: Tree, author: Author, check: Check | None = None, compared: Compared | None = None
    ) -> CommitResult:
        """Make a tree running.

        The work goes on to its end, one way or the other, even if the caller is cancelled.

        Args:
            check: called with the snapshots before and after and what changes, before anything is asked; may
                raise.
            compared: what differs between two trees; of use if they are running and `tree`.

        Raises:
            OperationError: it is not valid, a handler refuses, or it cannot be written.
        """
        return await finish(self._replace(tree, author, check, compared))

    async def _replace(
        self, tree: Tree, author: Author, check: Check | None, compared: Compared | None
    ) -> CommitResult:
        old = self.snapshot
        snapshot, changed = await self.in_worker(self._prepare, old, tree, compared)
        if not changed:
            return CommitResult(0)
        if check is not None:
            check(old, snapshot, changed)
        diff = ConfigDiff(changed, snapshot.members, old.members)
        entry = self._entry(author, changed)
        prepared = await self._handlers.prepare(diff)
        try:
            await self.in_worker(self._stage, snapshot, entry)
        except Exception as error:
            await self._handlers.abort(prepared)
            raise (_unwritten(error) if isinstance(error, OSError) else error) from error
        try:
            await self._handlers.commit(prepared, diff)
        except OperationError:
            await self.in_worker(self._store.discard, entry)
            raise
        try:
            await self.in_worker(self._store.publish, entry)
        except OSError as error:
            # the first rename may have come to be: what is on the disk is made what is running
            undone = await self._handlers.undo([handler for handler, _ in prepared], diff)
            await self.in_worker(self._store.discard, entry)
            await self._write_again(old)
            raise _unwritten(error, undone) from error
        self.snapshot = snapshot
        log.info(
            "config.committed",
            number=entry.number,
            user=author.user,
            origin=author.origin,
            changes=len(changed),
        )
        for listener in self._listeners:
            listener(snapshot, changed, author)
        return CommitResult(entry.number, changed)

    def _entry(self, author: Author, changed: Sequence[str]) -> Entry:
        return Entry(
            self._store.next_number,
            datetime.now(UTC).isoformat(),
            author.user,
            author.origin,
            author.comment,
            changed,
            author.session,
            author.kind,
            author.restores,
            author.confirm_timeout,
        )

    async def _write_again(self, snapshot: Snapshot) -> None:
        try:
            await self.in_worker(self._store.write_running, snapshot.explicit)
        except OSError as error:
            log.error("config.write-failed", error=str(error))

    def _prepare(self, old: Snapshot, tree: Tree, compared: Compared | None) -> tuple[Snapshot, list[str]]:
        """In the worker: the valid snapshot of a tree, and what differs from the old one."""
        tree = hash_passwords(tree)
        found: Iterable[Difference]
        if compared is not None and compared[0] is old.tree and compared[1] is tree:
            found = compared[2]
        else:
            found = differences(self._schema.root, old.tree, tree, ALLOW_ALL)
        changed = paths_text(difference.steps for difference in found)
        if not changed:
            return old, changed
        return complete(self._schema, self._validator, tree, old), changed

    def _stage(self, snapshot: Snapshot, entry: Entry) -> None:
        """In the worker."""
        self._store.stage(snapshot.explicit, entry)


def _unwritten(error: OSError, undone: bool = True) -> OperationError:
    log.error("config.write-failed", error=str(error))
    return OperationError(
        "operation-failed",
        f"the configuration cannot be written: {error.strerror}" + ("" if undone else f"; {NOT_UNDONE}"),
    )


async def finish(work: Coroutine[Any, Any, T]) -> T:
    """Await, but let the work go on when the waiting is cancelled."""
    task = asyncio.ensure_future(work)
    _UNWATCHED.add(task)
    task.add_done_callback(_UNWATCHED.discard)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(_report)
        raise


def _report(task: asyncio.Task[Any]) -> None:
    """Nobody waits any more: say how it ended."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("config.abandoned-change-failed", error=str(error))


def hash_passwords(tree: Tree) -> Tree:
    """The tree with cleartext passwords (``$0$…``) replaced by hashes (iana-crypt-hash)."""
    system = tree.get("ietf-system:system")
    users = (system or {}).get("authentication", {}).get("user", {})
    changed = {
        key: {**entry, "password": hash_cleartext(entry["password"])}
        for key, entry in users.items()
        if entry.get("password", "").startswith("$0$")
    }
    if not changed or system is None:
        return tree
    authentication = {**system["authentication"], "user": {**users, **changed}}
    return {**tree, "ietf-system:system": {**system, "authentication": authentication}}
