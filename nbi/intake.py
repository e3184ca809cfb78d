"""Requests that are on their way in: what all sessions together hold of them.

One request is bounded by `Limits.max_message`; with 128 sessions that alone would be 2 GiB, and many times
as much when they are parsed: an element of four octets takes some two hundred.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, Protocol

MAX_HELD: Final = 128 * 1024 * 1024
"""Octets of requests that all sessions together may have sent and not been answered yet."""
MAX_HELD_BY_USER: Final = 64 * 1024 * 1024
"""The same of the sessions of one user: others are to have some too."""
LARGE: Final = 65_536
"""Requests from this size on are parsed in a thread, and only some at once."""
LARGE_AT_ONCE: Final = 4
"""Large requests that are parsed and carried out at the same time; the others wait. Changes are carried out
one after the other in any case."""


class Holder(Protocol):
    """A session."""

    @property
    def user_name(self) -> str: ...

    @property
    def held(self) -> int:
        """Octets received of requests that are not answered."""


class Intake:
    """Counts what sessions hold.

    Args:
        sessions: those that there are.
    """

    def __init__(self, sessions: Callable[[], Iterable[Holder]]) -> None:
        self._sessions = sessions
        self.large = asyncio.Semaphore(LARGE_AT_ONCE)

    def refusal(self, user: str) -> str | None:
        """Why a session of this user, which just received more, may not hold as much; None when it may."""
        whole = own = 0
        for session in self._sessions():
            held = session.held
            whole += held
            if session.user_name == user:
                own += held
        if own > MAX_HELD_BY_USER:
            return f"requests of this user that wait are larger than {MAX_HELD_BY_USER} octets together"
        if whole > MAX_HELD:
            return f"requests of all users that wait are larger than {MAX_HELD} octets together"
        return None
