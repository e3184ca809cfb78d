"""A commit on its way to the disk: it is written beside what is there while libyang validates it.

libyang does not hold Python's lock, nor does who waits for the disk: both take as long as the longer of them.
What was written of a commit that is refused is thrown away; a start after a kill does that, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Any

from yang.datastore.data import Difference
from yang.datastore.history import Entry, Store
from yang.path import paths_text


class Staged:
    """One commit that is being written."""

    def __init__(self, store: Store, named: Future[Entry], written: Future[None]) -> None:
        self._store = store
        self._named = named
        self._written = written

    @property
    def entry(self) -> Entry:
        """The commit in the history; waits until its changes have been named, which no disk is needed for."""
        return self._named.result()

    async def wait(self) -> None:
        """Wait until all of it is on the disk.

        Raises:
            OSError: it cannot be written; nothing of it is left.
        """
        await asyncio.wrap_future(self._written)

    def give_up(self) -> None:
        """Throw away what was written. Not in the loop: this waits for the disk."""
        wait((self._written,))
        with suppress(Exception):  # one that could not be named was not written
            self._store.discard(self.entry)


class Staging:
    """Writes commits, one after the other, in a thread of its own."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="commits")

    def begin(
        self,
        members: Mapping[str, Any],
        found: Sequence[Difference],
        entry_of: Callable[[Sequence[str]], Entry],
    ) -> Staged:
        """Begin to write a commit.

        Args:
            members: the configuration, RFC 7951 without defaults.
            found: what differs from the one before.
            entry_of: makes an entry of the history of the changed instances.
        """
        named = self._writer.submit(lambda: entry_of(paths_text(difference.steps for difference in found)))
        written = self._writer.submit(lambda: self._store.stage(members, named.result()))
        return Staged(self._store, named, written)

    def close(self) -> None:
        """End the thread."""
        self._writer.shutdown(wait=False)
