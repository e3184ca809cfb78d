"""Reading the tree for one subscriber, in its encoding."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from telemetry.encoder import Entry
from telemetry.plan import Content
from telemetry.protocol import gnmi_pb2 as pb
from telemetry.protocol.model import elements, encode, nested
from telemetry.records import Leaf
from yang.access import User
from yang.path import DataPath
from yang.tree import Tree

SLICE = 64
"""Entries that are read before other tasks get their turn."""


@dataclass(frozen=True, slots=True)
class Look:
    """Who reads, and what the answer looks like.

    Attributes:
        encoding: of `telemetry.protocol.model.ENCODINGS`.
        aggregate: one JSON object per container or list entry instead of a value per leaf.
        origin, target: echoed in the prefix of each notification.
    """

    tree: Tree = field(compare=False)
    user: User
    encoding: int
    aggregate: bool = False
    origin: str = ""
    target: str = ""

    @property
    def prefix(self) -> pb.Path:
        """Prefix of notifications whose paths start at the root."""
        return pb.Path(origin=self.origin, target=self.target)

    def read(self, paths: Sequence[DataPath], content: Content) -> Iterator[tuple[DataPath, list[Leaf]]]:
        """Entries with their leaves."""
        return self.tree.read_leaves(self.tree.select_paths(paths), self.user, content=content)

    async def read_slowly(
        self, paths: Sequence[DataPath], content: Content
    ) -> AsyncIterator[tuple[DataPath, list[Leaf]]]:
        """The same, with a pause after each slice."""
        for number, entry in enumerate(self.read(paths, content), 1):
            yield entry
            if number % SLICE == 0:
                await asyncio.sleep(0)

    def entry(self, path: DataPath, leaves: Sequence[Leaf], deletes: Sequence[tuple[str, ...]] = ()) -> Entry:
        """Leaves of one entry, encoded."""
        return Entry(elements(path), self.updates(leaves), deletes)

    def updates(self, leaves: Sequence[Leaf]) -> list[tuple[tuple[str, ...], pb.TypedValue]]:
        """Leaves, encoded; with `aggregate` as one object."""
        if self.aggregate and leaves and self.encoding in (pb.JSON, pb.JSON_IETF):
            return [((), nested(leaves, self.encoding))]
        return [(names, encode(value, node, self.encoding)) for names, value, node in leaves]


def same(left: Any, right: Any) -> bool:
    """Equal, and of the same type: True is not 1 to a client."""
    return type(left) is type(right) and bool(left == right)
