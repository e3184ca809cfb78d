"""Notifications of the journal → entries, also of events that cannot be read. No I/O.

One event that is not as it should be must not keep a collector from those behind it: what can be had of it
says where it belongs, and the whole of it is kept (`rejected`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from collector import decode
from telemetry.protocol import gnmi_pb2


@dataclass(frozen=True, slots=True)
class Entry:
    """One event as it came.

    Attributes:
        notification: all of it.
        seq: number within the journal, None when it cannot be read.
        row: of `events`, as `decode.event` has it; None when the event cannot be read.
        reason: why it cannot.
    """

    notification: gnmi_pb2.Notification
    seq: int | None
    row: dict[str, Any] | None
    reason: str = ""

    @property
    def time_ns(self) -> int:
        """When it happened, by the BNG's clock."""
        return self.notification.timestamp

    def text(self, leaf: str) -> str | None:
        """A leaf of text, also of an event that cannot be read: without NUL, 200 characters at most."""
        base = decode.steps(self.notification.prefix)
        for update in self.notification.update:
            names = [name for name, _ in (*base, *decode.steps(update.path))]
            if names[-1:] == [leaf] and update.val.WhichOneof("value") in ("string_val", "ascii_val"):
                found: str = getattr(update.val, str(update.val.WhichOneof("value")))
                return found.replace("\0", "\ufffd")[:200]
        return None


def read(notification: gnmi_pb2.Notification) -> Entry | None:
    """The entry of a notification, None where it has no event."""
    try:
        row = decode.event(notification)
    except decode.DecodeError as error:
        return Entry(notification, _seq(notification), None, str(error))
    return None if row is None else Entry(notification, row["seq"], row)


def _seq(notification: gnmi_pb2.Notification) -> int | None:
    """The key of an event's entry, if it is a number that PostgreSQL has room for."""
    for update in (None, *notification.update):
        paths = (notification.prefix, update.path) if update else (notification.prefix,)
        for name, keys in decode.steps(*paths):
            if name == "event" and "seq" in keys:
                try:
                    return decode.integer(keys["seq"])
                except decode.DecodeError:
                    return None
    return None
