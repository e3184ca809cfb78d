"""The journal for the servers: a log to read and to replay, and the notifications that its events become."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bng.northbound.container import ContainerProvider
from bng.northbound.records import EventRecord
from bng.seam.reader import JournalReader
from yang.provider import Keys, Notification

_NOTIFIED = frozenset(
    {
        "session-start",
        "session-update",
        "session-stop",
        "policy-apply",
        "session-rejected",
        "session-moved",
        "session-move-denied",
    }
)
_BATCH = 256


def notification_of(record: EventRecord) -> Notification | None:
    """The notification of aether-subscriber that an event becomes; None for events that are none."""
    if record.type not in _NOTIFIED:
        return None
    return Notification(f"/aether-subscriber:{record.type}", record, record.time_ns, record.seq)


class EventsProvider:
    """``/aether-events:events/event``, the LogProvider."""

    path = "/aether-events:events/event"

    def __init__(self, journal: JournalReader) -> None:
        self._journal = journal

    @property
    def oldest(self) -> int:
        return self._journal.oldest

    @property
    def newest(self) -> int:
        return self._journal.newest

    def read(self, first: int, limit: int) -> Sequence[EventRecord]:
        return [EventRecord(event) for event in self._journal.read(first, limit)]

    def time_of(self, record: EventRecord) -> int:
        return record.time_ns

    def seek(self, time_ns: int) -> int:
        return self._journal.seek(time_ns)

    def get(self, keys: Keys) -> EventRecord | None:
        seq = keys[0]
        if not self.oldest <= seq <= self.newest:
            return None
        try:
            found = self.read(seq, 1)
        except LookupError:
            return None
        return found[0] if found else None

    def iter(self) -> Iterator[EventRecord]:
        """All retained events, read in portions; what is dropped meanwhile is left out."""
        first = self.oldest
        while first <= self.newest:
            try:
                found = self.read(max(first, self.oldest), _BATCH)
            except LookupError:
                first = self.oldest
                continue
            if not found:
                return
            yield from found
            first = found[-1].seq + 1


class Bounds(NamedTuple):
    """aether-events:events/journal."""

    oldest_seq: int
    newest_seq: int


class BoundsProvider(ContainerProvider):
    """``/aether-events:events/journal``."""

    path = "/aether-events:events/journal"

    def __init__(self, journal: JournalReader) -> None:
        self._journal = journal

    def record(self) -> Bounds:
        return Bounds(self._journal.oldest, self._journal.newest)


class JournalReplay:
    """What NETCONF replays its stream from (RFC 5277)."""

    def __init__(self, log: EventsProvider) -> None:
        self._log = log

    @property
    def log(self) -> EventsProvider:
        return self._log

    def notification(self, record: EventRecord) -> Notification | None:
        return notification_of(record)
