"""How many DHCP packets may come in: of each access line so many per second, and of lines without a session
so many altogether.

Pure, and cheap: `Admission.judge` is asked about every captured frame before it is decoded. Lines with a
session come first: their packets count against their own limit only. Lines without one share one more limit,
and those of access nodes that nobody has heard of (neither configured, nor with a session) a narrow one. So a
flood of invented access lines takes nothing from those who are in, and one of invented nodes nothing from new
subscribers of the others either.
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
UNHEARD_PER_SECOND = 400
"""Packets of lines of unknown access nodes. A new node is known as soon as its first subscriber is in."""


class Verdict(Enum):
    """What becomes of a packet. KNOWN and STRANGER go on; the others are reasons of a drop."""

    KNOWN = "known"
    STRANGER = "stranger"
    RATE_LIMIT = "rate-limit"
    STRANGERS_LIMIT = "strangers-limit"
    BAD_OPTION_82 = "bad-option-82"


class _Shared:
    """A limit that many lines share: so many packets per second, as many at once."""

    def __init__(self, rate: int) -> None:
        self._interval = NS // rate
        self._full = 0

    def admit(self, now: int) -> bool:
        full = max(min(self._full, now + NS), now)
        if full - now > NS - self._interval:
            return False
        self._full = full + self._interval
        return True


class Admission:
    """The limits of all access lines.

    A limit is a token bucket, kept as one number: the time at which it is full again (nanoseconds). A clock
    that was set back costs a line what one burst costs.

    Attributes:
        rate: packets per second of one line, as many at once.
        line: that of the packet judged last, if it could be told.
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.line: AccessLine | None = None
        self._has_session: Callable[[AccessLine], bool] = lambda _: False
        self._has_device: Callable[[str], bool] = lambda _: False
        self._has_node: Callable[[str], bool] = lambda _: False
        self._full: dict[AccessLine, int] = {}
        self._strangers, self._unheard = _Shared(STRANGERS_PER_SECOND), _Shared(UNHEARD_PER_SECOND)

    def __len__(self) -> int:
        return len(self._full)

    def know(
        self,
        has_session: Callable[[AccessLine], bool],
        has_device: Callable[[str], bool],
        has_node: Callable[[str], bool],
    ) -> None:
        """Who tells what is known.

        Args:
            has_session: whether an access line has a session.
            has_device: whether a hardware address has one: for packets without option 82.
            has_node: whether a remote-id is configured or has sessions.
        """
        self._has_session, self._has_device, self._has_node = has_session, has_device, has_node

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
        self.line = None
        if relay_agent:
            try:
                self.line = line = AccessLine(*option82.access_line(relay_agent))
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
        shared = self._strangers if self._has_node(line.remote_id) else self._unheard
        return Verdict.STRANGER if shared.admit(now) else Verdict.STRANGERS_LIMIT

    def _make_room(self, now: int) -> None:
        """Forget lines whose bucket is full; if there are none, the line that came first."""
        self._full = {line: full for line, full in self._full.items() if full > now}
        if len(self._full) >= MAX_LINES:
            del self._full[next(iter(self._full))]
