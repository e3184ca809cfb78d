"""The matrix of counters: one row of uint64 per session slot, in a file that both processes map.

Control writes what belongs together between two changes of a sequence word (a seqlock): odd while it writes,
even when the rows are consistent, each in itself. A reader copies, and takes its copy only if the word was
even and the same before and after. Nobody ever waits for anybody.

Columns are the generation of the slot, six totals as the model has them, and for each total its offset: total
= what the kernel counts + offset, modulo 2^64 (`bng.session.counters`).
"""

from __future__ import annotations

import mmap
import os
import struct
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bng.seam.segments import sync_directory

Rows = NDArray[np.uint64]

COUNTERS = ("in_octets", "out_octets", "in_packets", "out_packets", "in_discards", "out_discards")
COLUMNS = ("generation", *COUNTERS, *(f"offset_{name}" for name in COUNTERS))
GENERATION = 0
TOTALS = slice(1, 7)
OFFSETS = slice(7, 13)

MAGIC = b"AETHERMX"
VERSION = 1
HEADER_SIZE = 4096
_HEAD = struct.Struct("=8sIIII16s")
"""magic, version, slots, columns, reserved, instance"""
_WORDS_AT = 64
_SEQUENCE, _TICK, _TIME = 0, 1, 2


class MatrixError(Exception):
    """The file is not a matrix of this version."""


