"""Columns of counters as SubscribeResponses with a fixed layout.

What limits a gNMI server in Python is the cost of each message, then that of each object in it. So the
counters of up to 400 list entries, as far as 256 KiB hold them, share one message whose octets are laid out
once: every value is a varint padded to ten octets and every `duplicates` one padded to two, and so all of
them stay where they are when they change. A tick then is a few numpy assignments per block. Padded varints
are legal protobuf and parse to the same message.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from telemetry.packing import MAXIMUM_MESSAGE
from telemetry.protocol import gnmi_pb2 as pb
from telemetry.protocol.wire import PADDED_64, delimited, padded_varint, tag, varint

BLOCK_ENTRIES = 400
MAXIMUM_DUPLICATES = (1 << 14) - 1
"""What two octets of a varint hold; more duplicates than these are reported as these."""

_DUPLICATES_WIDTH = 2
_TIMESTAMP_WIDTH = 9
_VALUE = delimited(3, tag(3, 0) + padded_varint(0, PADDED_64))  # Update.val.uint_val
_DUPLICATES = tag(4, 0) + padded_varint(0, _DUPLICATES_WIDTH)  # Update.duplicates
_CONTINUED = np.uint64(0x8080808080808080)

Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class ColumnShape:
    """What the messages of one list's columns look like.

    Attributes:
        prefix: path of the list's parent, with the origin and target that the subscriber gave.
        list_name: name of the list's element.
        key_names: names of its keys, in order.
        leaves: for each column, the element names from the entry down to the leaf.
    """

    prefix: pb.Path
    list_name: str
    key_names: tuple[str, ...]
    leaves: tuple[tuple[str, ...], ...]

    def key_texts(self, key: Key) -> dict[str, str]:
        """The keys of an entry as they are in its path."""
        return {name: key_text(value) for name, value in zip(self.key_names, key, strict=True)}


def key_text(value: object) -> str:
    """The text of a list key in a path."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _texts(keys: Sequence[Key]) -> Iterator[list[bytes]]:
    """For each key of the list, its text in all of these entries."""
    for column in zip(*keys, strict=True):
        yield [key_text(value).encode() for value in column]


