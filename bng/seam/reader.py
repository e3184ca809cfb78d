"""Reading the journal, in this or another process, while it is being written."""

from __future__ import annotations

import os
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import structlog

from bng.seam import segments

log = structlog.get_logger()

_STEP = 64
"""Every 64th record of a segment is in the index: 16 octets for each."""


class _Segment:
    """What a reader knows of one file. The index is made when it is first needed, and grows with the file."""

    __slots__ = ("_first_time", "_times", "end", "first", "indexed", "offsets", "path")

    def __init__(self, directory: Path, first: int) -> None:
        self.path = directory / segments.name_of(first)
        self.first = first
        self.indexed = 0
        self.end = 0
        self.offsets = array("Q")
        self._times = array("Q")
        self._first_time: int | None = None

    def index(self, last_seq: int | None = None) -> None:
        """Take in the records behind those that are known, up to `last_seq`."""
        with self.path.open("rb") as file:
            file.seek(self.end)
            content = file.read()
        start = 0
        for end, payload in segments.records(content):
            if last_seq is not None and self.first + self.indexed > last_seq:
                break
            if self.indexed % _STEP == 0:
                self.offsets.append(self.end)
                self._times.append(orjson.loads(payload)["_time_ns"])
            self.indexed += 1
            self.end += end - start
            start = end

    def flush(self) -> None:
        """Make durable what is in the file, whoever wrote it."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)

    def first_time(self) -> int:
        """Time of the first record; reads only that. LookupError when there is none."""
        if self._first_time is None:
            with self.path.open("rb") as file:
                head = file.read(segments.HEADER.size + segments.MAX_RECORD)
            for _, payload in segments.records(head):
                self._first_time = int(orjson.loads(payload)["_time_ns"])
                break
            else:
                raise LookupError(f"{self.path.name} holds no event")
        return self._first_time

    def read(self, first: int, limit: int) -> list[dict[str, Any]]:
        """Events `first` … of this segment; the index covers them."""
        last = min(first + limit, self.first + self.indexed)
        block = (first - self.first) // _STEP
        beyond = -(-(last - self.first) // _STEP)
        begin = self.offsets[block]
        end = self.offsets[beyond] if beyond < len(self.offsets) else self.end
        with self.path.open("rb") as file:
            file.seek(begin)
            content = file.read(end - begin)
        seq = self.first + block * _STEP
        found = []
        for _, payload in segments.records(content):
            if first <= seq < last:
                found.append(orjson.loads(payload))
            seq += 1
        return found

    def seek(self, time_ns: int) -> int:
        """Number of the first event at or after a time, or that behind the last."""
        block = max(bisect_right(self._times, time_ns) - 1, 0)
        first = self.first + block * _STEP
        for event in self.read(first, _STEP):
            if event["_time_ns"] >= time_ns:
                return int(event["seq"])
        return min(first + _STEP, self.first + self.indexed)


class JournalReader:
    """A view of a journal folder. It shows durable events only.

    The folder may be absent or empty; `newest` is 0 then. Not for use by several threads at once.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._segments: list[_Segment] = []
        self.refresh()

    @property
    def oldest(self) -> int:
        """Number of the first event that is retained; `newest` + 1 when there is none."""
        return self._segments[0].first if self._segments else 1

    @property
    def newest(self) -> int:
        """Number of the last durable event as of the last `refresh`."""
        if not self._segments:
            return 0
        last = self._segments[-1]
        return last.first + last.indexed - 1

    def refresh(self, durable: int | None = None) -> int:
        """Take in what was appended since.

        Args:
            durable: number of the last event that the writer says is durable. Without it the reader makes
                sure itself, by flushing what it is about to show.

        Returns:
            `newest`.
        """
        if durable is not None and durable <= self.newest:
            return self.newest
        try:
            numbers = segments.list_segments(self.directory)
            known = {segment.first: segment for segment in self._segments}
            fresh = [known.get(number) or _Segment(self.directory, number) for number in numbers]
            if fresh:
                if durable is None:
                    fresh[-1].flush()
                fresh[-1].index(durable)
        except FileNotFoundError:
            return self.newest
        self._segments = fresh
        return self.newest

    def read(self, first: int, limit: int) -> list[dict[str, Any]]:
        """Up to `limit` events from number `first` on, private keys included.

        Raises:
            LookupError: `first` is no longer retained.
        """
        if first < self.oldest:
            raise LookupError(f"event {first} is gone, the oldest is {self.oldest}")
        found: list[dict[str, Any]] = []
        while len(found) < limit and first + len(found) <= self.newest:
            seq = first + len(found)
            try:
                part = self._indexed(self._position(seq)).read(seq, limit - len(found))
            except FileNotFoundError:
                self.refresh()
                raise LookupError(f"event {seq} is gone, the oldest is {self.oldest}") from None
            if not part:
                raise LookupError(f"event {seq} cannot be read: its segment is damaged")
            found += part
        return found

    def batches(self, first: int, limit: int) -> Iterator[list[dict[str, Any]]]:
        """All events from number `first` on that can be read, up to `limit` at once. Of a segment that is
        damaged, what lies behind the damage is passed over: one bad sector must not cost all the rest."""
        first = max(first, self.oldest)
        while first <= self.newest:
            try:
                events = self.read(first, limit)
            except LookupError as error:
                events = self._read_of_one(first, limit)
                if not events:
                    following = self._following(first)
                    log.error("journal.damaged", reason=str(error), events=following - first)
                    first = following
                    continue
            yield events
            first += len(events)

    def _read_of_one(self, first: int, limit: int) -> list[dict[str, Any]]:
        """What the segment of an event has of it and the next ones, as far as it is whole."""
        try:
            return self._indexed(self._position(first)).read(first, limit)
        except (FileNotFoundError, LookupError):
            return []

    def _following(self, seq: int) -> int:
        """Number of the first event behind the segment of an event."""
        position = self._position(seq) + 1
        return self._segments[position].first if position < len(self._segments) else self.newest + 1

    def seek(self, time_ns: int) -> int:
        """Number of the first event at or after a time; `newest` + 1 when there is none.

        Raises:
            LookupError: events of that time may have been dropped.
        """
        if self.newest < self.oldest:
            return self.newest + 1
        try:
            if time_ns < self._segments[0].first_time():
                if self.oldest > 1:
                    raise LookupError(f"events before number {self.oldest} are no longer retained")
                return 1
            return self._indexed(self._position_at(time_ns)).seek(time_ns)
        except FileNotFoundError:
            self.refresh()
            raise LookupError("the journal was shortened just now") from None

    def _position(self, seq: int) -> int:
        return bisect_right(self._segments, seq, key=lambda segment: segment.first) - 1

    def _position_at(self, time_ns: int) -> int:
        """Index of the segment that holds the last event before or at a time."""
        filled = len(self._segments) - (self._segments[-1].indexed == 0)
        key = _Segment.first_time
        return max(bisect_right(self._segments, time_ns, hi=filled, key=key) - 1, 0)

    def _indexed(self, position: int) -> _Segment:
        """A segment with its index complete. All but the last are closed: they grow no more."""
        segment = self._segments[position]
        if position + 1 < len(self._segments):
            following = self._segments[position + 1].first
            if segment.first + segment.indexed < following:
                segment.index(following - 1)
        return segment
