"""What the comparisons did: aether-health:reconcile."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from bng.seam.clock import date_and_time

KERNEL_SURPLUS = "kernel-surplus"
KERNEL_LOST = "kernel-lost"
KERNEL_GATE = "kernel-gate"
KINDS = (
    KERNEL_SURPLUS,
    KERNEL_LOST,
    KERNEL_GATE,
    "lease-recovered",
    "lease-renewed",
    "lease-replaced",
    "lease-gone",
)


class Rounds:
    """The last round of one comparison.

    Attributes:
        compared: sessions that were looked at.
        complete: whether the round came to its end.
    """

    def __init__(self) -> None:
        self.compared = 0
        self.complete = False
        self._time_ns = 0
        self._duration = 0.0
        self._began = 0.0

    def begin(self) -> None:
        """A round begins."""
        self._began = time.monotonic()

    def end(self, compared: int, complete: bool = True) -> None:
        """It is over."""
        self._duration = time.monotonic() - self._began
        self._time_ns = time.time_ns()
        self.compared, self.complete = compared, complete

    def record(self) -> dict[str, Any] | None:
        """Its leaves; None before the first round."""
        if not self._time_ns:
            return None
        return {
            "last_run": date_and_time(self._time_ns),
            "duration": round(self._duration * 1000),
            "sessions_compared": self.compared,
            "complete": self.complete,
        }


class Repairs:
    """Counts since the start, and the last rounds of both comparisons."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.kernel = Rounds()
        self.leases = Rounds()

    def record(self) -> dict[str, Any]:
        """The leaves of aether-health:reconcile, with ``_`` for ``-``."""
        return {
            "kernel": self.kernel.record(),
            "leases": self.leases.record(),
            "repaired": {kind.replace("-", "_"): self.counts[kind] for kind in KINDS},
        }
