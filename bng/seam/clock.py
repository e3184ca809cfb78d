"""Times as the model writes them."""

from __future__ import annotations

import time
from functools import lru_cache

NS = 1_000_000_000


@lru_cache(maxsize=1024)
def _seconds(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def date_and_time(time_ns: int) -> str:
    """``yang:date-and-time`` (RFC 6991, UTC, nine digits of fraction) of nanoseconds since the epoch.

    All nanoseconds are written, so that the text identifies an event as exactly as the number does.
    """
    seconds, fraction = divmod(time_ns, NS)
    return f"{_seconds(seconds)}.{fraction:09d}Z"
