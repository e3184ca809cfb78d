"""Locks of datastores and of parts of running (RFC 6241 section 7.5, RFC 5717)."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from yang.provider import OperationError

_STEP_ENDS: Final = re.compile(r"[/\[]")
MAX_PARTIAL_LOCKS: Final = 1_000
MAX_SESSION_PARTIAL_LOCKS: Final = 64
"""Of one session: others are to have some too."""
MAX_USER_PARTIAL_LOCKS: Final = 500
"""Of one user in all sessions: 16 sessions would take all that there are."""


@dataclass(frozen=True, slots=True)
class PartialLock:
    """A lock of some nodes of running, with all below them."""

    id: int
    session: int
    paths: tuple[str, ...]
    since: str
    user: str = ""


class Locks:
    """Who holds what. Session 0 stands for the element itself (a confirmed commit that is under way)."""

    def __init__(self) -> None:
        self._global: dict[str, int] = {}
        self._since: dict[str, str] = {}
        self._partial: dict[int, PartialLock] = {}
        self._next = 1

    def holder(self, target: str) -> int | None:
        """Session-id of who holds the global lock, or None."""
        return self._global.get(target)

    def since(self, target: str) -> str | None:
        """When the global lock was taken (RFC 3339), or None."""
        return self._since.get(target) if target in self._global else None

    def lock(self, session: int, target: str) -> None:
        """Take a global lock. Raises ``lock-denied``."""
        if target in self._global:
            raise denied(self._global[target], f"session {self._global[target]} holds the lock of {target}")
        if target == "running":
            for partial in self._partial.values():
                if partial.session != session:
                    raise denied(
                        partial.session, f"session {partial.session} holds a lock of a part of running"
                    )
        self._global[target] = session
        self._since[target] = _now()

    def unlock(self, session: int, target: str) -> None:
        """Give a global lock back. Raises ``operation-failed``."""
        if self._global.get(target) != session:
            raise OperationError("operation-failed", f"this session does not hold the lock of {target}")
        del self._global[target]

    def lock_paths(self, session: int, paths: Sequence[str], user: str = "") -> int:
        """Lock nodes of running for a session of a user → lock id. Raises ``lock-denied``,
        ``resource-denied``."""
        holder = self._global.get("running")
        if holder not in (None, session):
            raise denied(holder or 0, f"session {holder} holds the lock of running")
        if len(self._partial) >= MAX_PARTIAL_LOCKS:
            raise OperationError("resource-denied", f"there are {MAX_PARTIAL_LOCKS} partial locks already")
        if sum(lock.session == session for lock in self._partial.values()) >= MAX_SESSION_PARTIAL_LOCKS:
            raise OperationError(
                "resource-denied", f"this session holds {MAX_SESSION_PARTIAL_LOCKS} partial locks already"
            )
        if user and sum(lock.user == user for lock in self._partial.values()) >= MAX_USER_PARTIAL_LOCKS:
            raise OperationError(
                "resource-denied",
                f"the sessions of this user hold {MAX_USER_PARTIAL_LOCKS} partial locks already",
            )
        for _, other in self._overlaps(session, paths):
            raise denied(other, f"session {other} holds a lock of a part of these nodes")
        number = self._next
        self._next += 1
        self._partial[number] = PartialLock(number, session, tuple(paths), _now(), user)
        return number

    def unlock_paths(self, session: int, number: int) -> None:
        """Give a partial lock back. Raises ``invalid-value``."""
        partial = self._partial.get(number)
        if partial is None or partial.session != session:
            raise OperationError("invalid-value", f"this session holds no partial lock {number}")
        del self._partial[number]

    def release(self, session: int) -> list[str]:
        """A session ended: its locks go. The datastores that it had locked."""
        held = [target for target, holder in self._global.items() if holder == session]
        for target in held:
            del self._global[target]
        self._partial = {n: lock for n, lock in self._partial.items() if lock.session != session}
        return held

    def check(self, session: int, *targets: str) -> None:
        """Raise ``in-use`` when another session holds the global lock of a datastore."""
        for target in targets:
            holder = self._global.get(target)
            if holder not in (None, session):
                raise OperationError(
                    "in-use", f"session {holder} holds the lock of {target}", info={"session-id": str(holder)}
                )

    def check_paths(self, session: int, changed: Iterable[str]) -> None:
        """Raise ``in-use`` when a change touches what another session has locked."""
        for path, other in self._overlaps(session, changed):
            raise OperationError("in-use", f"session {other} has locked {path}", path=path)

    def _overlaps(self, session: int, paths: Iterable[str]) -> Iterator[tuple[str, int]]:
        """Paths that are, are above, or are below what another session has locked, and that session."""
        locks = self._partial.values()
        locked = {path: lock.session for lock in locks if lock.session != session for path in lock.paths}
        if not locked:
            return
        in_order = sorted(locked)
        for path in paths:
            above = [path[: found.start()] for found in _STEP_ENDS.finditer(path)]
            for known in (path, *above):
                if known in locked:
                    yield path, locked[known]
            for below in (f"{path}/", f"{path}["):
                at = bisect_left(in_order, below)
                if at < len(in_order) and in_order[at].startswith(below):
                    yield path, locked[in_order[at]]

    def partial_locks(self) -> Sequence[PartialLock]:
        """All partial locks, for monitoring."""
        return tuple(self._partial.values())


def denied(session: int, message: str) -> OperationError:
    """A ``lock-denied`` error; session 0 is an owner that is no NETCONF session."""
    return OperationError("lock-denied", message, error_type="protocol", info={"session-id": str(session)})


def _now() -> str:
    return datetime.now(UTC).isoformat()
