"""Columns of counters as SubscribeResponses with a fixed layout.

What limits a gNMI server in Python is the cost of each message, then that of each object in it. So the
counters of up to 800 list entries, as far as 512 KiB hold them, share one message whose octets are laid out
once and stay where they are when they change (see `telemetry.rows`). A tick then is a few numpy assignments
per block.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from telemetry.protocol.wire import PADDED_64, delimited, padded_varint, tag, varint
from telemetry.rows import WIDTHS, ColumnShape, Key, RowLayout, Rows, key_sizes, widths_for

BLOCK_ENTRIES = 800
MAXIMUM_MESSAGE = 512 * 1024
"""Octets of a message: with half of it a core sends a fifth fewer leaves, with twice of it no more. Clients
refuse 4 MiB."""

_TIMESTAMP_WIDTH = 9


def capacity(shape: ColumnShape, sizes: Sequence[int]) -> int:
    """Entries whose keys have these sizes that a message holds, however large their values are."""
    widest = RowLayout(shape, sizes, [PADDED_64] * len(shape.leaves), duplicates=True)
    return max(1, min(BLOCK_ENTRIES, (MAXIMUM_MESSAGE - 4096) // max(1, len(widest.template))))


class Block:
    """Entries whose keys have the same sizes: one message.

    Its membership never changes; who holds a block and the values of its entries can make the message at
    any later time. The octets are laid out when the first message is made, and again when a value no longer
    fits: a column grows and never shrinks.
    """

    def __init__(
        self, prefix: bytes, shape: ColumnShape, sizes: Sequence[int], room: int, keys: Sequence[Key]
    ) -> None:
        self.keys = tuple(keys)
        self.capacity = room
        self._shape = shape
        self._sizes = sizes
        self._prefix = prefix
        self._rows: dict[bool, Rows] = {}  # without and with duplicates

    def message(self, values: np.ndarray, time_ns: int, duplicates: int = 0) -> bytes:
        """A serialised SubscribeResponse with these values (uint64, one row per entry of the block)."""
        octets = self._filled(values, duplicates).octets
        return self._head(time_ns, octets.nbytes) + octets.data

    def changed(
        self, values: np.ndarray, mask: np.ndarray, time_ns: int, duplicates: int = 0
    ) -> bytes | None:
        """The same with only the leaves whose `mask` is true; None when that is none of them."""
        if mask.all():
            return self.message(values, time_ns, duplicates)
        if not mask.any():
            return None
        rows = self._filled(values, duplicates)
        octets = rows.octets.data
        ends = [0, *rows.ends]
        pieces = []
        for row, column in np.argwhere(mask).tolist():
            start = row * rows.stride
            pieces.append(octets[start + ends[column] : start + ends[column + 1]])
        return b"".join((self._head(time_ns, sum(map(len, pieces))), *pieces))

    def _head(self, time_ns: int, size: int) -> bytes:
        """All that stands before the updates: SubscribeResponse.update, its timestamp and prefix."""
        length = 1 + _TIMESTAMP_WIDTH + len(self._prefix) + size
        timestamp = tag(1, 0) + padded_varint(time_ns, _TIMESTAMP_WIDTH)
        return tag(1, 2) + varint(length) + timestamp + self._prefix

    def _filled(self, values: np.ndarray, duplicates: int) -> Rows:
        repeated = duplicates > 0
        rows = self._rows.get(repeated)
        largest = values.max(axis=0)
        if rows is None or not rows.holds(largest):
            known = rows.widths if rows is not None else WIDTHS[:1] * len(largest)
            widths = widths_for(largest, known)
            rows = self._rows[repeated] = Rows(
                self._shape, self._sizes, self.keys, widths, duplicates=repeated
            )
        rows.fill(values, duplicates)
        return rows


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
    """Keeps the blocks of one list from tick to tick, and rebuilds those whose membership changes.

    Sessions come and go all the time, and tens of thousands of keys are looked at each time that some did: so
    nothing is done here for each key but what map, dict and numpy do.
    """

    def __init__(self, shape: ColumnShape) -> None:
        self.shape = shape
        self._prefix = delimited(2, shape.prefix.SerializeToString(deterministic=True))
        self._current = Layout(())
        self._membership: int | None = None

    def layout(self, keys: Sequence[Key], membership: int) -> Layout:
        """The blocks for these entries: the same object as before when membership is what it was."""
        if membership != self._membership:
            placed = list(self._staying(keys))
            loose = np.ones(len(keys), np.bool_)
            for _, rows in placed:
                loose[rows] = False
            placed += self._anew(keys, np.flatnonzero(loose))
            self._current = Layout(tuple(placed))
            self._membership = membership
        return self._current

    def _staying(self, keys: Sequence[Key]) -> Iterator[tuple[Block, np.ndarray]]:
        """Full blocks that lost nobody."""
        if not self._current.blocks:
            return
        position = dict(zip(keys, range(len(keys)), strict=True))
        for block, _ in self._current.blocks:
            if len(block.keys) == block.capacity:
                with contextlib.suppress(KeyError):
                    yield block, np.fromiter(map(position.__getitem__, block.keys), np.intp, block.capacity)

    def _anew(self, keys: Sequence[Key], rows: np.ndarray) -> Iterator[tuple[Block, np.ndarray]]:
        """Blocks for the entries in these rows."""
        if not len(rows):
            return
        found = [keys[row] for row in rows.tolist()]
        parts = range(len(found[0]))
        sizes = np.array([key_sizes([key[part] for key in found]) for part in parts])
        kind = sizes[0]
        for column in sizes[1:]:
            kind = kind * (column.max() + 1) + column
        for number in np.unique(kind):
            alike = np.flatnonzero(kind == number)
            size = tuple(sizes[:, alike[0]].tolist())
            room = capacity(self.shape, size)
            for start in range(0, len(alike), room):
                chosen = alike[start : start + room]
                block = Block(self._prefix, self.shape, size, room, [found[at] for at in chosen.tolist()])
                yield block, rows[chosen]
