"""running, and the one way to change it: validate and write beside it, ask the handlers, swap."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
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
from yang.datastore.staging import Staged, Staging
from yang.datastore.validator import Validator
from yang.provider import ConfigDiff, ConfigHandler, OperationError
from yang.schema import Schema
from yang.users import hash_cleartext

T = TypeVar("T")
_UNWATCHED: Final[set[asyncio.Task[Any]]] = set()
_MOMENT: Final = 0.05
"""Seconds after a commit in which its reply is on its way."""

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


def complete(
    schema: Schema,
    validator: Validator,
    tree: Tree,
    before: Snapshot,
    explicit: dict[str, Any] | None = None,
) -> Snapshot:
    """Validate a tree. What is as in an earlier snapshot is taken over from it. In the worker.

    Args:
        explicit: the tree in RFC 7951, if that is known.

    Raises:
        OperationError: the first constraint that does not hold.
    """
    if explicit is None:
        explicit = members_of(schema.root, tree, before.tree, before.explicit)
    known = validator.kept.follow(before.tree, tree, before.full, before.members)
    if known is not None:
        return Snapshot(tree, known[1], known[0], explicit)
    found = validator.complete(tree, explicit, keep=True)
    full, members = tree_of(schema.root, found, before.members, before.full, (explicit, tree))
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
        self._staging = Staging(store)
        self._handlers = Handlers(handlers)
        self._listeners: list[Callable[[Snapshot, Sequence[str], Author], None]] = []
        self.snapshot = snapshot

    async def in_worker(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function in the worker thread, where libyang lives."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, function, *args)

    def submit(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        """The same for a caller that cannot wait in the loop."""
        return self._worker.submit(function, *args)

    def close(self) -> None:
        """At the end: free what libyang has of the configuration, and end the thread that writes."""
        self._worker.submit(self._validator.kept.drop)
        self._staging.close()

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
        begun = await self.in_worker(self._begin, old, tree, author, compared)
        if begun is None:
            return CommitResult(0)
        snapshot, staged = begun
        entry: Entry = staged.entry
        changed = entry.changed
        diff = ConfigDiff(changed, snapshot.members, old.members)
        try:
            if check is not None:
                check(old, snapshot, changed)
            prepared = await self._handlers.prepare(diff)
        except BaseException:
            await self.in_worker(staged.give_up)
            raise
        try:
            await staged.wait()
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
        asyncio.get_running_loop().call_later(_MOMENT, _let_go, old, tree, compared, staged)
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

    def _begin(
        self, old: Snapshot, tree: Tree, author: Author, compared: Compared | None
    ) -> tuple[Snapshot, Staged] | None:
        """In the worker: the valid snapshot of a tree, which is on its way to the disk; None: nothing differs
        from the old one."""
        tree = hash_passwords(tree)
        found: Sequence[Difference]
        if compared is not None and compared[0] is old.tree and compared[1] is tree:
            found = compared[2]
        else:
            found = list(differences(self._schema.root, old.tree, tree, ALLOW_ALL))
        if not found:
            return None
        explicit = members_of(self._schema.root, tree, old.tree, old.explicit)
        staged = self._staging.begin(explicit, found, lambda changed: self._entry(author, changed))
        try:
            snapshot = complete(self._schema, self._validator, tree, old, explicit)
            staged.entry  # noqa: B018 - that of an error there is to be told here
        except BaseException:
            staged.give_up()
            raise
        return snapshot, staged


def _let_go(*_: Any) -> None:
    """What was held until now is freed: of a large commit that takes a while, which its reply is not to wait
    for."""


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
