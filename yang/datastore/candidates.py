"""The candidate that all sessions share, and the private ones of sessions that asked for them.

Private candidates are those of draft-ietf-netconf-privcand: a branch of running, made when a session first
looks at or edits its candidate, which takes over what changes in running only by ``update`` or ``commit``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from lxml import etree

from yang.datastore.data import EMPTY, Tree
from yang.provider import OperationError

MAX_EDITED: Final = 250_000
"""Elements of requests that a private candidate may be edited with until it is committed or discarded."""
MAX_EDITED_BY_USER: Final = 400_000
"""The same of all private candidates of one user: others are to have some too."""
MAX_EDITED_BY_ALL: Final = 1_000_000
MAX_EDITED_SHARED: Final = 1_000_000
"""The same of the candidate that sessions share, whoever edits it, until it is committed or discarded; one
message has half as many at most."""


@dataclass(slots=True)
class Private:
    """The candidate of one session.

    Attributes:
        base: what running was when the branch was made or last updated; None while there is no branch.
        tree: what the branch holds.
        edited: elements of the requests that made it differ.
        user: whose requests they were.
        locked: since when its session has locked it (RFC 3339), or None. A lock of what nobody else sees
            keeps nobody out, but whoever locks twice, or unlocks what is not locked, is told.
    """

    base: Tree | None = None
    tree: Tree = field(default_factory=dict)
    edited: int = 0
    user: str = ""
    locked: str | None = None

    def go_back(self, committed: Tree, reverted: Tree) -> None:
        """A confirmed commit of this session was reverted: what it had changed is in the branch again.

        Args:
            committed: what running was after the commit.
            reverted: what it is now.
        """
        if self.base is None:
            self.tree = committed
        elif self.base is not committed:
            return  # it has seen later changes of others: an update shows the revert as a change of running
        self.base = reverted

    def forget(self) -> None:
        """Drop the branch; the next access makes a new one."""
        self.base, self.tree, self.edited = None, EMPTY, 0


class Candidates:
    """What candidate is, for each session; session 0 is no session and has the shared one.

    Args:
        running: the running configuration, as of now.
    """

    def __init__(self, running: Callable[[], Tree]) -> None:
        self._running = running
        self._private: dict[int, Private] = {}
        self._shared: Tree | None = None
        self._shared_edited = 0

    # --- private candidates ----------------------------------------------------------------------

    def make_private(self, session: int) -> None:
        """From now on `candidate` is this session's own."""
        self._private.setdefault(session, Private())

    def private(self, session: int) -> Private | None:
        """The private candidate with its branch, or None for a session that has none."""
        private = self._private.get(session)
        if private is not None and private.base is None:
            private.base = private.tree = self._running()
        return private

    def find(self, session: int | None) -> Private | None:
        """The private candidate as it is, or None for a session that has none."""
        return None if session is None else self._private.get(session)

    def drop(self, session: int) -> None:
        """The session ended."""
        self._private.pop(session, None)

    @contextmanager
    def charged(self, session: int, user: str, edit: Sequence[Any] | etree._Element) -> Iterator[None]:
        """Count an edit, the elements of a request or operations on paths; one that fails does not count.

        Raises:
            OperationError: ``resource-denied``: with it, candidates would take too much memory.
        """
        private = self._private.get(session)
        elements = sum(1 for _ in edit.iter()) if isinstance(edit, etree._Element) else len(edit)
        if private is None:
            if self._shared_edited + elements > MAX_EDITED_SHARED:
                raise OperationError(
                    "resource-denied",
                    f"the candidate takes edits of {MAX_EDITED_SHARED} elements at most: "
                    "commit or discard what it has first",
                )
            yield
            if self._shared is not None:
                self._shared_edited += elements
            return
        if private.edited + elements > MAX_EDITED:
            raise OperationError(
                "resource-denied",
                f"a private candidate takes edits of {MAX_EDITED} elements at most: commit what it has first",
            )
        others = self._private.values()
        if sum(other.edited for other in others if other.user == user) + elements > MAX_EDITED_BY_USER:
            raise OperationError(
                "resource-denied", f"the private candidates of user {user} together are too large"
            )
        if sum(other.edited for other in others) + elements > MAX_EDITED_BY_ALL:
            raise OperationError(
                "resource-denied", "the private candidates of all sessions together are too large"
            )
        private.edited += elements
        private.user = user
        try:
            yield
        except BaseException:
            private.edited = max(0, private.edited - elements)
            raise

    def lock(self, session: int) -> bool:
        """Note that a session locked its private candidate; False when it has none.

        Raises:
            OperationError: ``lock-denied`` when it did so before.
        """
        private = self._private.get(session)
        if private is None:
            return False
        if private.locked is not None:
            raise OperationError(
                "lock-denied",
                "this session holds the lock of its candidate already",
                error_type="protocol",
                info={"session-id": str(session)},
            )
        private.locked = datetime.now(UTC).isoformat()
        return True

    def unlock(self, session: int) -> bool:
        """Note that a session unlocked its private candidate, whose changes stay; False when it has none.

        Raises:
            OperationError: ``operation-failed`` when it had not locked it.
        """
        private = self._private.get(session)
        if private is None:
            return False
        if private.locked is None:
            raise OperationError("operation-failed", "this session does not hold the lock of candidate")
        private.locked = None
        return True

    # --- either ----------------------------------------------------------------------------------

    @property
    def shared(self) -> Tree | None:
        """The shared candidate; None while it is running."""
        return self._shared

    def get(self, session: int = 0) -> Tree:
        """What candidate is for a session."""
        private = self.private(session)
        if private is not None:
            return private.tree
        return self._running() if self._shared is None else self._shared

    def set(self, session: int, tree: Tree) -> None:
        """Make a tree the candidate of a session."""
        private = self.private(session)
        if private is not None:
            private.tree = tree
        elif tree:
            self._shared = tree
        else:
            self._shared, self._shared_edited = tree, 0

    def reset(self, session: int) -> None:
        """The candidate becomes running again: after a commit, or when it is deleted."""
        private = self._private.get(session)
        if private is not None:
            private.forget()
        else:
            self._share_running()

    def discard(self, session: int) -> None:
        """discard-changes. A private candidate goes back to where it was made or last updated (the draft's
        section on discard-changes), which need not be what running is now."""
        private = self.private(session)
        if private is None:
            self._share_running()
        elif private.base is not None:
            private.tree, private.edited = private.base, 0

    def _share_running(self) -> None:
        self._shared, self._shared_edited = None, 0
