"""A program on a host whose clock is off: `python -m tests.support.shifted_clock FILE MODULE ARGUMENTS`.

FILE has the seconds that the clock is ahead, and is read at each look at the clock; without it the clock is
right. Clocks that nobody sets (monotonic ones) are right.
"""

from __future__ import annotations

import datetime
import runpy
import sys
import time
from pathlib import Path

FILE = Path(sys.argv[1])
_time, _time_ns = time.time, time.time_ns


def ahead() -> float:
    try:
        return float(FILE.read_text() or 0)
    except FileNotFoundError:
        return 0.0


class Shifted(datetime.datetime):
    """`now` is off."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Shifted:
        return super().now(tz) + datetime.timedelta(seconds=ahead())


if __name__ == "__main__":
    time.time = lambda: _time() + ahead()
    time.time_ns = lambda: _time_ns() + round(ahead() * 1e9)
    datetime.datetime = Shifted  # type: ignore[misc]
    sys.argv = sys.argv[2:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
