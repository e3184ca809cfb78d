"""Lists that are ordered by the user: how one order becomes another by moving entries."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Order(Generic[T]):
    """The entries of a list in their order, as somebody knows it."""

    def __init__(self, before: tuple[T, ...] = ()) -> None:
        self._before = before
        self._now: list[T] = []

    def begin(self) -> Order[T]:
        """An order to be filled with what there is now; this one is what was before."""
        return Order(tuple(self._now))

    def add(self, entry: T) -> T | None:
        """The next entry as of now; the one in front of it, None for the first."""
        previous = self._now[-1] if self._now else None
        self._now.append(entry)
        return previous

    def finish(self) -> Iterator[tuple[T, T | None]]:
        """(entry, the one in front of it) for each that has to be moved, in this order, once new entries have
        been inserted behind those in front of them and those that are gone have been deleted."""
        there = set(self._now)
        known = [entry for entry in self._before if entry in there]
        old = set(known)
        for number, entry in enumerate(self._now):  # where the inserted ones went
            if entry not in old:
                at = known.index(self._now[number - 1]) + 1 if number else 0
                known.insert(at, entry)
        for number, entry in enumerate(self._now):
            if known[number] != entry:
                known.remove(entry)
                known.insert(number, entry)
                yield entry, self._now[number - 1] if number else None
