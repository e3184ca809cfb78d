"""Turning data into SubscribeResponses: ordinary protobuf, and a fixed layout for columns of counters.

What limits a gNMI server in Python is the cost of each message, then that of each object in it. So the
counters of up to 200 list entries share one message whose octets are laid out once: every value is a
varint padded to ten octets and every `duplicates` one padded to two, and so all of them stay where they
are when they change. A tick then is a few numpy assignments per block. Padded varints are legal protobuf
and parse to the same message.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from telemetry.protocol import gnmi_pb2 as pb
from telemetry.protocol.wire import PADDED_64, delimited, padded_varint, tag, varint

MAXIMUM_MESSAGE = 256 * 1024
"""Octets of a SubscribeResponse; clients refuse 4 MiB, and small messages share a connection better."""

BLOCK_ENTRIES = 200
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

    def entry(self, key: Key) -> pb.PathElem:
        """The element of one list entry."""
        element = pb.PathElem(name=self.list_name)
        for name, value in zip(self.key_names, key, strict=True):
            element.key[name] = key_text(value)
        return element

    def path(self, key: Key, leaf: Sequence[str] = ()) -> pb.Path:
        """Path of an entry, or of a leaf in it, below the prefix."""
        return pb.Path(elem=[self.entry(key), *(pb.PathElem(name=name) for name in leaf)])


def key_text(value: object) -> str:
    """The text of a list key in a path."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _row(shape: ColumnShape, tails: Sequence[bytes], key: Key) -> tuple[bytes, tuple[int, ...]]:
    """The updates of one entry with every value 0, and where the values are in it."""
    octets = bytearray()
    offsets = []
    entry = delimited(3, shape.entry(key).SerializeToString(deterministic=True))
    for tail in tails:
        path = delimited(1, entry + tail)
        octets += delimited(4, path + _VALUE + _DUPLICATES)  # Notification.update
        offsets.append(len(octets) - len(_DUPLICATES) - PADDED_64)
    return bytes(octets), tuple(offsets)


class Block:
    """Entries whose rows have the same layout: one message.

    Its membership never changes; who holds a block and the values of its entries can make the message at
    any later time.
    """

    def __init__(
        self, shape: ColumnShape, keys: Sequence[Key], rows: Sequence[bytes], offsets: tuple[int, ...]
    ):
        self.keys = tuple(keys)
        self.rows = tuple(rows)
        self.offsets = offsets
        stride = len(rows[0])
        self._octets = np.frombuffer(b"".join(rows), np.uint8).copy()
        self._low = [self._column(at, "<u8", stride) for at in offsets]
        self._high = [self._column(at + 8, "<u2", stride) for at in offsets]
        self._duplicates = [self._column(at + PADDED_64 + 1, "<u2", stride) for at in offsets]
        self._duplicates_now = 0
        self._prefix = delimited(2, shape.prefix.SerializeToString(deterministic=True))
        length = 1 + _TIMESTAMP_WIDTH + len(self._prefix) + self._octets.nbytes
        self._head = tag(1, 2) + varint(length) + tag(1, 0)  # SubscribeResponse.update.timestamp

    def _column(self, offset: int, dtype: str, stride: int) -> np.ndarray:
        return np.ndarray((len(self.rows),), dtype, self._octets.data, offset, (stride,))

    def message(self, values: np.ndarray, time_ns: int, duplicates: int = 0) -> bytes:
        """A serialised SubscribeResponse with these values (uint64, one row per entry of the block)."""
        low, high = spread(values)
        for column, at_low, at_high in zip(range(values.shape[1]), self._low, self._high, strict=True):
            at_low[:] = low[:, column]
            at_high[:] = high[:, column]
        if duplicates != self._duplicates_now:
            self._duplicates_now = duplicates
            known = min(duplicates, MAXIMUM_DUPLICATES)
            for at in self._duplicates:
                at[:] = int.from_bytes(padded_varint(known, _DUPLICATES_WIDTH), "little")
        head = self._head + padded_varint(time_ns, _TIMESTAMP_WIDTH) + self._prefix
        return b"".join((head, self._octets.data))


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


@dataclass(frozen=True, slots=True)
class Layout:
    """The blocks of one membership and, for each, which rows of the provider's matrix are in it."""

    blocks: tuple[tuple[Block, np.ndarray], ...]
    gone: tuple[Key, ...] = ()
    """Entries of the layout before that are not in this one."""


