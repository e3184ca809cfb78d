"""Login throttling: who fails often must wait, longer each time."""

from __future__ import annotations

from collections import OrderedDict

FREE_FAILURES = 5
"""Failures that cost nothing: people mistype."""
LONGEST_WAIT = 300.0
FORGET_AFTER = 900.0
_MOST_KEYS = 10_000


class Throttle:
    """Counts failures per key (an address, a user name) and answers how long the key must wait.

    Time is given by the caller, in seconds of a monotonic clock. At most 10,000 keys are remembered: the
    oldest are forgotten first.
    """

    def __init__(self) -> None:
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait(self, keys: list[str], now: float) -> float:
        """Seconds until a login with these keys is looked at; 0 when it may be tried now."""
        return max((self._wait(key, now) for key in keys), default=0.0)

    def _wait(self, key: str, now: float) -> float:
        count, last = self._failures.get(key, (0, now))
        if now - last > FORGET_AFTER:
            del self._failures[key]
            return 0.0
        if count < FREE_FAILURES:
            return 0.0
        pause = min(2.0 ** (count - FREE_FAILURES + 1), LONGEST_WAIT)
        return max(0.0, last + pause - now)

    def failed(self, keys: list[str], now: float) -> None:
        for key in keys:
            count, _ = self._failures.pop(key, (0, now))
            self._failures[key] = (count + 1, now)
        while len(self._failures) > _MOST_KEYS:
            self._failures.popitem(last=False)

    def succeeded(self, keys: list[str]) -> None:
        for key in keys:
            self._failures.pop(key, None)
