"""What the DHCP servers' leases say of sessions: who missed a packet learns of it from them."""

from __future__ import annotations

from enum import StrEnum

from bng.seam.clock import NS
from bng.session import events as ev
from bng.session.base import Ending
from bng.session.commands import Commands
from bng.session.records import AccessLine, Binding, Session
from bng.session.states import Input, State

EXPIRY_TOLERANCE = 5 * NS
"""Ends of a lease that differ by no more are the same."""
CLOCK_TOLERANCE = 2 * NS
"""A server counts whole seconds, and its ACK takes its time: only what is younger by more is news."""


class Verdict(StrEnum):
    """What follows from a lease. The values are names of counters in aether-health:reconcile, but for DENIED:
    that repairs nothing."""

    RECOVERED = "lease-recovered"  # its access line has no session
    RENEWED = "lease-renewed"  # its session has another end of the lease
    REPLACED = "lease-replaced"  # its access line's session has an older binding
    DENIED = "lease-denied"  # a session on another line has its device or address, and keeps it
    GONE = "lease-gone"  # a session has no lease


class Leases(Commands):
    """What the comparison with the DHCP servers' leases tells."""

    def judge_lease(self, event: ev.LeaseFound, now: int) -> Verdict | None:
        """What `events.LeaseFound` would do; None when nothing, as for a lease that has its session."""
        line = AccessLine(event.remote_id, event.circuit_id)
        if (
            line in self._starting
            or line in self.tombstones
            or event.renewed <= self._ended.get(line, -1)
            or (event.expires is not None and event.expires <= now)
        ):
            return None
        session = self.store.on_line(line)
        if session is not None and _same_client(session, event):
            return Verdict.RENEWED if _is_other_end(session, event) else None
        for holder in (session, self.store.with_ip(event.ip_address)):
            if holder is not None and not _is_younger(event, holder):
                return None
        others = self.elsewhere(line, event.mac_address, b"")
        keeper = self.keeper(*others, self.held_elsewhere(line, event.ip_address))
        if self.settings.port_move == "deny" and keeper is not None:
            return Verdict.DENIED
        if session is not None:
            second = session.mac_address != event.mac_address and self.settings.second_device == "deny"
            return None if second else Verdict.REPLACED
        router = self.settings.routers.get(line.remote_id)
        if self.full(line) or (router is not None and not router.in_service):
            return None
        return Verdict.RECOVERED

    def _lease_found(self, event: ev.LeaseFound) -> None:
        verdict = self.judge_lease(event, self._now)
        if verdict is None:
            return
        line = AccessLine(event.remote_id, event.circuit_id)
        binding = Binding(
            line,
            event.mac_address,
            event.ip_address,
            event.interface,
            event.giaddr,
            event.server,
            event.expires,
        )
        binding.renewed = event.renewed
        session = self.store.on_line(line)
        if verdict is Verdict.RENEWED and session is not None:
            binding.reason = "end of the lease taken from the DHCP server"
            self.fire(session, Input.RENEWED, binding)
            return
        binding.reason = "recovered from the DHCP server's lease"
        self.bind(binding)

    def _lease_gone(self, event: ev.LeaseGone) -> None:
        session = self.store.get(event.session_id)
        if session is not None and session.renewed_ns <= event.renewed:
            self.fire(session, Input.LEASE_LOST, Ending("Lost-Carrier", event.reason))


def _same_client(session: Session, event: ev.LeaseFound) -> bool:
    return (session.mac_address, session.ip_address) == (event.mac_address, event.ip_address)


def _is_younger(event: ev.LeaseFound, session: Session) -> bool:
    """Whether the server heard of the client after the session's last ACK: we missed one."""
    return event.renewed > session.renewed_ns + CLOCK_TOLERANCE


def _is_other_end(session: Session, event: ev.LeaseFound) -> bool:
    """Whether the lease ends at another time than the session's, and is not what was before its last ACK."""
    if session.state is State.TERMINATING or event.renewed < session.renewed_ns - CLOCK_TOLERANCE:
        return False
    ours, theirs = session.lease_expiry_ns, event.expires
    if ours is None or theirs is None:
        return ours is not theirs
    return abs(ours - theirs) > EXPIRY_TOLERANCE
