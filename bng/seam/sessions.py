"""The read model: which sessions there are, derived from a checkpoint and the journal's tail.

`fold` is the one function by which both processes derive it. Each session event carries everything durable
of its session as it is after the event (`bng.session.effects`), so the state of a session is its last event.
The checkpoint holds just that: the last event of each session, as the journal encoded it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from bng.seam import segments
from bng.seam.reader import JournalReader

Event = Mapping[str, Any]

_PUTS = frozenset({"session-start", "session-update", "policy-apply", "session-rejected"})
_BATCH = 512
_ENDED_KEPT = 7 * 86_400 * 1_000_000_000
"""Nanoseconds: ends that are longer ago are forgotten at the next start; leases are shorter."""
_PART = 256


def line_key(event: Event) -> str:
    """``remote-id circuit-id`` of the access line of an event (agent ids hold no blank)."""
    line = event.get("access-line") or {}
    return f"{line.get('remote-id', '')} {line.get('circuit-id', '')}"


@dataclass(slots=True)
class Sessions:
    """What the journal up to event `seq` amounts to.

    Attributes:
        by_id: last event of each live session, by session id.
        tombstones: access lines (`line_key`) of sessions that management ended, and until when
            (nanoseconds since the epoch) renewals do not bring them back.
        ended: access lines without a session and when the last one ended (nanoseconds): a lease that the
            DHCP server last heard of before brings none back.
        seq, time_ns: of the last event that was folded.
        instance_id: of the last event.
        started, rejected: session-start and session-rejected events since the last system-start.
    """

    by_id: dict[str, Event] = field(default_factory=dict)
    tombstones: dict[str, int] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict, kw_only=True)
    seq: int = 0
    time_ns: int = 0
    instance_id: str = ""
    started: int = 0
    rejected: int = 0


def fold(sessions: Sessions, event: Event) -> None:
    """Take one event in. Events come in order; one that was folded before changes nothing."""
    if event["seq"] <= sessions.seq:
        return
    sessions.seq = event["seq"]
    sessions.time_ns = event["_time_ns"]
    sessions.instance_id = event["instance-id"]
    kind = event["type"]
    if kind in _PUTS:
        sessions.by_id[event["session-id"]] = event
        if kind == "session-start":
            sessions.started += 1
            sessions.tombstones.pop(line_key(event), None)
            sessions.ended.pop(line_key(event), None)
        elif kind == "session-rejected":
            sessions.rejected += 1
    elif kind == "session-stop":
        sessions.by_id.pop(event["session-id"], None)
        sessions.ended[line_key(event)] = event["_time_ns"]
        if "_tombstone_until" in event:
            sessions.tombstones[line_key(event)] = event["_tombstone_until"]
    elif kind == "system-start":
        sessions.started = sessions.rejected = 0
        now = event["_time_ns"]
        sessions.tombstones = {line: until for line, until in sessions.tombstones.items() if until > now}
        sessions.ended = {line: at for line, at in sessions.ended.items() if at > now - _ENDED_KEPT}


class Checkpoint:
    """A `Sessions` in a file, and what control keeps to write it without encoding anything twice.

    `note` is called with each event that is appended; `freeze` is a cheap copy taken by the loop; `write`
    may run in a thread.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._state = Sessions()
        self._records: dict[str, bytes] = {}

    def __len__(self) -> int:
        """Sessions."""
        return len(self._records)

    def note(self, event: Event, record: bytes) -> None:
        """Take in an event, and its record, as it was appended to the journal."""
        fold(self._state, event)
        kind = event["type"]
        if kind in _PUTS:
            self._state.by_id.pop(event["session-id"])
            self._records[event["session-id"]] = record
        elif kind == "session-stop":
            self._records.pop(event["session-id"], None)

    def start_from(self, sessions: Sessions) -> None:
        """Take over what was recovered; call it before the first `note`."""
        self._state = Sessions(
            {}, dict(sessions.tombstones), sessions.seq, sessions.time_ns, sessions.instance_id,
            sessions.started, sessions.rejected, ended=dict(sessions.ended),
        )  # fmt: skip
        self._records = {key: segments.encode(orjson.dumps(event)) for key, event in sessions.by_id.items()}

    def freeze(self) -> tuple[int, list[bytes]]:
        """(sequence number, records) of this moment, for `write`."""
        state = self._state
        head = {
            "seq": state.seq,
            "time_ns": state.time_ns,
            "instance_id": state.instance_id,
            "started": state.started,
            "rejected": state.rejected,
            "sessions": len(self._records),
            "tombstones": state.tombstones,
            "ended": state.ended,
        }
        return state.seq, [segments.encode(orjson.dumps(head)), *self._records.values()]

    def write(self, records: list[bytes]) -> None:
        """Replace the file. The events up to the frozen number must be durable. Raises OSError."""
        # in parts: the loop gets its turn in between
        parts = (b"".join(records[at : at + _PART]) for at in range(0, len(records), _PART))
        segments.replace_file_by_parts(self.path, parts)


def load_checkpoint(path: Path) -> Sessions:
    """What a checkpoint holds; empty when there is none or it is damaged."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Sessions()
    payloads = [payload for _, payload in segments.records(content)]
    try:
        head = orjson.loads(payloads[0])
        if len(payloads) != head["sessions"] + 1:
            return Sessions()
        events = [orjson.loads(payload) for payload in payloads[1:]]
        return Sessions(
            {event["session-id"]: event for event in events},
            head["tombstones"],
            head["seq"],
            head["time_ns"],
            head["instance_id"],
            head["started"],
            head["rejected"],
            ended=head.get("ended", {}),
        )
    except (IndexError, KeyError, TypeError, orjson.JSONDecodeError):
        return Sessions()


def load(checkpoint: Path, journal: JournalReader) -> Sessions:
    """Checkpoint and tail. When events in between are gone, what is there is taken."""
    sessions = load_checkpoint(checkpoint)
    follow(sessions, journal)
    return sessions


def follow(sessions: Sessions, journal: JournalReader) -> list[Event]:
    """Fold what the reader has beyond `sessions.seq`. Returns these events."""
    taken: list[Event] = []
    for events in journal.batches(sessions.seq + 1, _BATCH):
        for event in events:
            fold(sessions, event)
        taken += events
    sessions.seq = max(sessions.seq, journal.newest)  # what of it is damaged will not come any more
    return taken
