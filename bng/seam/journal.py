"""The journal's writer: every lifecycle event, in order, durable before anybody is told of it.

`Journal.append` numbers an event and keeps it in memory; `Journal.sync` writes all that waits with one
write and one fdatasync. The control process runs `sync` in a thread while its loop goes on appending, so
that events that arrive during one disk flush share the next.

When the disk is full the oldest segments go first (the journal is bounded anyway). When that does not help,
events wait in memory up to a bound, `alarm` says why, and the caller goes on serving subscribers.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
import structlog

from bng.seam import segments
from bng.seam.clock import date_and_time

log = structlog.get_logger()

Event = dict[str, Any]


class JournalError(Exception):
    """The journal cannot be opened or written; the message says what to do."""


class Journal:
    """The only writer of a journal folder.

    Args:
        directory: created with mode 0700 when it is not there.
        instance_id: UUID of this control plane, written into each event.
        max_events, max_bytes: bounds of what is retained; whole segments are dropped.
        segment_bytes: a segment is closed when it is larger than this.
        max_pending: events that may wait in memory while the disk refuses them.
        on_append: called with each numbered event and the record that holds it, before it is durable.
        after: the journal goes on behind this number even if its files end earlier (a checkpoint knows
            more than a folder that was emptied).
        clock: nanoseconds since the epoch.

    Raises:
        JournalError: another process writes this journal, or the folder cannot be used.
    """

    def __init__(
        self,
        directory: Path,
        instance_id: str,
        *,
        max_events: int = 1_000_000,
        max_bytes: int = 512 << 20,
        segment_bytes: int = 4 << 20,
        max_pending: int = 100_000,
        on_append: Callable[[Event, bytes], None] | None = None,
        after: int = 0,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.directory = directory
        self.instance_id = instance_id
        self.alarm: str | None = None
        self.lost = 0
        """Events that found neither room on the disk nor in memory."""
        self._max_events, self._max_bytes, self._max_pending = max_events, max_bytes, max_pending
        self._segment_bytes = segment_bytes
        self._clock = clock
        self._on_append = on_append
        self._mutex = threading.Lock()
        self._writing = threading.Lock()
        self._pending: list[bytes] = []
        self._file = -1
        self._has_torn_tail = False
        self._time = 0
        self._checkpoint = 0
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            self._take_lock()
            self._open(after)
        except OSError as error:
            raise JournalError(f"cannot open the journal in {directory}: {error.strerror}") from error

    @property
    def oldest(self) -> int:
        """Number of the first event that is retained (newest + 1 of an empty journal)."""
        return self._segments[0][0]

    @property
    def newest(self) -> int:
        """Number of the last event that was appended; it may not be durable yet."""
        return self._newest

    @property
    def durable(self) -> int:
        """Number of the last durable event."""
        return self._durable

    @property
    def pending(self) -> int:
        """Events that are not durable yet."""
        return self._newest - self._durable

    def append(self, event: Mapping[str, Any]) -> int:
        """Number an event, and keep it until `sync`.

        ``seq``, ``time`` and ``instance-id`` are added, and ``_time_ns``: strictly increasing, so that a
        time names one event.

        Returns:
            its sequence number, or 0 when the disk has refused so long that memory is used up: such an
            event is lost to the journal, and counted in `lost`.
        """
        with self._mutex:
            if len(self._pending) >= self._max_pending:
                self.lost += 1
                return 0
            self._newest += 1
            self._time = max(self._clock(), self._time + 1)
            head = {
                "seq": self._newest,
                "time": date_and_time(self._time),
                "instance-id": self.instance_id,
                "_time_ns": self._time,
            }
            numbered: Event = head | dict(event)
            record = segments.encode(orjson.dumps(numbered))
            self._pending.append(record)
        if self._on_append is not None:
            self._on_append(numbered, record)
        return self._newest

    def sync(self) -> int:
        """Make everything appended so far durable. Blocks for the disk; call it from any one thread.

        Returns:
            the number of the last durable event. It is less than `newest` while `alarm` is set.
        """
        with self._writing:
            with self._mutex:
                batch = list(self._pending)
            if not batch:
                return self._durable
            try:
                written = self._write(batch)
                self._raise_alarm(None)
            except OSError as error:
                written = self._whole_records_on_disk(batch)
                if not self._make_room(error):
                    self._raise_alarm(f"{os.strerror(error.errno or 0)} in {self.directory}")
            with self._mutex:
                del self._pending[:written]
                self._durable += written
            if self._size >= self._segment_bytes:
                self._rotate()
            return self._durable

    def retain(self, checkpoint_seq: int) -> None:
        """Allow that events up to this one are dropped: a checkpoint holds what they led to."""
        self._checkpoint = max(self._checkpoint, checkpoint_seq)

    def close(self) -> None:
        """Make the rest durable and let go of the folder."""
        self.sync()
        os.close(self._file)
        os.close(self._lock)

    # opening

    def _take_lock(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise JournalError(
                f"the journal in {self.directory} is in use by another process; stop that BNG first"
            ) from None

    def _open(self, after: int) -> None:
        numbers = segments.list_segments(self.directory) or [after + 1]
        last = numbers[-1]
        self._newest = last - 1
        self._file = self._open_segment(last)
        size = self._scan_last(last)
        if size == 0 and len(numbers) > 1:
            self._time = self._last_time_of(numbers[-2])
        if os.fstat(self._file).st_size > size:
            log.warning("journal.torn-tail", segment=segments.name_of(last), kept=size)
            os.ftruncate(self._file, size)
        os.fsync(self._file)
        segments.sync_directory(self.directory)
        self._durable = self._newest
        self._size = self._durable_size = size
        self._segments = [
            (number, (self.directory / segments.name_of(number)).stat().st_size) for number in numbers
        ]
        if self._newest < after:
            self._continue_behind(after)

    def _continue_behind(self, seq: int) -> None:
        """Number on behind `seq`. The older events go: numbers must have no gap."""
        log.warning("journal.shorter-than-checkpoint", newest=self._newest, checkpoint=seq)
        self._newest = self._durable = seq
        self._rotate()
        while len(self._segments) > 1:
            self._drop_oldest()

    def _open_segment(self, first_seq: int) -> int:
        path = self.directory / segments.name_of(first_seq)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def _scan_last(self, first_seq: int) -> int:
        """Find the end of what counts in the last segment; sets the newest number and time."""
        content = (self.directory / segments.name_of(first_seq)).read_bytes()
        size = 0
        for end, payload in segments.records(content):
            try:
                event = orjson.loads(payload)
                if event["seq"] != self._newest + 1:
                    break
                self._time = event["_time_ns"]
            except (orjson.JSONDecodeError, KeyError, TypeError):
                break
            self._newest += 1
            size = end
        return size

    def _last_time_of(self, first_seq: int) -> int:
        content = (self.directory / segments.name_of(first_seq)).read_bytes()
        payloads = [payload for _, payload in segments.records(content)]
        return int(orjson.loads(payloads[-1])["_time_ns"]) if payloads else 0

    # writing

    def _write(self, batch: list[bytes]) -> int:
        if self._has_torn_tail:
            os.ftruncate(self._file, self._durable_size)
            self._has_torn_tail = False
        view = memoryview(b"".join(batch))
        while view:
            view = view[os.write(self._file, view) :]
        os.fdatasync(self._file)
        self._size = self._durable_size = os.fstat(self._file).st_size
        return len(batch)

    def _whole_records_on_disk(self, batch: list[bytes]) -> int:
        """After a failed write: keep the records that are whole and flushed, cut the rest."""
        self._has_torn_tail = True
        count, size = 0, self._durable_size
        there = os.fstat(self._file).st_size
        for record in batch:
            if size + len(record) > there:
                break
            size += len(record)
            count += 1
        try:
            os.ftruncate(self._file, size)
            os.fdatasync(self._file)
        except OSError:
            # Nothing is known of what the disk holds: none of it counts, all of it is written again.
            return 0
        self._size = self._durable_size = size
        self._has_torn_tail = False
        return count

    def _make_room(self, error: OSError) -> bool:
        """Drop the oldest segment that a checkpoint covers; the next sync tries again."""
        if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not self._droppable():
            return False
        log.warning("journal.disk-full", dropped=segments.name_of(self.oldest))
        self._drop_oldest()
        return True

    def _raise_alarm(self, text: str | None) -> None:
        if text != self.alarm:
            if text:
                log.error("journal.cannot-write", reason=text, waiting=len(self._pending))
            else:
                log.info("journal.writes-again", lost=self.lost)
        self.alarm = text

    def _rotate(self) -> None:
        try:
            following = self._open_segment(self._durable + 1)
            segments.sync_directory(self.directory)
        except OSError as error:
            log.warning("journal.no-new-segment", reason=error.strerror)
            return
        os.close(self._file)
        self._file = following
        self._segments[-1] = (self._segments[-1][0], self._size)
        self._segments.append((self._durable + 1, 0))
        self._size = self._durable_size = 0
        while self._droppable() and self._over_bounds():
            self._drop_oldest()

    def _over_bounds(self) -> bool:
        retained = self._durable - self._segments[1][0] + 1
        return retained >= self._max_events or sum(size for _, size in self._segments) > self._max_bytes

    def _droppable(self) -> bool:
        return len(self._segments) > 1 and self._segments[1][0] - 1 <= self._checkpoint

    def _drop_oldest(self) -> None:
        number, _ = self._segments.pop(0)
        (self.directory / segments.name_of(number)).unlink(missing_ok=True)
