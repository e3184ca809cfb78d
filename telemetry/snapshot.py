"""What a Get answers with: serialised Notification.update fields, made piece by piece.

A Get of thousands of sessions takes longer than the event loop may be held. So everything is read entry by
entry, also the entries of a list inside the one JSON object that a path leads to, and others get their turn
in between. What comes out is octets; no message object holds it a second time.
"""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson

from telemetry.errors import Code, Refused
from telemetry.pace import Pace
from telemetry.packing import below, elements, framed, update
from telemetry.plan import Content, Target, targets, without
from telemetry.protocol import gnmi_pb2 as pb
from telemetry.protocol.model import encode_octets, member, plain_tree
from telemetry.reach import Reach
from telemetry.reader import scalars
from yang.access import User
from yang.path import DESCEND, DataPath
from yang.schema import SchemaNode
from yang.tree import Tree

CHUNK = 64 * 1024
"""Octets that are put together at a time."""

_LARGE = 1024 * 1024
"""Octets of an answer that is worth the trouble of making room for it."""

_PAGE = 4096

_ARRAY = b"\0"
"""Begins what stands for an array until its text is put together; no JSON text holds a NUL."""

_JSON_FIELDS: dict[int, int] = {
    pb.JSON: pb.TypedValue.DESCRIPTOR.fields_by_name["json_val"].number,
    pb.JSON_IETF: pb.TypedValue.DESCRIPTOR.fields_by_name["json_ietf_val"].number,
}


class Progress(Pace):
    """Lets others go on in between, and knows how large the answer has become.

    Args:
        limit: octets of the answer.
    """

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit
        self._size = 0

    def grow(self, octets: int) -> None:
        """The answer has so much more. Raises Refused (RESOURCE_EXHAUSTED) when that is too much."""
        self._size += octets
        if self._size > self._limit:
            raise Refused(
                Code.RESOURCE_EXHAUSTED,
                f"the answer is larger than {self._limit} octets: name less, limit it with the Depth "
                "extension, or use Subscribe with mode ONCE, which sends it in pieces",
            )

    async def written(self, pieces: list[bytes]) -> bytes:
        """The pieces as one; large ones are copied once, and not all at a time.

        The list is emptied on the way, so that there is no second copy when the answer is sent.
        """
        buffer = io.BytesIO()
        pieces.reverse()
        while pieces:
            buffer.write(pieces.pop())
            await self.pause()
        octets = buffer.getvalue()
        await self._make_room(len(octets))
        return octets

    async def _make_room(self, octets: int) -> None:
        """Have the kernel give the memory that gRPC will copy the answer to, a piece at a time: most of what
        the copy takes, which holds the loop, are page faults. What is freed here is what it gets."""
        if octets < _LARGE:
            return
        np.empty(
            octets + _LARGE, np.uint8
        )  # freed at once: malloc keeps memory of a size that it has seen freed
        room = np.empty(octets, np.uint8)
        for start in range(0, octets, CHUNK):
            room[start : start + CHUNK : _PAGE] = 0
            await self.pause()


