"""How much is remembered for subscribers: what each knows, to be compared with what there is.

An entry of a list takes about a kilobyte. A list of 1,000 paths, each to all of 10,000 sessions, would take
more than an element has. And what one user takes is not there for others: a user may take half of what these
leave, so that there is always as much left as anybody has, and whoever comes finds some.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from telemetry.errors import Code, Refused

OF_A_STREAM: Final = 250_000
OF_ALL: Final = 1_000_000
"""Containers and entries of lists; an entry counts for each subscription that it is known to."""


def share(whole: int, others: int) -> int:
    """Half of what others leave: as much as one user may have.

    Args:
        whole: what there is for all.
        others: what all other users have.
    """
    return max(0, whole - others) // 2


class Memory:
    """Counts entries of all streams, by user.

    Args:
        limit: of entries.
    """

    def __init__(self, limit: int = OF_ALL) -> None:
        self.limit = limit
        self._of_users: Counter[str] = Counter()

    @property
    def entries(self) -> int:
        """How many there are."""
        return self._of_users.total()

    def of(self, user: str) -> int:
        """How many a user has."""
        return self._of_users[user]

    def grow(self, user: str, entries: int) -> None:
        """So many more, or fewer."""
        self._of_users[user] += entries
        if not self._of_users[user]:
            del self._of_users[user]


class StreamMemory:
    """Counts entries of one stream.

    Attributes:
        complete: the client has been told all that there was. From then on what is there grows and shrinks
            by itself, and a stream does not end because other users have come: it is held to half of all.

    Args:
        limit: of entries.
        whole: what this is a part of.
    """

    def __init__(self, whole: Memory, user: str, limit: int = OF_A_STREAM) -> None:
        self.complete = False
        self._entries = 0
        self._limit = limit
        self._whole = whole
        self._user = user

    def grow(self, entries: int) -> None:
        """So many more, or fewer. Raises Refused (RESOURCE_EXHAUSTED): too many; they are counted."""
        self._entries += entries
        self._whole.grow(self._user, entries)
        if entries <= 0:
            return
        if self._entries > self._limit:
            raise _exhausted("a subscription list", self._limit)
        taken = self._whole.of(self._user)
        others = 0 if self.complete else self._whole.entries - taken
        most = share(self._whole.limit, others)
        if taken > most:
            raise _exhausted(f"the user {self._user}", most)
        if self._whole.entries > self._whole.limit:
            raise _exhausted("all users", self._whole.limit)


def _exhausted(whose: str, limit: int) -> Refused:
    return Refused(
        Code.RESOURCE_EXHAUSTED,
        f"what has to be remembered for subscriptions on change of {whose} is more than {limit} entries: "
        "subscribe to less, or to samples",
    )
