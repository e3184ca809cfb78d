"""Accounting records on the disk until a server took them.

``accounting/`` holds segments of at most some megabytes, named after the number of their first record, and
beside each the file of what was acknowledged in it:

- ``<first>.log``: records ``length u32 · crc32 u32 · payload`` (`bng.seam.segments`); the first is a header.
- ``<first>.ack``: numbers of acknowledged records, u32 each, counted from 0 in this segment. One with the
  highest bit set is how many records the segment holds, written when it is closed.
- ``given``: u64, the number of the last journal event whose accounting was put here or needed none.
- ``interims``: see `bng.aaa.interims`.

A segment goes as soon as all its records are acknowledged, whatever the others hold: one record that no
server takes keeps its own segment only. Nothing is flushed for a single record: what a process wrote survives
its kill, and what a loss of power takes is made again from the journal, behind `given`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
from collections import deque
from itertools import islice
from pathlib import Path

import structlog

from bng.aaa.accounting import Place, Record
from bng.aaa.interims import Interim, InterimRows
from bng.aaa.spool_segment import Segment
from bng.codec import radius
from bng.codec.errors import DecodeError
from bng.seam import segments
from bng.session.effects import Account, AccountKind
from bng.session.events import Counters

log = structlog.get_logger("bng.aaa")

_NUMBER = struct.Struct("!Q")
_HEADER = struct.Struct("!cQ")  # S, given
_PUT = struct.Struct("!cQqBB")  # P, given, time, kind, length of the chain's name
_LEAST = segments.HEADER.size + _PUT.size
"""Octets of the shortest record."""
_KINDS: tuple[AccountKind | None, ...] = (None, AccountKind.START, AccountKind.INTERIM, AccountKind.STOP)
_CHUNK = 256 << 10
_OPEN_FILES = 16


class Spool:
    """The folder. One writer, which is also the one reader.

    Args:
        folder: made when it is not there.
        newest: number of the newest event of the journal: `given` of a folder that is new, and the most
            that `given` can be.
        segment_bytes: a segment is closed when it is larger.

    Attributes:
        unread: records that are on the disk only: not acknowledged, and not handed out by `read` yet.
        given: number of the last journal event whose accounting is here.
        alarm: why records cannot be written; None while they can.
        interims: the newest Interim-Update of each session.

    Raises:
        OSError: the folder cannot be used.
    """

    def __init__(self, folder: Path, newest: int = 0, segment_bytes: int = 4 << 20) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder
        self.alarm: str | None = None
        self.interims = InterimRows(folder / "interims")
        self._segment_bytes = segment_bytes
        self._noting: list[Segment] = []  # those whose files of acknowledgements are open
        self._owed: list[Place] = []  # acknowledged, and the disk refused to note it
        self._given_file = os.open(folder / "given", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        held = os.pread(self._given_file, _NUMBER.size, 0)
        if len(held) < _NUMBER.size:  # new; what comes now is to be found if there is no time to note more
            held = _NUMBER.pack(newest)
            os.pwrite(self._given_file, held, 0)
        self.given = self._noted = _NUMBER.unpack(held)[0]
        self._segments: dict[int, Segment] = {}
        self._open()
        self.given = min(self.given, newest)
        self.unread = sum(segment.left for segment in self._segments.values())
        # segment, index of the next record (-1: the header), offset behind them
        self._at = [next(iter(self._segments)), -1, 0]
        self._unsynced = {self._active.first}

    # writing

    def append(self, record: Record, given: int, *, direct: bool) -> Place | None:
        """Put a record at the end. None: the disk refuses it, `alarm` says why.

        Args:
            given: what to note as `given` with it.
            direct: the caller keeps the record as well, `read` is not to return it; only while nothing
                is unread.
        """
        chain = record.chain.encode()
        head = _PUT.pack(b"P", max(given, self.given), record.time, _KINDS.index(record.kind), len(chain))
        written = segments.encode(head + chain + radius.encode_attributes(record.attributes))
        try:
            if self._size >= self._segment_bytes:
                self._rotate()
            self._write(written)
        except OSError as error:
            self._raise_alarm(f"{os.strerror(error.errno or 0)} in {self.folder}")
            return None
        self._raise_alarm(None)
        self._pay()
        self.given = max(given, self.given)
        index = self._active.grow()
        if direct:
            self._at = [self._active.first, index + 1, self._size]
            self._buffer.clear()
        else:
            self.unread += 1
        return Place(self._active.first, index)

    def done(self, place: Place) -> None:
        """A record was acknowledged, or given up: it is not handed out again."""
        segment = self._segments[place.segment]
        try:
            segment.done(place.number)
        except OSError:
            self._owed.append(place)
        if self._noting[-1:] != [segment]:
            # records that nobody takes may keep many segments, each of which would keep its file open
            self._noting = [*(other for other in self._noting if other is not segment), segment]
            if len(self._noting) > _OPEN_FILES:
                self._noting.pop(0).close()
        if not segment.left and segment is not self._active:
            self._remove(segment)

    def _pay(self) -> None:
        owed, self._owed = self._owed, []
        for place in owed:
            segment = self._segments.get(place.segment)
            if segment is not None:
                with contextlib.suppress(OSError):
                    segment.done(place.number)

    def keep_interim(self, account: Account) -> None:
        """Keep an Interim-Update instead of the one before it."""
        counters = account.counters or Counters()
        interim = Interim(account.session_id, account.time, account.session_time, counters)
        self.interims.put(account.slot, interim)

    def drop_interim(self, account: Account) -> None:
        """Forget the Interim-Update of a session."""
        self.interims.clear(account.slot, account.session_id)

    def note(self, given: int) -> None:
        """The accounting of all journal events up to this one is here, or acknowledged."""
        self.given = max(self.given, given)
        if self.given > self._noted:
            with contextlib.suppress(OSError):
                os.pwrite(self._given_file, _NUMBER.pack(self.given), 0)
                self._noted = self.given

    def unflushed(self) -> list[Path]:
        """Files to be flushed (in any thread) before what they hold may be noted."""
        paths = [segment.path for segment in self._segments.values() if segment.first in self._unsynced]
        self._unsynced = {self._active.first}
        return paths

    @staticmethod
    def flush(paths: list[Path]) -> None:
        """Make files durable; those that are gone need it no more. Raises OSError."""
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    os.fdatasync(descriptor)
                finally:
                    os.close(descriptor)

    def close(self) -> None:
        """Let go of the folder."""
        for segment in self._segments.values():
            segment.close()
        self.interims.close()
        os.close(self._file)
        os.close(self._given_file)

    # reading

    def read(self, limit: int) -> list[Record]:
        """The next records that are not acknowledged, in their order, at most `limit`."""
        found: list[Record] = []
        while len(found) < limit and self.unread:
            if not self._buffer and not self._fill():
                # all that is left cannot be read: damaged
                log.error("accounting.spool-damaged", records=self.unread)
                self.unread = 0
                break
            end, payload = self._buffer.popleft()
            segment = self._segments[self._at[0]]
            index = self._at[1]
            self._at[1:] = index + 1, end
            if index >= 0 and not segment.has(index):
                self.unread -= 1
                record = _record_of(payload, Place(segment.first, index))
                if record is None:
                    self.done(Place(segment.first, index))
                else:
                    found.append(record)
        return found

    def _fill(self) -> bool:
        """Read on behind what was read last, into the next segment at the end of one. False: no more."""
        while True:
            first, index, offset = self._at
            segment = self._segments.get(first)
            if segment is not None and index < segment.count:
                try:
                    with segment.path.open("rb") as file:
                        file.seek(offset)
                        content = file.read(_CHUNK + segments.MAX_RECORD)
                except OSError:
                    content = b""
                there = islice(segments.records(content), segment.count - index)
                self._buffer.extend((offset + end, payload) for end, payload in there)
                if self._buffer:
                    return True
                self._skip_damaged(segment, index)
            following = next((number for number in self._segments if number > first), None)
            if following is None:
                return False
            self._at = [following, -1, 0]

    def _skip_damaged(self, segment: Segment, index: int) -> None:
        left = [i for i in range(max(index, 0), segment.count) if not segment.has(i)]
        if left:
            log.error("accounting.spool-damaged", records=len(left), segment=segment.path.name)
        self.unread -= len(left)
        for i in left:
            self.done(Place(segment.first, i))

    # files

    def _open(self) -> None:
        numbers = segments.list_segments(self.folder)
        names = {segments.name_of(number) for number in numbers}
        for path in self.folder.glob("*.ack"):
            if path.with_suffix(".log").name not in names:
                path.unlink()
        self._at, self._buffer = [0, -1, 0], deque[tuple[int, bytes]]()
        for number in numbers[:-1]:
            segment = self._segments[number] = Segment(self.folder, number)
            if segment.left <= 0:
                self._remove(segment)
        self._begin(numbers[-1] if numbers else 1)

    def _begin(self, first: int) -> None:
        """Make a segment the one that is written to: new, or as the last process left it."""
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        path = self.folder / segments.name_of(first)
        descriptor = os.open(path, flags, 0o600)
        size, count = 0, -1
        for end, payload in segments.records(path.read_bytes()):
            size, count = end, count + 1
            self.given = max(self.given, _given_of(payload))
        try:
            if count < 0:
                written = segments.encode(_HEADER.pack(b"S", self.given))
                os.ftruncate(descriptor, 0)
                if os.write(descriptor, written) < len(written):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                size, count = len(written), 0
            elif os.fstat(descriptor).st_size > size:
                os.ftruncate(descriptor, size)
        except OSError:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        self._file, self._size = descriptor, size
        self._active = self._segments[first] = Segment(self.folder, first, count)

    def _rotate(self) -> None:
        before, file = self._active, self._file
        self._begin(before.first + before.count)
        os.close(file)
        with contextlib.suppress(OSError):
            before.end()
        self._unsynced.add(self._active.first)
        if not before.left:
            self._remove(before)

    def _write(self, data: bytes) -> None:
        written = os.write(self._file, data)
        if written < len(data):
            os.ftruncate(self._file, self._size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._size += written

    def _remove(self, segment: Segment) -> None:
        del self._segments[segment.first]
        segment.remove()
        if self._at[0] == segment.first:
            self._buffer.clear()

    def _raise_alarm(self, text: str | None) -> None:
        if text != self.alarm:
            if text:
                log.error("accounting.cannot-spool", reason=text)
            else:
                log.info("accounting.spools-again")
        self.alarm = text


def _given_of(payload: bytes) -> int:
    """The number that a header or a put carries behind its first octet."""
    return int.from_bytes(payload[1:9], "big")


def _record_of(payload: bytes, place: Place) -> Record | None:
    try:
        _, _, time, kind, length = _PUT.unpack_from(payload)
        chain, encoded = payload[_PUT.size : _PUT.size + length], payload[_PUT.size + length :]
        attributes = radius.parse_attributes(encoded)
        return Record(chain.decode(), _KINDS[kind], time, attributes, place)
    except (struct.error, IndexError, UnicodeDecodeError, DecodeError):
        log.error("accounting.spool-damaged", records=1)
        return None
