"""What running was at a time in the past, as far as the history of commits goes back."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from yang.datastore.data import Tree
from yang.datastore.history import Entry, Store
from yang.datastore.running import Author, Running, Snapshot
from yang.datastore.sharing import tree_of
from yang.datastore.validator import Validator
from yang.schema import Schema

_PREDICATE: Final = re.compile(r"""\[(?:'[^']*'|"(?:[^"\\]|\\.)*"|[^\]'"])*\]""", re.DOTALL)
"""In an instance-identifier: what its schema path does not have."""
_KEPT: Final = 2
"""Configurations that are kept ready."""


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit of the past.

    Attributes:
        time_ns: nanoseconds since the epoch.
        paths: schema paths of what it changed; none where that is not known, as at a start.
        user: who made it.
        confirm_id: the token of the confirmed commit that it is, or that it reverts; None when there is none,
            or the process was started since. Whoever knows it may confirm or cancel.
    """

    number: int
    time_ns: int
    paths: frozenset[str]
    user: str = ""
    confirm_id: str | None = None

    def touches(self, schema_path: str) -> bool:
        """Whether something at, above or below a schema path may have been changed."""
        return not self.paths or any(
            f"{path}/".startswith(f"{schema_path}/") or f"{schema_path}/".startswith(f"{path}/")
            for path in self.paths
        )


class Past:
    """The configurations that running was.

    Args:
        read: makes the tree of a commit's configuration, in the worker.

    Attributes:
        listeners: by who listens; called, in the loop, after each commit.
    """

    def __init__(
        self,
        schema: Schema,
        validator: Validator,
        running: Running,
        store: Store,
        read: Callable[[int], Tree],
    ) -> None:
        self._schema = schema
        self._validator = validator
        self._running = running
        self._store = store
        self._read = read
        self._confirm_ids: dict[int, str] = {}
        self._ready: dict[int, Tree] = {}
        self._reading = asyncio.Lock()
        self._commits: dict[int, Commit] = {}
        self.listeners: dict[object, Callable[[], None]] = {}
        running.on_change(self._committed)

    @property
    def oldest(self) -> int:
        """Number of the oldest commit that is remembered; one behind the newest when there is none."""
        entries = self._store.entries
        return entries[0].number if entries else self._store.next_number

    @property
    def newest(self) -> int:
        """Number of the newest commit; -1 before the first."""
        return self._store.next_number - 1

    def at(self, time_ns: int) -> int:
        """Number of the commit whose configuration was running at a time; -1 before the first of all.

        Raises:
            LookupError: it is not remembered.
        """
        for entry in reversed(self._store.entries):
            if _time_ns(entry) <= time_ns:
                return entry.number
        if self.oldest > 0:
            raise LookupError(time_ns)
        return -1

    def since(self, number: int) -> Sequence[Commit]:
        """The remembered commits from a number on, oldest first."""
        return [self._commit(entry) for entry in self._from(number)]

    def following(self, number: int) -> Commit | None:
        """The first remembered commit from a number on; what is behind it is not looked at."""
        return next((self._commit(entry) for entry in self._from(number)), None)

    def _from(self, number: int) -> Sequence[Entry]:
        first = max(0, number - self.oldest)
        return [entry for entry in self._store.entries[first:] if entry.number >= number]

    async def configuration(self, number: int) -> Tree:
        """What running was after a commit, defaults included.

        Raises:
            OperationError: ``data-missing``: it is not remembered; or it does not fit the model any more.
        """
        # one at a time: of many readers one reads for all, and a commit waits for one configuration at most
        async with self._reading:
            found = self._ready.get(number)
            if found is None:
                found = await self._running.in_worker(self._complete, number)
                while len(self._ready) >= _KEPT:
                    del self._ready[next(iter(self._ready))]
                self._ready[number] = found
            return found

    def _complete(self, number: int) -> Tree:
        members = self._validator.complete(self._read(number))
        return tree_of(self._schema.root, members, {}, {})[0]

    def _commit(self, entry: Entry) -> Commit:
        """Made once: a commit may name ten thousand instances, and every reader of the past asks for it."""
        found = self._commits.get(entry.number)
        if found is None:
            paths = frozenset(map(schema_path, entry.changed))
            found = Commit(
                entry.number, _time_ns(entry), paths, entry.user, self._confirm_ids.get(entry.number)
            )
            self._commits[entry.number] = found
        return found

    def _committed(self, _snapshot: Snapshot, _changed: Sequence[str], author: Author) -> None:
        if author.confirm_id:
            self._confirm_ids[self.newest] = author.confirm_id
            self._commits.pop(self.newest, None)  # of who has asked since it is on the disk
        for number in [number for number in self._confirm_ids if number < self.oldest]:
            del self._confirm_ids[number]
        for number in [number for number in self._commits if number < self.oldest]:
            del self._commits[number]
        for listener in tuple(self.listeners.values()):
            listener()


def schema_path(path: str) -> str:
    """Of an instance-identifier."""
    return _PREDICATE.sub("", path)


def _time_ns(entry: Entry) -> int:
    return round(datetime.fromisoformat(entry.time).timestamp() * 1_000_000) * 1000
