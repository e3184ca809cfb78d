"""Notification messages (RFC 5277 section 4) and their times."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from nbi.protocol.names import NETMOD_NOTIFICATION_NS, NOTIFICATION_NS

SECOND = 1_000_000_000
END = b"</notification>"
_DATE_AND_TIME = re.compile(
    r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,18}))?(Z|[+-]\d{2}:\d{2})", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def message(time_ns: int, content: bytes) -> bytes:
    """A notification message, unframed."""
    return start(time_ns) + content + END


def start(time_ns: int) -> bytes:
    """What stands in front of the content of a notification message; behind it comes `END`."""
    return f'<notification xmlns="{NOTIFICATION_NS}"><eventTime>{event_time(time_ns)}</eventTime>'.encode()


def complete(time_ns: int, name: str) -> bytes:
    """``replayComplete`` or ``notificationComplete`` as a message."""
    return message(time_ns, f'<{name} xmlns="{NETMOD_NOTIFICATION_NS}"/>'.encode())


def event_time(time_ns: int) -> str:
    """RFC 3339 in UTC with nanoseconds: a client can ask for a replay from exactly there."""
    seconds, fraction = divmod(time_ns, SECOND)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"


def parse_time(text: str) -> int:
    """A date-and-time in nanoseconds since the epoch.

    Raises:
        ValueError: it is none.
    """
    match = _DATE_AND_TIME.fullmatch(text)
    if match is None:
        raise ValueError("not a time as RFC 3339 has it")
    try:
        moment = datetime.fromisoformat(match[1] + match[3].replace("Z", "+00:00")) - _EPOCH
    except OverflowError:
        raise ValueError("the time is out of range") from None
    fraction = int((match[2] or "0").ljust(9, "0")[:9])
    return (moment.days * 86400 + moment.seconds) * SECOND + fraction
