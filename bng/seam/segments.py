"""Files of the journal: how records lie in a segment, and how segments lie in their folder.

A segment is named after its first event, ``<first-seq>.log`` with 20 digits, and is a run of
``length u32 · crc32 u32 · payload`` in network order. A record counts when it is whole and its CRC is right;
everything behind the first that is not is no part of the journal.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

HEADER = struct.Struct("!II")
MAX_RECORD = 1 << 20
"""A length above this is damage, not an event."""

_SUFFIX = ".log"


def encode(payload: bytes) -> bytes:
    """The record that holds this payload."""
    return HEADER.pack(len(payload), zlib.crc32(payload)) + payload


def name_of(first_seq: int) -> str:
    return f"{first_seq:020d}{_SUFFIX}"


def list_segments(directory: Path) -> list[int]:
    """First sequence numbers of the segments in a folder, ascending."""
    numbers = []
    for path in directory.iterdir():
        if path.suffix == _SUFFIX and len(path.stem) == 20 and path.stem.isdigit():
            numbers.append(int(path.stem))
    return sorted(numbers)


def records(data: bytes | memoryview, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """(offset behind the record, payload) of each record up to the first that is torn or damaged."""
    end = len(data)
    while offset + HEADER.size <= end:
        length, crc = HEADER.unpack_from(data, offset)
        start = offset + HEADER.size
        if not 0 < length <= MAX_RECORD or start + length > end:
            return
        payload = bytes(data[start : start + length])
        if zlib.crc32(payload) != crc:
            return
        offset = start + length
        yield offset, payload


def sync_directory(directory: Path) -> None:
    """Make creations, renames and removals in a folder durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file so that after a crash either the old or the new content is there, whole."""
    replace_file_by_parts(path, (content,), mode)


def replace_file_by_parts(path: Path, parts: Iterable[bytes], mode: int = 0o600) -> None:
    """The same of content that need not be in memory at one time."""
    temporary = path.with_name(path.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        for part in parts:
            view = memoryview(part)
            while view:
                view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.replace(path)
    sync_directory(path.parent)
