"""The newest Interim-Update of each session that no server took yet: one row of a file per slot.

A row is 64 octets: session id, time, Acct-Session-Time, four counters, CRC-32. What else a record says of
its session, the journal knows. A row is written in place, so that the file is as large as there are slots,
however long no server answers.
"""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from bng.session.events import Counters

_ROW = struct.Struct("!16sQI4Q")
_CRC = struct.Struct("!I")
SIZE = _ROW.size + _CRC.size


@dataclass(frozen=True, slots=True)
class Interim:
    """A row. time: nanoseconds since the epoch; session_time: seconds."""

    session_id: str
    time: int
    session_time: int
    counters: Counters


class InterimRows:
    """The file. Raises OSError when it cannot be opened; what cannot be written later is passed over: it
    would count only after a kill."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def put(self, slot: int, interim: Interim) -> None:
        """Replace the row of a slot."""
        counters = interim.counters
        row = _ROW.pack(
            interim.session_id.encode()[:16],
            interim.time,
            min(interim.session_time, 0xFFFFFFFF),
            counters.in_octets,
            counters.out_octets,
            counters.in_packets,
            counters.out_packets,
        )
        self._write(slot, row + _CRC.pack(zlib.crc32(row)))

    def clear(self, slot: int, session_id: str) -> None:
        """Nothing waits for this session; the slot may be another's already."""
        name = session_id.encode()[:16].ljust(16, b"\0")
        if os.pread(self._file, 16, slot * SIZE) == name:
            self._write(slot, bytes(SIZE))

    def get(self, slot: int) -> Interim | None:
        """What waits for a slot."""
        held = os.pread(self._file, SIZE, slot * SIZE)
        if len(held) < SIZE:
            return None
        row, crc = held[: _ROW.size], held[_ROW.size :]
        if not any(row) or zlib.crc32(row) != _CRC.unpack(crc)[0]:
            return None
        session_id, time, session_time, *values = _ROW.unpack(row)
        try:
            text = session_id.rstrip(b"\0").decode("ascii")
        except UnicodeDecodeError:
            return None
        return Interim(text, time, session_time, Counters(*values))

    def close(self) -> None:
        os.close(self._file)

    def _write(self, slot: int, row: bytes) -> None:
        with contextlib.suppress(OSError):
            os.pwrite(self._file, row, slot * SIZE)
