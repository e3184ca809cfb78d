"""Sessions against leases, round after round; no I/O.

A lease without its session is news at once. A session without a lease is not: a server may have started with
an empty database, may be cut off from it, may be changing pages under our hands. It counts as gone when

- the round was complete: every DHCP server that we relay to told all of its leases,
- the same was so in the round before, and the session was not renewed in between,
- a server had told of the lease before, and no server has started or been reconfigured since; or a server
  tells that another client holds the address,
- and only few are missing. When many are, it is the server that lost them.

Whoever is left alone by that ends when the time of its lease is over, if nobody renews it.
"""

from __future__ import annotations

from collections.abc import Callable

from bng.leases.lease import Lease, Origin, origin_of
from bng.leases.places import Place
from bng.seam.clock import NS
from bng.session.events import LeaseFound, LeaseGone
from bng.session.leases import CLOCK_TOLERANCE, EXPIRY_TOLERANCE
from bng.session.records import Session
from bng.session.states import State
from bng.session.store import Store

PLAUSIBLE_LOSSES = 10
"""So many leases may vanish at once, or a tenth of all if that is more."""

_GONE = "the DHCP server has no lease for it any more"
_TAKEN = "the DHCP server leased its address to another client"


class Comparison:
    """What is remembered from round to round, and the round under way.

    Args:
        store: the sessions.
        find: the place of a lease on this BNG.

    Attributes:
        relay_id: whose leases are ours; may be changed.
        unplaced: leases of ours in this round that cannot be used: it is unknown where they belong.
        compared: sessions that the round looked at.
        implausible: how many sessions of the last round had lost their lease, when these were too many
            to be believed; else 0.
    """

    def __init__(self, store: Store, find: Callable[[Origin, str], Place | None]) -> None:
        self.relay_id = ""
        self.find = find
        self.unplaced = self.compared = self.implausible = 0
        self._store = store
        self._began = 0
        self._seen: set[str] = set()
        self._taken: set[str] = set()
        self._recent: set[str] = set()
        self._missing: dict[str, int] = {}
        self._witnessed: set[str] = set()
        self._suspects: dict[str, int] = {}

    def begin(self, now: int) -> None:
        """A round begins."""
        self._began = now
        self.unplaced = self.compared = self.implausible = 0
        self._seen, self._taken, self._recent, self._missing = set(), set(), set(), {}

    def lease(self, lease: Lease, server: str, ahead: int, now: int) -> LeaseFound | None:
        """Look at a lease. Returns what the session machine may want to know of it.

        Args:
            ahead: nanoseconds by which our clock is ahead of the server's.
        """
        renewed = lease.renewed * NS + ahead
        expires = None if lease.lifetime is None else renewed + lease.lifetime * NS
        if not lease.assigned or (expires is not None and expires <= now):
            return None
        holder = self._store.with_ip(lease.ip_address)
        same = holder is not None and holder.mac_address == lease.mac_address
        if holder is not None and same and _same_end(holder.lease_expiry_ns, expires):
            self._seen.add(holder.id)
            return None
        origin = origin_of(lease)
        if origin is not None and origin.relay_id != self.relay_id:
            if holder is not None and renewed > holder.renewed_ns + CLOCK_TOLERANCE:
                self._taken.add(holder.id)
            return None
        if holder is not None and same and (origin is None or origin.line == holder.line):
            self._seen.add(holder.id)
            line, place = holder.line, Place(holder.interface, holder.gateway)
        elif origin is None or not lease.mac_address:
            self.unplaced += 1
            return None
        else:
            found = self.find(origin, lease.ip_address)
            if found is None:
                self.unplaced += 1
                return None
            line, place = origin.line, found
        return LeaseFound(
            line.remote_id,
            line.circuit_id,
            place.interface,
            place.giaddr,
            lease.mac_address,
            lease.ip_address,
            expires,
            renewed,
            server,
        )

    def session(self, session: Session) -> None:
        """Look at a session, when the leases of all servers were looked at. What was bound or renewed since
        the round began may stand behind pages that were read before."""
        if session.state is State.TERMINATING:
            return
        if session.renewed_ns >= self._began - CLOCK_TOLERANCE:
            self._recent.add(session.id)
            return
        self.compared += 1
        if session.id not in self._seen:
            self._missing[session.id] = session.renewed_ns

    def end(self, *, complete: bool, same_lives: bool) -> list[LeaseGone]:
        """The round is over. Returns the sessions that have no lease.

        Args:
            complete: all DHCP servers told all of their leases.
            same_lives: and none of them was started or reconfigured since the round before.
        """
        if not complete:
            self._suspects = {}
            self._witnessed |= self._seen
            return []
        if not same_lives:
            self._witnessed = set()
        lost = {session_id for session_id in self._missing if session_id in self._witnessed}
        if self._too_many(len(lost - self._taken)):
            self.implausible = len(lost)
            gone = []
        else:
            gone = [
                LeaseGone(session_id, renewed, _TAKEN if session_id in self._taken else _GONE)
                for session_id, renewed in self._missing.items()
                if (session_id in lost or session_id in self._taken)
                and self._suspects.get(session_id) == renewed
            ]
        # who was not looked at is neither seen nor missed: what was told of it before holds
        self._witnessed = self._seen | lost | (self._witnessed & self._recent)
        self._suspects = self._missing
        return gone

    def _too_many(self, lost: int) -> bool:
        return lost > max(PLAUSIBLE_LOSSES, self.compared // 10) or (lost > 1 and not self._seen)


def _same_end(ours: int | None, theirs: int | None) -> bool:
    if ours is None or theirs is None:
        return ours is theirs
    return abs(ours - theirs) <= EXPIRY_TOLERANCE