class ColumnEncoder:
    """Keeps the blocks of one list from tick to tick, and rebuilds those whose membership changes."""

    def __init__(self, shape: ColumnShape) -> None:
        self.shape = shape
        leaf_paths = (pb.Path(elem=[pb.PathElem(name=name) for name in leaf]) for leaf in shape.leaves)
        self._tails = [path.SerializeToString(deterministic=True) for path in leaf_paths]
        self._blocks: list[Block] = []
        self._layout = Layout(())
        self._membership: int | None = None

    def layout(self, keys: Sequence[Key], membership: int) -> Layout:
        """The blocks for these entries; `gone` is empty when membership is what it was."""
        if membership == self._membership:
            if self._layout.gone:
                self._layout = Layout(self._layout.blocks)
            return self._layout
        position = {key: row for row, key in enumerate(keys)}
        gone = tuple(key for block in self._blocks for key in block.keys if key not in position)
        self._blocks = self._regrouped(position, frozenset(gone))
        placed = ((block, np.array([position[key] for key in block.keys], np.intp)) for block in self._blocks)
        self._layout = Layout(tuple(placed), gone)
        self._membership = membership
        return self._layout

    def _regrouped(self, position: dict[Key, int], gone: frozenset[Key]) -> list[Block]:
        """The blocks with what is gone taken out and what is new put in; a full untouched block stays."""
        kept: list[Block] = []
        loose: list[tuple[Key, bytes, tuple[int, ...]]] = []
        known: set[Key] = set()
        for block in self._blocks:
            known.update(block.keys)
            if len(block.keys) == self._capacity(len(block.rows[0])) and gone.isdisjoint(block.keys):
                kept.append(block)
                continue
            remaining = zip(block.keys, block.rows, strict=True)
            loose.extend((key, row, block.offsets) for key, row in remaining if key not in gone)
        loose.extend((key, *_row(self.shape, self._tails, key)) for key in position if key not in known)
        return kept + list(self._packed(loose))

    def _packed(self, loose: list[tuple[Key, bytes, tuple[int, ...]]]) -> Iterator[Block]:
        alike: dict[tuple[int, tuple[int, ...]], list[tuple[Key, bytes]]] = {}
        for key, row, offsets in loose:
            alike.setdefault((len(row), offsets), []).append((key, row))
        for (stride, offsets), entries in alike.items():
            size = self._capacity(stride)
            for start in range(0, len(entries), size):
                keys, rows = zip(*entries[start : start + size], strict=True)
                yield Block(self.shape, keys, rows, offsets)

    @staticmethod
    def _capacity(stride: int) -> int:
        """How many rows of that many octets one message takes."""
        return max(1, min(BLOCK_ENTRIES, (MAXIMUM_MESSAGE - 4096) // stride))


@dataclass(frozen=True, slots=True)
class Entry:
    """Values of one container or list entry, to be sent together.

    Attributes:
        path: elements of the container or entry, below the prefix of the messages.
        updates: (element names below `path`, value) of each leaf.
        deletes: element names below `path` of what no longer exists; an empty tuple is `path` itself.
    """

    path: tuple[pb.PathElem, ...]
    updates: Sequence[tuple[tuple[str, ...], pb.TypedValue]] = ()
    deletes: Sequence[tuple[str, ...]] = ()


def messages(
    prefix: pb.Path, entries: Iterable[Entry], time_ns: int, duplicates: int = 0, size: int = MAXIMUM_MESSAGE
) -> Iterator[bytes]:
    """SubscribeResponses by ordinary protobuf: as many entries per message as fit into about `size` octets.

    A single value that is larger than `size` is sent alone, as large as it is.
    """
    empty = pb.SubscribeResponse(update=pb.Notification(timestamp=time_ns, prefix=prefix)).SerializeToString()
    response = pb.SubscribeResponse.FromString(empty)
    used = len(empty)
    for is_delete, item, octets in _items(entries, duplicates):
        if used + octets > size and used > len(empty):
            yield response.SerializeToString()
            response = pb.SubscribeResponse.FromString(empty)
            used = len(empty)
        used += octets
        if is_delete:
            response.update.delete.append(item)
        else:
            response.update.update.append(item)
    if used > len(empty):
        yield response.SerializeToString()


def _items(entries: Iterable[Entry], duplicates: int) -> Iterator[tuple[bool, Any, int]]:
    """(is a delete, the Path or Update, at most how many octets it takes) of each entry."""
    for entry in entries:
        for names in entry.deletes:
            path = _join(entry.path, names)
            yield True, path, path.ByteSize() + 5
        for names, value in entry.updates:
            update = pb.Update(path=_join(entry.path, names), val=value, duplicates=duplicates)
            yield False, update, update.ByteSize() + 5


def _join(path: tuple[pb.PathElem, ...], names: Sequence[str]) -> pb.Path:
    return pb.Path(elem=[*path, *(pb.PathElem(name=name) for name in names)])


def atomic(prefix: pb.Path, updates: Iterable[tuple[tuple[str, ...], pb.TypedValue]], time_ns: int) -> bytes:
    """One atomic notification: these updates are all that there is below the prefix."""
    notification = pb.Notification(timestamp=time_ns, prefix=prefix, atomic=True)
    for names, value in updates:
        notification.update.add(path=_join((), names), val=value)
    return _serialised(pb.SubscribeResponse(update=notification))


def _serialised(response: pb.SubscribeResponse) -> bytes:
    octets: bytes = response.SerializeToString()
    return octets


SYNC_RESPONSE = _serialised(pb.SubscribeResponse(sync_response=True))
