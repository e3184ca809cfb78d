"""running, and the one way to change it: validate, ask the handlers, write, swap."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import structlog

from yang.access import ALLOW_ALL
from yang.datastore.data import EMPTY, Tree, differences, from_json, to_json
from yang.datastore.handlers import NOT_UNDONE, Handlers
from yang.datastore.history import Entry, Store
from yang.datastore.model import CommitResult
from yang.datastore.validator import Validator
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
    """

    tree: Tree
    members: Mapping[str, Any]
    full: Tree


Check = Callable[[Snapshot, Snapshot, Sequence[str]], None]

EMPTY_SNAPSHOT: Final = Snapshot(EMPTY, EMPTY, EMPTY)


def complete(schema: Schema, validator: Validator, tree: Tree, before: Snapshot) -> Snapshot:
    """Validate a tree. What is as in an earlier snapshot is taken over from it. In the worker.

    Raises:
        OperationError: the first constraint that does not hold.
    """
    members = validator.complete(tree)
    full: dict[str, Any] = {}
    for name, value in members.items():
        if name in before.full and before.members[name] == value:
            full[name] = before.full[name]
        else:
            full.update(from_json(schema.root, {name: value}))
    return Snapshot(tree, members, full)


@dataclass(frozen=True, slots=True)
class Author:
    """Who makes a commit; session 0 is no NETCONF session. The rest is of `yang.datastore.history.Entry`."""

    user: str
    origin: str
    comment: str = ""
    session: int = 0
    kind: str = "commit"
    restores: int | None = None
    confirm_timeout: float | None = None


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

    def on_change(self, listener: Callable[[Snapshot, Sequence[str], Author], None]) -> None:
        """Call `listener(snapshot, changed, author)` after each commit, in the loop."""
        self._listeners.append(listener)

    async def replace(self, tree: Tree, author: Author, check: Check | None = None) -> CommitResult:
        """Make a tree running.

        The work goes on to its end, one way or the other, even if the caller is cancelled.

        Args:
            check: called with the snapshots before and after and what changes, before anything is asked; may
                raise.

        Raises:
            OperationError: it is not valid, a handler refuses, or it cannot be written.
        """
        return await finish(self._replace(tree, author, check))

    async def _replace(self, tree: Tree, author: Author, check: Check | None) -> CommitResult:
        old = self.snapshot
        snapshot, changed = await self.in_worker(self._prepare, old, tree)
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
            await self.in_worker(self._store.write_running, to_json(self._schema.root, snapshot.tree))
        except OSError as error:
            log.error("config.write-failed", error=str(error))

    def _prepare(self, old: Snapshot, tree: Tree) -> tuple[Snapshot, list[str]]:
        """In the worker: the valid snapshot of a tree, and what differs from the old one."""
        tree = hash_passwords(tree)
        changed = [found.path for found in differences(self._schema.root, old.tree, tree, ALLOW_ALL)]
        if not changed:
            return old, changed
        return complete(self._schema, self._validator, tree, old), changed

    def _stage(self, snapshot: Snapshot, entry: Entry) -> None:
        """In the worker."""
        self._store.stage(to_json(self._schema.root, snapshot.tree), entry)


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
