"""The updates of a block of list entries as octets that stay where they are while their values change.

Every value is a varint padded to a width that all values of its column fit into: two, four, eight or ten
octets, so that a column is written by one assignment of numpy (two for those of ten). Padded varints are
legal protobuf and parse to the same message. `duplicates` are there only when there are some.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from telemetry.protocol import gnmi_pb2 as pb
from telemetry.protocol.wire import PADDED_64, delimited, padded_varint, tag

MAXIMUM_DUPLICATES = (1 << 14) - 1
"""What two octets of a varint hold; more duplicates than these are reported as these."""

WIDTHS = (2, 4, 8, PADDED_64)
"""Octets that a value may take."""

_DUPLICATES_WIDTH = 2
_DUPLICATES = tag(4, 0) + padded_varint(0, _DUPLICATES_WIDTH)  # Update.duplicates
_MOST = np.array([(1 << min(64, 7 * width)) - 1 for width in WIDTHS], np.uint64)
_STORE = {2: "<u2", 4: "<u4", 8: "<u8", PADDED_64: "<u8"}
_CONTINUED = {2: 0x80, 4: 0x808080, 8: 0x80808080808080, PADDED_64: 0x8080808080808080}

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


def texts(keys: Sequence[Key]) -> Iterator[list[bytes]]:
    """For each key of the list, its text in all of these entries."""
    for column in zip(*keys, strict=True):
        yield [key_text(value).encode() for value in column]


def key_sizes(column: Sequence[object]) -> np.ndarray:
    """Octets of the texts of some keys."""
    found = [value if type(value) is str else key_text(value) for value in column]
    plain = "".join(found).isascii()
    return np.fromiter(map(len, found if plain else map(str.encode, found)), np.intp, len(found))


class RowLayout:
    """The updates of one entry as octets, for all entries whose keys take the same number of octets.

    Attributes:
        template: the row, with zeros for keys and values.
        keys: for each key, where it stands: once per leaf.
        values: where each leaf's value stands.
        ends: where each leaf's update ends.

    Args:
        sizes: octets of each key.
        widths: octets of each leaf's value, of `WIDTHS`.
        duplicates: whether each update ends with that number.
    """

    def __init__(
        self, shape: ColumnShape, sizes: Sequence[int], widths: Sequence[int], *, duplicates: bool
    ) -> None:
        octets = bytearray()
        self.keys: list[list[int]] = [[] for _ in sizes]
        self.values: list[int] = []
        self.ends: list[int] = []
        entry, places = _entry_element(shape, sizes)
        behind = _DUPLICATES if duplicates else b""
        for leaf, width in zip(shape.leaves, widths, strict=True):
            below = b"".join(delimited(3, delimited(1, name.encode())) for name in leaf)
            path = delimited(1, entry + below)
            value = delimited(3, tag(3, 0) + padded_varint(0, width))  # Update.val.uint_val
            update = delimited(4, path + value + behind)  # Notification.update
            start = len(octets) + len(update) - len(behind) - len(value) - len(entry) - len(below)
            for found, place in zip(self.keys, places, strict=True):
                found.append(start + place)
            octets += update
            self.values.append(len(octets) - len(behind) - width)
            self.ends.append(len(octets))
        self.template = bytes(octets)


def _entry_element(shape: ColumnShape, sizes: Sequence[int]) -> tuple[bytes, list[int]]:
    """Path.elem of an entry whose keys have these sizes, and where the keys stand in it."""
    inner = delimited(1, shape.list_name.encode())
    ends = []
    for name, size in zip(shape.key_names, sizes, strict=True):
        inner += delimited(2, delimited(1, name.encode()) + delimited(2, bytes(size)))
        ends.append(len(inner))
    element = delimited(3, inner)
    head = len(element) - len(inner)
    return element, [head + end - size for end, size in zip(ends, sizes, strict=True)]


class Rows:
    """The rows of some entries: octets that values are written into.

    Attributes:
        octets: all of them, one row after the other.
        stride: octets of a row.
        ends: where each leaf's update ends in a row.
        widths: octets of each leaf's value.
    """

    def __init__(
        self,
        shape: ColumnShape,
        sizes: Sequence[int],
        keys: Sequence[Key],
        widths: Sequence[int],
        *,
        duplicates: bool,
    ) -> None:
        layout = RowLayout(shape, sizes, widths, duplicates=duplicates)
        rows = np.tile(np.frombuffer(layout.template, np.uint8), (len(keys), 1))
        for column, places in zip(texts(keys), layout.keys, strict=True):
            text = np.frombuffer(b"".join(column), np.uint8).reshape(len(keys), -1)
            for place in places:
                rows[:, place : place + text.shape[1]] = text
        self.octets = rows.reshape(-1)
        self.stride = len(layout.template)
        self.ends = layout.ends
        self.widths = tuple(widths)
        self._count = len(keys)
        self._most = np.array([_MOST[WIDTHS.index(width)] for width in widths], np.uint64)
        self._continued = np.array([_CONTINUED[width] for width in widths], np.uint64)
        placed = list(enumerate(zip(layout.values, widths, strict=True)))
        self._low = [self._column(at, _STORE[width]) for _, (at, width) in placed]
        self._high = [(column, self._column(at + 8, "<u2")) for column, (at, width) in placed if width > 8]
        self._duplicates = [self._column(at + width + 1, "<u2") for _, (at, width) in placed if duplicates]

    def _column(self, offset: int, dtype: str) -> np.ndarray:
        return np.ndarray((self._count,), dtype, self.octets.data, offset, (self.stride,))

    def holds(self, largest: np.ndarray) -> bool:
        """True when values as large as these, one of each column, fit."""
        return not (largest > self._most).any()

    def fill(self, values: np.ndarray, duplicates: int) -> None:
        """Write these values (uint64, one row per entry), which must fit, and the number of duplicates."""
        low = spread(values)
        low |= self._continued
        # Signed, so that numpy converts, to the lower octets: its loops for conversions are made for the size
        # of a number, while it copies numbers that are not aligned by a call of memcpy for each.
        for at, column in zip(self._low, low.view("<i8").T, strict=True):
            at[:] = column
        for number, at in self._high:
            top = values[:, number] >> np.uint64(56)
            at[:] = top & np.uint64(0x7F) | np.uint64(0x80) | (top >> np.uint64(7)) << np.uint64(8)
        known = int.from_bytes(
            padded_varint(min(duplicates, MAXIMUM_DUPLICATES), _DUPLICATES_WIDTH), "little"
        )
        for at in self._duplicates:
            at[:] = known


def widths_for(largest: np.ndarray, known: Sequence[int]) -> tuple[int, ...]:
    """The octets that values as large as these take, one of each column, and not fewer than known ones."""
    needed = (WIDTHS[place] for place in np.searchsorted(_MOST, largest).tolist())
    return tuple(map(max, needed, known))


def spread(values: np.ndarray) -> np.ndarray:
    """The lower 56 bits of uint64 values, seven to an octet, as little-endian uint64.

    Seven bits per octet are made room for by moving ever smaller halves apart, on all values at once.
    """
    word = np.uint64
    low = (values & word(0x00FFFFFFF0000000)) << word(4) | values & word(0x0FFFFFFF)
    low = (low & word(0x0FFFC0000FFFC000)) << word(2) | low & word(0x00003FFF00003FFF)
    low = (low & word(0x3F803F803F803F80)) << word(1) | low & word(0x007F007F007F007F)
    return low.astype("<u8", copy=False)