class Chunk:
    """Small pieces on their way to become a larger one."""

    def __init__(self) -> None:
        self.items: list[bytes] = []
        self._size = 0

    def add(self, *pieces: bytes) -> None:
        """Append pieces."""
        self.items += pieces
        self._size += sum(map(len, pieces))

    @property
    def full(self) -> bool:
        """It is time to `take`."""
        return self._size > CHUNK

    def take(self) -> bytes:
        """All of it; nothing is left."""
        taken = b"".join(self.items)
        self.items.clear()
        self._size = 0
        return taken


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one Get reads."""

    tree: Tree
    user: User
    content: Content
    encoding: int
    reach: Reach = field(default_factory=Reach)

    async def updates(self, path: DataPath, progress: Progress) -> AsyncIterator[bytes]:
        """Pieces of the updates for one path. Raises Refused, and what reading raises."""
        if self.content != "config":
            await self.tree.prepare(self.tree.select_paths([path]))
        found = self._targets(path)
        if self.encoding in _JSON_FIELDS:
            made = self._objects(path, found, progress)
        else:
            made = self._scalars(path, found, progress)
        async for piece in made:
            yield piece

    def _targets(self, path: DataPath) -> list[Target] | None:
        """What the path leads to, if that can be told by the schema; the root is all that is in it."""
        if sum(step.name == DESCEND for step in path.steps) > 1:
            return None
        found = targets(self.tree, path)
        if not path.steps:
            (root,) = found
            found = [Target(node, DataPath.of_node(node), True) for node in root.node.data_children]
        return [target for target in found if self.reach.has(target.node)]

    # --- one update per leaf ---------------------------------------------------------------------

    async def _scalars(
        self, path: DataPath, found: Sequence[Target] | None, progress: Progress
    ) -> AsyncIterator[bytes]:
        paths = [path]
        if self.reach.limited and found is not None:
            top = self.tree.schema.root if not path.steps else None
            paths = [
                piece.path
                for target in found
                for piece in without(target, self.reach.hidden(target.node, top))
            ]
        chunk = Chunk()
        for entry, leaves in scalars(self.tree, self.user, paths, self.content) if paths else ():
            above = elements(entry.to_gnmi())
            for names, value, node in self.reach.kept(entry, leaves):
                made = update(above + below(names), encode_octets(value, node, self.encoding))
                progress.grow(len(made))
                chunk.add(made)
            if chunk.full:
                yield chunk.take()
            await progress.pause()
        yield chunk.take()

    # --- one update per instance -----------------------------------------------------------------

    async def _objects(
        self, path: DataPath, found: Sequence[Target] | None, progress: Progress
    ) -> AsyncIterator[bytes]:
        top = self.tree.schema.root if not path.steps else None
        for target in found if found is not None else ():
            lists = [] if target.node.presence else list(_outermost_lists(target.node))
            if not lists or any(node.kind == "list" for node in target.node.chain):
                async for piece in self._instances(target.path, top or target.node, progress):
                    yield piece
                continue
            text = await self._assembled(target, lists, top or target.node, progress)
            for piece in self._update(target.path, text) if text else ():
                yield piece
        if found is None:
            async for piece in self._instances(path, None, progress):
                yield piece

    async def _instances(
        self, path: DataPath, top: SchemaNode | None, progress: Progress
    ) -> AsyncIterator[bytes]:
        """Instances as they are: none of them holds a long list."""
        chunk = Chunk()
        for instance, value in self._read(path):
            node = instance.schema_node(self.tree.schema)
            shown = self.reach.pruned(value, node, top or node)
            if shown is not None:
                octets = orjson.dumps(self._plain(shown, node))
                progress.grow(len(octets))
                chunk.add(*self._update(instance, [octets]))
            if chunk.full:
                yield chunk.take()
            await progress.pause()
        yield chunk.take()

    async def _assembled(
        self, target: Target, lists: Sequence[SchemaNode], top: SchemaNode, progress: Progress
    ) -> list[bytes]:
        """The object of a container, in pieces: what is in its lists is encoded entry by entry."""
        value: dict[str, Any] = {}
        arrays: list[list[bytes]] = []
        for piece in without(target, set(lists)):
            for _, found in self._read(piece.path):
                shown = self.reach.pruned(_inside(found, piece.node), piece.node, top)
                if shown is not None:
                    self._place(value, target.node, piece.node, self._plain(shown, piece.node))
                await progress.pause()
        for node in lists:
            entries: list[bytes] = []
            chunk = Chunk()
            for _, found in self._read(DataPath.of_node(node)):
                shown = self.reach.pruned(_inside(found, node), node, top)
                if shown is not None:
                    octets = orjson.dumps(self._plain(shown, node))
                    progress.grow(len(octets))
                    chunk.add(b"," if entries or chunk.items else b"[", octets)
                if chunk.full:
                    entries.append(chunk.take())
                await progress.pause()
            if entries or chunk.items:
                arrays.append([*entries, chunk.take(), b"]"])
                self._place(value, target.node, node, orjson.Fragment(_ARRAY + b"%d " % len(arrays)))
        if not value:
            return []
        first, *others = orjson.dumps(value).split(_ARRAY)
        text = [first]
        for part in others:  # objects may come in another order than they were placed in
            number, _, after = part.partition(b" ")
            text += [*arrays[int(number) - 1], after]
        return text

    def _read(self, path: DataPath) -> Iterator[tuple[DataPath, Any]]:
        selection = self.tree.select_paths([path])
        return self.tree.read_json(selection, self.user, content=self.content, with_defaults="report-all")

    def _plain(self, value: Any, node: SchemaNode) -> Any:
        return value if self.encoding == pb.JSON_IETF else plain_tree(value, node)

    def _place(self, value: dict[str, Any], top: SchemaNode, node: SchemaNode, content: Any) -> None:
        """Put a descendant's content where it belongs in the object of `top`."""
        ietf = self.encoding == pb.JSON_IETF
        names = [step.json_name for step in node.chain[len(top.chain) :]]
        if not names:
            value.update(content)
            return
        if ":" not in names[0]:  # the outermost names stand alone (RFC 7951 section 4)
            names[0] = f"{top.module}:{names[0]}"
        for name in names[:-1]:
            value = value.setdefault(member(name, ietf), {})
        value[member(names[-1], ietf)] = content

    def _update(self, path: DataPath, octets: list[bytes]) -> list[bytes]:
        value = framed(3, framed(_JSON_FIELDS[self.encoding], octets))
        return framed(4, [*framed(1, [elements(path.to_gnmi())]), *value])


def _outermost_lists(node: SchemaNode) -> Iterator[SchemaNode]:
    """Lists below a container that are in no other list and in no container with presence."""
    for child in node.data_children:
        if child.kind == "list":
            yield child
        elif child.kind == "container" and not child.presence:
            yield from _outermost_lists(child)


def _inside(value: Any, node: SchemaNode) -> Any:
    """The value of an instance as it is inside its parent: names without the module that they share."""
    if not isinstance(value, dict):
        return value
    own = f"{node.module}:"
    return {name.removeprefix(own): item for name, item in value.items()}
