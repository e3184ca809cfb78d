"""Any data as SubscribeResponses: ordinary protobuf, put together from octets.

Building a message object per path costs several times more than writing the few octets that it is; what
comes out is what protobuf would write.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from telemetry.protocol import gnmi_pb2 as pb
from telemetry.protocol.wire import delimited, tag, varint

MAXIMUM_MESSAGE = 256 * 1024
"""Octets of a SubscribeResponse; clients refuse 4 MiB, and small messages share a connection better."""

Names = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """Values of one container or list entry, to be sent together.

    Attributes:
        path: elements of the container or entry, below the prefix of the messages: see `elements`.
        updates: (element names below `path`, serialised TypedValue) of each leaf.
        deletes: element names below `path` of what no longer exists; an empty tuple is `path` itself.
    """

    path: bytes
    updates: Sequence[tuple[Names, bytes]] = ()
    deletes: Sequence[Names] = ()


def elements(steps: Iterable[tuple[str, Mapping[str, str]]]) -> bytes:
    """Path.elem of (name, keys) pairs, serialised."""
    return b"".join(_named(name) if not keys else _keyed(name, keys) for name, keys in steps)


@lru_cache(maxsize=4096)
def _named(name: str) -> bytes:
    return delimited(3, delimited(1, name.encode()))


def _keyed(name: str, keys: Mapping[str, str]) -> bytes:
    pairs = (
        delimited(2, delimited(1, key.encode()) + delimited(2, keys[key].encode())) for key in sorted(keys)
    )
    return delimited(3, delimited(1, name.encode()) + b"".join(pairs))


@lru_cache(maxsize=4096)
def below(names: Names) -> bytes:
    """Path.elem of names without keys: those of the schema, so that there are not many."""
    return b"".join(map(_named, names))


def update(path: bytes, value: bytes, duplicates: bytes = b"") -> bytes:
    """Notification.update"""
    return delimited(4, delimited(1, path) + delimited(3, value) + duplicates)


def framed(field: int, pieces: list[bytes]) -> list[bytes]:
    """A message field that is put together from pieces, still in pieces: large ones are copied once."""
    return [tag(field, 2) + varint(sum(map(len, pieces))), *pieces]


def messages(
    prefix: pb.Path, entries: Iterable[Entry], time_ns: int, duplicates: int = 0, size: int = MAXIMUM_MESSAGE
) -> Iterator[bytes]:
    """SubscribeResponses with as many entries each as fit into about `size` octets.

    A single value that is larger than `size` is sent alone, as large as it is.
    """
    head = notification_head(prefix, time_ns)
    items: list[bytes] = []
    used = len(head)
    for item in _items(entries, duplicates):
        if items and used + len(item) > size:
            yield _response(head, items)
            items = []
            used = len(head)
        items.append(item)
        used += len(item)
    if items:
        yield _response(head, items)


def _items(entries: Iterable[Entry], duplicates: int) -> Iterator[bytes]:
    repeated = tag(4, 0) + varint(duplicates) if duplicates else b""
    for entry in entries:
        for names in entry.deletes:
            yield delimited(5, entry.path + below(names))  # Notification.delete
        for names, value in entry.updates:
            yield update(entry.path + below(names), value, repeated)


def notification_head(prefix: pb.Path, time_ns: int) -> bytes:
    octets: bytes = pb.Notification(timestamp=time_ns, prefix=prefix).SerializeToString(deterministic=True)
    return octets


def _response(head: bytes, items: list[bytes]) -> bytes:
    length = len(head) + sum(map(len, items))
    return b"".join((tag(1, 2), varint(length), head, *items))


def atomic(
    steps: Iterable[tuple[str, Mapping[str, str]]],
    updates: Iterable[tuple[Names, bytes]],
    time_ns: int,
    *,
    origin: str = "",
    target: str = "",
) -> bytes:
    """One atomic notification: these updates are all that there is below the path of `steps`."""
    prefix = elements(steps)
    if origin:
        prefix += delimited(2, origin.encode())
    if target:
        prefix += delimited(4, target.encode())
    head = tag(1, 0) + varint(time_ns) + delimited(2, prefix)
    return _response(head, [*(update(below(names), value) for names, value in updates), _ATOMIC])


_ATOMIC = tag(6, 0) + varint(1)
SYNC_RESPONSE = tag(3, 0) + varint(1)
"""SubscribeResponse.sync_response"""
