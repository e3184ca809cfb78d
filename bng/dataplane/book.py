"""What a data plane remembers: which session is in which slot, and what may not be.

Every backend keeps one, so that all refuse the same things in the same words.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address

import numpy as np

from bng.dataplane.base import MAX_SLOTS, Binding, Installed, Rates, Start

_MIN_BPS, _MAX_BPS = 8_000, 100_000_000_000
_MAX_BURST = 1 << 28
_SESSION_ID_LENGTH = 64


class Book:
    """The sessions that forward.

    Attributes:
        bindings: numpy uint32 per slot, counts its starts.
    """

    def __init__(self) -> None:
        self.bindings = np.zeros(MAX_SLOTS, np.uint32)
        self._used = bytearray(MAX_SLOTS)
        self._slots: dict[int, Start] = {}
        self._addresses: dict[IPv4Address, int] = {}

    def __len__(self) -> int:
        return len(self._slots)

    def get(self, slot: int) -> Start | None:
        """The session in a slot."""
        return self._slots.get(slot)

    def sessions(self) -> Iterable[Start]:
        """All of them, in no order."""
        return self._slots.values()

    @property
    def end(self) -> int:
        """One more than the highest slot in use."""
        return self._used.rfind(1) + 1

    def holds(self, start: Start) -> bool:
        """Whether this very session forwards already; its rates may differ."""
        there = self._slots.get(start.slot)
        return there is not None and _identity(there) == _identity(start)

    def refusal(self, start: Start) -> str | None:
        """Why this session cannot start, or None."""
        if not 0 <= start.slot < MAX_SLOTS:
            return f"slot {start.slot} is not within 0 … {MAX_SLOTS - 1}"
        if start.mac is not None and len(start.mac) != 6:
            return f"a MAC address has 6 octets, not {len(start.mac)}"
        if not 0 < len(start.session_id) <= _SESSION_ID_LENGTH or not start.session_id.isascii():
            return f"a session id has 1 … {_SESSION_ID_LENGTH} ASCII characters"
        if fault := rates_refusal(start.rates):
            return fault
        if start.nat is not None and not 0 <= start.nat.port_first <= start.nat.port_last <= 65535:
            return f"ports {start.nat.port_first} … {start.nat.port_last} are no range"
        there = self._slots.get(start.slot)
        if there is not None and _identity(there) != _identity(start):
            return f"slot {start.slot} is in use by session {there.session_id}"
        other = self._addresses.get(start.ip, start.slot)
        if other != start.slot:
            return f"address {start.ip} is in use by session {self._slots[other].session_id}"
        return None

    def put(self, start: Start) -> None:
        """A session starts."""
        self._slots[start.slot] = start
        self._used[start.slot] = 1
        self._addresses[start.ip] = start.slot
        self.bindings[start.slot] += np.uint32(1)

    def update(self, slot: int, rates: Rates) -> Start:
        """A session has other rates."""
        self._slots[slot] = replace(self._slots[slot], rates=rates)
        return self._slots[slot]

    def rebind(self, slot: int, nat: Binding | None) -> Start:
        """A session has other public ports."""
        self._slots[slot] = replace(self._slots[slot], nat=nat)
        return self._slots[slot]

    def drop(self, slot: int) -> Start | None:
        """A session has ended."""
        start = self._slots.pop(slot, None)
        if start is not None:
            self._used[slot] = 0
            self._addresses.pop(start.ip, None)
        return start

    def installed(self, first: int, count: int | None) -> list[Installed]:
        """Sessions in the order of their slots, from slot `first` on; of `count` slots, or of all."""
        end = self.end if count is None else min(first + count, self.end)
        starts = filter(None, map(self._slots.get, range(first, end)))
        return [Installed(s.session_id, s.slot, s.interface, s.mac, s.ip, s.nat) for s in starts]


def rates_refusal(rates: Rates) -> str | None:
    """Why these rates cannot be, or None."""
    for name, bps in (("download", rates.download_bps), ("upload", rates.upload_bps)):
        if not _MIN_BPS <= bps <= _MAX_BPS:
            return f"{name} rate {bps} bit/s is not within {_MIN_BPS} … {_MAX_BPS}"
    for name, burst in (("download", rates.download_burst), ("upload", rates.upload_burst)):
        if not 0 <= burst <= _MAX_BURST:
            return f"{name} burst of {burst} octets is not within 0 … {_MAX_BURST}"
    if not 0 <= rates.priority <= 7:
        return f"priority {rates.priority} is not within 0 … 7"
    return None


def _identity(start: Start) -> tuple[object, ...]:
    return start.session_id, start.interface, start.mac, start.ip
