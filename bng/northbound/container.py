"""What providers of a container, which has one record and no keys, have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod

from yang.provider import Keys, Record


class ContainerProvider(ABC):
    """A StateProvider of a container; `record` is what there is to tell."""

    path: str

    @abstractmethod
    def record(self) -> Record | None:
        """The container's record, or None while nothing is known."""

    def get(self, keys: Keys) -> Record | None:
        return None if keys else self.record()

    def iter(self) -> list[Record]:
        record = self.record()
        return [] if record is None else [record]
