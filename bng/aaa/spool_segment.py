"""One segment of the accounting spool (`bng.aaa.spool` has its format): what is acknowledged in it."""

from __future__ import annotations

import contextlib
import errno
import os
import struct
from pathlib import Path

from bng.seam import segments

_INDEX = struct.Struct("!I")
_CLOSED = 1 << 31
"""With a count of records instead of the number of one: it grows no more."""


class Segment:
    """One file and what is acknowledged in it.

    Attributes:
        first: number of its first record.
        count: records that it holds; left: those of them that are not acknowledged.
        acknowledged: a bit for each record.
    """

    __slots__ = ("_acks", "_folder", "acknowledged", "count", "first", "left")

    def __init__(self, folder: Path, first: int, count: int | None = None) -> None:
        """count: how many records it holds, None when that has to be found out."""
        self._folder = folder
        self.first = first
        self._acks = -1
        held = self._ack_path.read_bytes() if self._ack_path.exists() else b""
        noted = [index for (index,) in _INDEX.iter_unpack(held[: len(held) // _INDEX.size * _INDEX.size])]
        ends = [] if count is not None else [number for number in noted if number >= _CLOSED][-1:]
        if ends and ends[0] - _CLOSED > self.path.stat().st_size // segments.HEADER.size:
            ends = []  # damaged: so many have no room
        if count is None:
            count = ends[0] - _CLOSED if ends else self._counted()
        self.count = self.left = count
        self.acknowledged = bytearray((count + 7) // 8)
        for index in noted:
            if index < count:
                self._mark(index)
        # what is torn, or of records that a loss of power took, must not count for those that come now
        meant = b"".join(_INDEX.pack(n) for n in noted if n < count or n in ends)
        if held != meant:
            self._ack_path.write_bytes(meant)

    def _counted(self) -> int:
        return max(0, sum(1 for _ in segments.records(self.path.read_bytes())) - 1)

    @property
    def path(self) -> Path:
        return self._folder / segments.name_of(self.first)

    @property
    def _ack_path(self) -> Path:
        return self.path.with_suffix(".ack")

    def has(self, index: int) -> bool:
        """Whether a record is acknowledged."""
        return bool(self.acknowledged[index >> 3] & 1 << (index & 7))

    def grow(self) -> int:
        """One record more; its index."""
        self.count += 1
        self.left += 1
        if len(self.acknowledged) * 8 < self.count:
            self.acknowledged.append(0)
        return self.count - 1

    def done(self, index: int) -> None:
        """Note that a record is acknowledged. Raises OSError; it counts in memory all the same."""
        self._mark(index)
        self._note(index)

    def end(self) -> None:
        """Note that it grows no more. Raises OSError: it is counted when it is read again, then."""
        self._note(self.count | _CLOSED)

    def _note(self, number: int) -> None:
        if self._acks < 0:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._acks = os.open(self._ack_path, flags, 0o600)
        if os.write(self._acks, _INDEX.pack(number)) < _INDEX.size:
            os.ftruncate(self._acks, os.fstat(self._acks).st_size // _INDEX.size * _INDEX.size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _mark(self, index: int) -> None:
        if not self.has(index):
            self.acknowledged[index >> 3] |= 1 << (index & 7)
            self.left -= 1

    def close(self) -> None:
        if self._acks >= 0:
            os.close(self._acks)
            self._acks = -1

    def remove(self) -> None:
        self.close()
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)  # first: acknowledgements without records are nothing
            self._ack_path.unlink(missing_ok=True)
