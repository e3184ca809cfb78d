"""How many DHCP packets may come in: of each access line so many per second, and of lines without a session
so many altogether.

Pure, and cheap: `Admission.judge` is asked about every captured frame before it is decoded. Lines with a
session come first: their packets count against their own limit only. What is not known yet shares one more
limit, so that a flood of invented access lines costs new subscribers their turn, but never those who are in.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from bng.codec import option82
from bng.codec.address import mac_text
from bng.codec.errors import DecodeError
from bng.seam.clock import NS
from bng.session.records import AccessLine

MAX_LINES = 16384
"""Lines whose limit is remembered. Who was silent for a second needs none."""
STRANGERS_PER_SECOND = 4000
"""Packets of lines without a session: two for each subscriber that comes, and twice what a machine of two
cores sets up."""


class Verdict(Enum):
    """What becomes of a packet. KNOWN and STRANGER go on; the others are reasons of a drop."""

    KNOWN = "known"
    STRANGER = "stranger"
    RATE_LIMIT = "rate-limit"
    STRANGERS_LIMIT = "strangers-limit"
    BAD_OPTION_82 = "bad-option-82"


class Admission:
    """The limits of all access lines.

    A limit is a token bucket, kept as one number: the time at which it is full again (nanoseconds). A clock
    that was set back costs a line what one burst costs.

    Attributes:
        rate: packets per second of one line, as many at once.
        strangers: packets per second of all lines without a session, as many at once.
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.strangers = STRANGERS_PER_SECOND
        self._has_session: Callable[[AccessLine], bool] = lambda _: False
        self._has_device: Callable[[str], bool] = lambda _: False
        self._full: dict[AccessLine, int] = {}
        self._strangers_full = 0

    def __len__(self) -> int:
        return len(self._full)

    def know(self, has_session: Callable[[AccessLine], bool], has_device: Callable[[str], bool]) -> None:
        """Who tells whether an access line, or (of a packet without option 82) a device, has a session."""
        self._has_session, self._has_device = has_session, has_device

    def admit(self, line: AccessLine, now: int) -> bool:
        """Whether one more packet of a line may come in now; if so it is counted."""
        interval = NS // self.rate
        burst = NS - interval
        full = self._full.get(line)
        if full is None:
            if len(self._full) >= MAX_LINES:
                self._make_room(now)
            self._full[line] = now + interval
            return True
        if full <= now:
            full = now
        elif full - now > burst:
            if full - now > NS:
                self._full[line] = now + NS
            return False
        self._full[line] = full + interval
        return True

    def judge(self, relay_agent: bytes, interface: str, source_mac: bytes, now: int) -> Verdict:
        """What becomes of a packet.

        Args:
            relay_agent: option 82 as it came, empty when there is none.
        """
        if relay_agent:
            try:
                line = AccessLine(*option82.access_line(relay_agent))
            except DecodeError:
                return Verdict.BAD_OPTION_82
            known = self._has_session(line)
        else:
            # agent ids are never empty: such a line is no subscriber's
            device = mac_text(source_mac)
            line = AccessLine("", f"{interface} {device}")
            known = self._has_device(device)
        if not self.admit(line, now):
            return Verdict.RATE_LIMIT
        if known:
            return Verdict.KNOWN
        return Verdict.STRANGER if self._admit_stranger(now) else Verdict.STRANGERS_LIMIT

    def _admit_stranger(self, now: int) -> bool:
        interval = NS // self.strangers
        full = max(min(self._strangers_full, now + NS), now)
        if full - now > NS - interval:
            return False
        self._strangers_full = full + interval
        return True

    def _make_room(self, now: int) -> None:
        """Forget lines whose bucket is full; if there are none, the line that came first."""
        self._full = {line: full for line, full in self._full.items() if full > now}
        if len(self._full) >= MAX_LINES:
            del self._full[next(iter(self._full))]
