"""What changed since when: the bounded memory behind `yang.provider.WatchableProvider`."""

from __future__ import annotations

from collections import OrderedDict

from yang.provider import Keys


class ChangeLog:
    """The keys that changed after a version, each once.

    Args:
        limit: keys that are remembered; who asks for more must read everything again.
    """

    def __init__(self, limit: int = 200_000) -> None:
        self.version = 0
        self._limit = limit
        self._floor = 0
        self._changed: OrderedDict[Keys, int] = OrderedDict()

    def note(self, keys: Keys) -> None:
        """Something about the entry with these keys changed."""
        self.version += 1
        self._changed[keys] = self.version
        self._changed.move_to_end(keys)
        if len(self._changed) > self._limit:
            self._floor = self._changed.popitem(last=False)[1]

    def note_all(self) -> None:
        """Too much changed to say what."""
        self.version += 1
        self._floor = self.version
        self._changed.clear()

    def since(self, version: int) -> list[Keys] | None:
        """Keys that changed after a version, oldest change first; None when it is too long ago."""
        if version < self._floor:
            return None
        found = []
        for keys in reversed(self._changed):
            if self._changed[keys] <= version:
                break
            found.append(keys)
        found.reverse()
        return found
