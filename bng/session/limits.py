"""Limits on what access lines may send: packets per second, and devices that ask. O(1) per packet, bounded.

Both are about what is *not* known: who has a session is not subject to `Devices`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from bng.seam.clock import NS
from bng.session.records import AccessLine

MAX_BUCKETS = 131072
MAX_LINES = 65536
WINDOW = 60 * NS
"""Nanoseconds that a device counts for after it asked first."""
LONGEST_HOLD = 86_400 * NS
"""A device that got an address counts until its lease ends, but no longer than this."""

Key = TypeVar("Key", bound=Hashable)


class Buckets(Generic[Key]):
    """Token buckets: `rate` packets per second, as many at once.

    A bucket is kept as the time at which it is full again. When there are more than `MAX_BUCKETS`, the one
    that was made first is forgotten, which makes it full.
    """

    def __init__(self) -> None:
        self._full: dict[Key, int] = {}

    def __len__(self) -> int:
        return len(self._full)

    def admit(self, key: Key, rate: int, now: int) -> bool:
        """Take a token. False: there is none."""
        interval = NS // rate
        full = self._full.get(key)
        if full is None:
            if len(self._full) >= MAX_BUCKETS:
                del self._full[next(iter(self._full))]
            full = now
        elif full <= now:
            full = now
        elif full - now > NS - interval:
            self._full[key] = min(full, now + NS)  # less when the clock was set back
            return False
        self._full[key] = full + interval
        return True


class Devices:
    """Hardware addresses that asked on each access line, and those whose lease there outlived their session.

    Without it one port could take the whole pool: each new hardware address that asks gets an address of its
    own, and the server keeps it until the lease ends.
    """

    def __init__(self) -> None:
        self._until: OrderedDict[AccessLine, dict[str, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._until)

    def admit(self, line: AccessLine, mac_address: str, limit: int, now: int) -> bool:
        """Whether a device may ask; if it is a new one, it counts from now on."""
        devices = self._until.get(line)
        if devices is None:
            devices = self._until[line] = {}
        elif devices.get(mac_address, 0) > now:
            return True
        if len(devices) >= limit:
            for other in [mac for mac, until in devices.items() if until <= now]:
                del devices[other]
            if len(devices) >= limit:
                return False
        devices[mac_address] = now + WINDOW
        self._purge(now)
        return True

    def hold(self, line: AccessLine, mac_address: str, until: int | None, now: int) -> None:
        """Another device has the line's session now; this one's lease goes on `until` (None for ever)."""
        longest = now + LONGEST_HOLD
        until = longest if until is None else min(until, longest)
        if until > now:
            self._until.setdefault(line, {})[mac_address] = until
            self._purge(now)

    def _purge(self, now: int) -> None:
        """Look at two lines and forget those none of whose devices counts any more: so lines that fell silent
        go as fast as others come, without a sweep over all."""
        for _ in range(2):
            line, devices = self._until.popitem(last=False)
            if any(until > now for until in devices.values()):
                self._until[line] = devices
        if len(self._until) > MAX_LINES:
            self._until.popitem(last=False)