class RowLayout:
    """The updates of one entry as octets, for all entries whose keys take the same number of octets.

    Attributes:
        template: the row, with zeros for keys and values.
        keys: for each key, where it stands: once per leaf.
        values: where each leaf's value stands.
        ends: where each leaf's update ends.
    """

    def __init__(self, shape: ColumnShape, sizes: tuple[int, ...]) -> None:
        octets = bytearray()
        self.keys: list[list[int]] = [[] for _ in sizes]
        self.values: list[int] = []
        self.ends: list[int] = []
        entry, places = _entry_element(shape, sizes)
        for leaf in shape.leaves:
            below = b"".join(delimited(3, delimited(1, name.encode())) for name in leaf)
            path = delimited(1, entry + below)
            update = delimited(4, path + _VALUE + _DUPLICATES)  # Notification.update
            start = len(octets) + len(update) - len(_DUPLICATES) - len(_VALUE) - len(entry) - len(below)
            for found, place in zip(self.keys, places, strict=True):
                found.append(start + place)
            octets += update
            self.values.append(len(octets) - len(_DUPLICATES) - PADDED_64)
            self.ends.append(len(octets))
        self.template = bytes(octets)
        self.capacity = max(1, min(BLOCK_ENTRIES, (MAXIMUM_MESSAGE - 4096) // max(1, len(octets))))


def _entry_element(shape: ColumnShape, sizes: tuple[int, ...]) -> tuple[bytes, list[int]]:
    """Path.elem of an entry whose keys have these sizes, and where the keys stand in it."""
    inner = delimited(1, shape.list_name.encode())
    ends = []
    for name, size in zip(shape.key_names, sizes, strict=True):
        inner += delimited(2, delimited(1, name.encode()) + delimited(2, bytes(size)))
        ends.append(len(inner))
    element = delimited(3, inner)
    head = len(element) - len(inner)
    return element, [head + end - size for end, size in zip(ends, sizes, strict=True)]


class Block:
    """Entries whose rows have the same layout: one message.

    Its membership never changes; who holds a block and the values of its entries can make the message at
    any later time. The octets are laid out when the first message is made.
    """

    def __init__(self, prefix: bytes, layout: RowLayout, keys: Sequence[Key]) -> None:
        self.keys = tuple(keys)
        self.capacity = layout.capacity
        self._layout = layout
        self._stride = len(layout.template)
        self._prefix = prefix
        self._octets: np.ndarray | None = None
        self._low: list[np.ndarray] = []
        self._high: list[np.ndarray] = []
        self._duplicates: list[np.ndarray] = []
        self._duplicates_now = 0

    def _laid_out(self) -> np.ndarray:
        rows = np.tile(np.frombuffer(self._layout.template, np.uint8), (len(self.keys), 1))
        for column, places in zip(_texts(self.keys), self._layout.keys, strict=True):
            text = np.frombuffer(b"".join(column), np.uint8).reshape(len(self.keys), -1)
            for place in places:
                rows[:, place : place + text.shape[1]] = text
        octets = rows.reshape(-1)
        values = self._layout.values
        self._low = [self._column(octets, at, "<u8") for at in values]
        self._high = [self._column(octets, at + 8, "<u2") for at in values]
        self._duplicates = [self._column(octets, at + PADDED_64 + 1, "<u2") for at in values]
        return octets

    def _column(self, octets: np.ndarray, offset: int, dtype: str) -> np.ndarray:
        return np.ndarray((len(self.keys),), dtype, octets.data, offset, (self._stride,))

    def message(self, values: np.ndarray, time_ns: int, duplicates: int = 0) -> bytes:
        """A serialised SubscribeResponse with these values (uint64, one row per entry of the block)."""
        octets = self._filled(values, duplicates)
        return self._head(time_ns, octets.nbytes) + octets.data

    def changed(
        self, values: np.ndarray, mask: np.ndarray, time_ns: int, duplicates: int = 0
    ) -> bytes | None:
        """The same with only the leaves whose `mask` is true; None when that is none of them."""
        if mask.all():
            return self.message(values, time_ns, duplicates)
        octets = self._filled(values, duplicates).data
        ends = [0, *self._layout.ends]
        pieces = []
        for row, column in np.argwhere(mask).tolist():
            start = row * self._stride
            pieces.append(octets[start + ends[column] : start + ends[column + 1]])
        if not pieces:
            return None
        return b"".join((self._head(time_ns, sum(map(len, pieces))), *pieces))

    def _head(self, time_ns: int, size: int) -> bytes:
        """All that stands before the updates: SubscribeResponse.update, its timestamp and prefix."""
        length = 1 + _TIMESTAMP_WIDTH + len(self._prefix) + size
        timestamp = tag(1, 0) + padded_varint(time_ns, _TIMESTAMP_WIDTH)
        return tag(1, 2) + varint(length) + timestamp + self._prefix

    def _filled(self, values: np.ndarray, duplicates: int) -> np.ndarray:
        if self._octets is None:
            self._octets = self._laid_out()
        low, high = spread(values)
        for column, at_low, at_high in zip(range(values.shape[1]), self._low, self._high, strict=True):
            at_low[:] = low[:, column]
            at_high[:] = high[:, column]
        known = min(duplicates, MAXIMUM_DUPLICATES)
        if known != self._duplicates_now:
            self._duplicates_now = known
            for at in self._duplicates:
                at[:] = int.from_bytes(padded_varint(known, _DUPLICATES_WIDTH), "little")
        return self._octets


def spread(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """uint64 → ten-octet varints: the first eight octets as a little-endian uint64, the last two as uint16.

    Seven bits per octet are made room for by moving ever smaller halves apart, on all values at once.
    """
    word = np.uint64
    low = (values & word(0x00FFFFFFF0000000)) << word(4) | values & word(0x0FFFFFFF)
    low = (low & word(0x0FFFC0000FFFC000)) << word(2) | low & word(0x00003FFF00003FFF)
    low = (low & word(0x3F803F803F803F80)) << word(1) | low & word(0x007F007F007F007F)
    top = values >> word(56)
    high = (top & word(0x7F) | word(0x80) | (top >> word(7)) << word(8)).astype("<u2")
    return (low | _CONTINUED).astype("<u8", copy=False), high


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """The blocks of one membership.

    Attributes:
        blocks: each with which rows of the provider's matrix are in it.
    """

    blocks: tuple[tuple[Block, np.ndarray], ...]

    def rows(self) -> dict[Key, int]:
        """Where each entry stands in the provider's matrix."""
        return {
            key: row
            for block, rows in self.blocks
            for key, row in zip(block.keys, rows.tolist(), strict=True)
        }

    def gone(self, later: Layout) -> list[Key]:
        """Entries of this layout that a later one lacks."""
        staying = {block for block, _ in later.blocks}
        changed = [block for block, _ in self.blocks if block not in staying]
        present = {key for block, _ in later.blocks for key in block.keys} if changed else set()
        return [key for block in changed for key in block.keys if key not in present]


class ColumnEncoder:
    """Keeps the blocks of one list from tick to tick, and rebuilds those whose membership changes."""

    def __init__(self, shape: ColumnShape) -> None:
        self.shape = shape
        self._prefix = delimited(2, shape.prefix.SerializeToString(deterministic=True))
        self._row_layouts: dict[tuple[int, ...], RowLayout] = {}
        self._current = Layout(())
        self._membership: int | None = None

    def layout(self, keys: Sequence[Key], membership: int) -> Layout:
        """The blocks for these entries: the same object as before when membership is what it was."""
        if membership == self._membership:
            return self._current
        position = {key: row for row, key in enumerate(keys)}
        blocks = self._regrouped(position)
        placed = ((block, np.array([position[key] for key in block.keys], np.intp)) for block in blocks)
        self._current = Layout(tuple(placed))
        self._membership = membership
        return self._current

    def _regrouped(self, position: dict[Key, int]) -> list[Block]:
        """Full blocks that lost nobody stay; the entries of all others are put together anew."""
        kept = [block for block, _ in self._current.blocks if self._stays(block, position)]
        placed = {key for block in kept for key in block.keys}
        loose = [key for key in position if key not in placed]
        columns = ([len(text) for text in column] for column in _texts(loose))
        alike: dict[tuple[int, ...], list[Key]] = {}
        for size, key in zip(zip(*columns, strict=True), loose, strict=True):
            alike.setdefault(size, []).append(key)
        self._row_layouts = {size: self._row_layout(size) for size in alike}
        for size, keys in alike.items():
            layout = self._row_layouts[size]
            for start in range(0, len(keys), layout.capacity):
                kept.append(Block(self._prefix, layout, keys[start : start + layout.capacity]))
        return kept

    @staticmethod
    def _stays(block: Block, position: dict[Key, int]) -> bool:
        return len(block.keys) == block.capacity and all(key in position for key in block.keys)

    def _row_layout(self, sizes: tuple[int, ...]) -> RowLayout:
        return self._row_layouts.get(sizes) or RowLayout(self.shape, sizes)
