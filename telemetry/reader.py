"""Reading the tree for one subscriber, in its encoding."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from telemetry.packing import Entry, elements
from telemetry.plan import Content
from telemetry.protocol import gnmi_pb2 as pb
from telemetry.protocol.model import encode_octets, nested
from telemetry.reach import Reach
from telemetry.records import Leaf
from yang.access import User
from yang.path import DataPath
from yang.schema import SchemaNode
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
        reach: what is left out.
    """

    tree: Tree = field(compare=False)
    user: User
    encoding: int
    aggregate: bool = False
    origin: str = ""
    target: str = ""
    reach: Reach = field(default_factory=Reach)

    @property
    def prefix(self) -> pb.Path:
        """Prefix of notifications whose paths start at the root."""
        return pb.Path(origin=self.origin, target=self.target)

    def read(
        self, paths: Sequence[DataPath], content: Content, configuration: Mapping[str, Any] | None = None
    ) -> Iterator[tuple[DataPath, list[Leaf]]]:
        """Entries with their leaves.

        Args:
            configuration: one of the past, in the place of what there is now.
        """
        found = scalars(self.tree, self.user, paths, content, configuration)
        if self.reach.models is None:
            return found
        kept = ((path, self.reach.kept(path, leaves)) for path, leaves in found)
        return ((path, leaves) for path, leaves in kept if leaves)

    async def read_slowly(
        self, paths: Sequence[DataPath], content: Content, configuration: Mapping[str, Any] | None = None
    ) -> AsyncIterator[tuple[DataPath, list[Leaf]]]:
        """The same, with a pause after each slice; what has to be fetched is."""
        if configuration is None:
            await self.tree.prepare(self.tree.select_paths(paths))
        for number, entry in enumerate(self.read(paths, content, configuration), 1):
            yield entry
            if number % SLICE == 0:
                await asyncio.sleep(0)

    def entry(self, path: DataPath, leaves: Sequence[Leaf], deletes: Sequence[tuple[str, ...]] = ()) -> Entry:
        """Leaves of one entry, encoded."""
        return Entry(elements(path.to_gnmi()), self.updates(leaves), deletes)

    def updates(self, leaves: Sequence[Leaf]) -> list[tuple[tuple[str, ...], bytes]]:
        """Leaves, encoded; with `aggregate` as one object."""
        if self.aggregate and leaves and self.encoding in (pb.JSON, pb.JSON_IETF):
            return [((), nested(leaves, self.encoding).SerializeToString())]
        return [(names, encode_octets(value, node, self.encoding)) for names, value, node in leaves]


def scalars(
    tree: Tree,
    user: User,
    paths: Sequence[DataPath],
    content: Content,
    configuration: Mapping[str, Any] | None = None,
) -> Iterator[tuple[DataPath, list[Leaf]]]:
    """Entries with the leaves that these paths select.

    Defaults that are in use are values (specification, 3.3.4 and 3.5.2.4). The tree gives the keys of every
    entry on the way; here they are there only if they were asked for, since gNMI has them in the path, and
    configured keys are no state.
    """
    selection = tree.select_paths(paths)
    ends = {node for part in selection.parts for node in part.targets}
    asked: dict[SchemaNode, bool] = {}

    def wanted(node: SchemaNode) -> bool:
        if not node.is_key:
            return True
        known = asked.get(node)
        if known is None:
            stateless = content == "state" and node.config
            known = asked[node] = not stateless and any(step in ends for step in node.chain)
        return known

    found = tree.read_leaves(
        selection, user, content=content, with_defaults="report-all", configuration=configuration
    )
    for path, leaves in found:
        kept = [leaf for leaf in leaves if wanted(leaf[2])]
        if kept:
            yield path, kept


def same(left: Any, right: Any) -> bool:
    """Equal, and of the same type: True is not 1 to a client."""
    return type(left) is type(right) and bool(left == right)