def _map(descriptor: int, size: int, *, writable: bool) -> tuple[NDArray[np.uint64], Rows, mmap.mmap]:
    protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
    mapping = mmap.mmap(descriptor, size, mmap.MAP_SHARED, protection)
    words = np.frombuffer(mapping, np.uint64, 3, _WORDS_AT)
    rows = np.frombuffer(mapping, np.uint64, (size - HEADER_SIZE) // 8, HEADER_SIZE)
    return words, rows.reshape(-1, len(COLUMNS)), mapping


def _check(head: bytes, size: int, path: Path) -> tuple[int, bytes]:
    """(slots, instance) of a header; MatrixError when the file is something else or was cut."""
    if len(head) < _HEAD.size:
        raise MatrixError(f"{path} is no counter matrix: it is too short")
    magic, version, slots, columns, _, instance = _HEAD.unpack_from(head)
    if magic != MAGIC or version != VERSION or columns != len(COLUMNS):
        raise MatrixError(f"{path} is no counter matrix of version {VERSION}")
    if size != HEADER_SIZE + slots * columns * 8:
        raise MatrixError(f"{path} has {size} octets, not those of {slots} slots")
    return slots, instance


class Matrix:
    """The writer's side. There is one, in the control process.

    Opens the file at `path` with what it holds, or makes a new one.

    Args:
        slots: at least so many rows.

    Attributes:
        rows: uint64 array [slots][columns]; write to it inside of `writing()` only. It is another array
            after `grow`.
    """

    rows: Rows

    def __init__(self, path: Path, instance_id: str, slots: int = 1024) -> None:
        self.path = path
        self._instance = uuid.UUID(instance_id).bytes
        self._depth = 0
        try:
            self._open()
        except (FileNotFoundError, MatrixError):
            self._create(slots, None)
        if self.slots < slots:
            self.grow(slots)
        self._write_head()
        # The last writer died in a sweep: readers keep what they have until the next sweep is whole.
        self._torn = bool(int(self._words[_SEQUENCE]) % 2)

    @property
    def slots(self) -> int:
        """Number of rows."""
        return len(self.rows)

    @property
    def tick(self) -> int:
        """Number of the last sweep."""
        return int(self._words[_TICK])

    @contextmanager
    def writing(self) -> Iterator[Rows]:
        """Change rows; readers see all of the changes or none. May be nested."""
        self._words[_SEQUENCE] |= np.uint64(1)
        self._depth += 1
        try:
            yield self.rows
        finally:
            self._depth -= 1
            if self._depth == 0 and not self._torn:
                self._words[_SEQUENCE] += np.uint64(1)

    def finish_sweep(self) -> int:
        """Say that the rows are a new sweep, made now. Call it inside of `writing()`. Returns its tick."""
        self._words[_TIME] = np.uint64(time.time_ns())
        self._words[_TICK] += np.uint64(1)
        self._torn = False
        return self.tick

    def grow(self, slots: int) -> None:
        """Make room for at least so many slots, by doubling. Not inside of `writing()`."""
        if slots <= self.slots:
            return
        if self._depth:
            raise RuntimeError("the matrix cannot grow while rows are being written")
        wanted = self.slots
        while wanted < slots:
            wanted *= 2
        self._create(wanted, self)

    def _open(self) -> None:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            size = os.fstat(descriptor).st_size
            _check(os.pread(descriptor, _HEAD.size, 0), size, self.path)
            self._words, self.rows, self._mapping = _map(descriptor, size, writable=True)
        finally:
            os.close(descriptor)

    def _create(self, slots: int, previous: Matrix | None) -> None:
        temporary = self.path.with_name(self.path.name + ".new")
        size = HEADER_SIZE + slots * len(COLUMNS) * 8
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            # Reserve the blocks now: a mapped write to a full disk would be a fatal SIGBUS.
            os.posix_fallocate(descriptor, 0, size)
            words, rows, mapping = _map(descriptor, size, writable=True)
            if previous is not None:
                rows[: previous.slots] = previous.rows
                words[:] = previous._words
            self._words, self.rows, self._mapping = words, rows, mapping
            self._write_head()
            if previous is None:
                mapping.flush()
        finally:
            os.close(descriptor)
        temporary.replace(self.path)
        if previous is None:
            # not when it grows, which happens while subscribers wait: what a process leaves behind is there
            # without the disk, and when the machine dies, the kernel's counters do as well
            sync_directory(self.path.parent)

    def _write_head(self) -> None:
        head = _HEAD.pack(MAGIC, VERSION, self.slots, len(COLUMNS), 0, self._instance)
        self._mapping[: len(head)] = head


class MatrixReader:
    """A reader's side, in any process. The file may not be there yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._inode: tuple[int, int] | None = None
        self._words: NDArray[np.uint64] | None = None
        self._rows: Rows = np.zeros((0, len(COLUMNS)), np.uint64)
        self._mapping: mmap.mmap | None = None
        self._last: tuple[int, int, Rows] = (0, 0, self._rows)
        self._last_sequence: int | None = None

    @property
    def instance_id(self) -> str | None:
        """UUID of the control plane that writes, or None when there is no matrix."""
        self._follow()
        if self._mapping is None:
            return None
        return str(uuid.UUID(bytes=bytes(_HEAD.unpack_from(self._mapping)[5])))

    def snapshot(self) -> tuple[int, int, Rows]:
        """(tick, time in nanoseconds since the epoch, copy of all rows) of one consistent state.

        The copy is shared by callers until the matrix changes: treat it as read only. While the writer is at
        work, or died at it, this is the last consistent state that was seen.
        """
        self._follow()
        if self._words is None:
            return self._last
        for _ in range(64):
            before = int(self._words[_SEQUENCE])
            if before == self._last_sequence:
                return self._last
            if before % 2 == 0:
                found = int(self._words[_TICK]), int(self._words[_TIME]), self._rows.copy()
                if int(self._words[_SEQUENCE]) == before:
                    found[2].flags.writeable = False
                    self._last, self._last_sequence = found, before
                    return found
            time.sleep(0.0001)
        return self._last

    def _follow(self) -> None:
        """Map the file anew when another one has taken its name."""
        try:
            status = self.path.stat()
            if self._inode == (status.st_dev, status.st_ino):
                return
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            status = os.fstat(descriptor)
            _check(os.pread(descriptor, _HEAD.size, 0), status.st_size, self.path)
            self._words, self._rows, self._mapping = _map(descriptor, status.st_size, writable=False)
        except MatrixError:
            return
        finally:
            os.close(descriptor)
        self._inode = (status.st_dev, status.st_ino)
        self._last_sequence = None
