"""Comparing the kernel with the sessions: at start, and every now and then. A healthy run changes nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from bng.dataplane.base import DataPlane, DataPlaneError, Installed, Stop
from bng.loop import Writer
from bng.session.records import Session
from bng.session.states import State

log = structlog.get_logger()

_SLICE = 250
"""Sessions that are looked at before the loop gets its turn: about a millisecond."""
_REPAIRS = 50
"""Gates that are repaired before the loop gets its turn."""
_AUDIT_SECONDS, _AUDIT_SHARE = 15.0, 0.02
"""Seconds between two audits of the gates, and which share of the time they may take of a processor."""
_FORWARDING = frozenset({State.ACTIVE, State.IDLE})


@dataclass(frozen=True, slots=True)
class Difference:
    """What does not fit.

    Attributes:
        surplus: elements of the kernel that no session stands for.
        lost: ids of sessions that ought to forward and do not.
        adopted: sessions that the kernel forwards as it should.
    """

    surplus: tuple[Installed, ...]
    lost: tuple[str, ...]
    adopted: tuple[Session, ...]


def _fits(element: Installed, session: Session) -> bool:
    mac = None if session.routed else bytes.fromhex(session.mac_address.replace(":", ""))
    return (element.slot, element.interface, str(element.ip), element.mac) == (
        session.slot,
        session.interface,
        session.ip_address,
        mac,
    )


class Reconciler:
    """Keeps the kernel what the sessions say.

    Args:
        adopted: called with the sessions that are taken over as the kernel has them.
        forwards: whether sessions behind an interface can forward at this time; others are left alone.

    Attributes:
        repaired: elements removed and sessions installed again since the start, the first comparison
            (which adopts) not counted.
        audit_period: seconds until the next `audit`.
    """

    def __init__(
        self,
        writer: Writer,
        dataplane: DataPlane,
        adopted: Callable[[Sequence[Session]], None],
        forwards: Callable[[str], bool],
    ) -> None:
        self.repaired = 0
        self.audit_period = _AUDIT_SECONDS
        self._writer = writer
        self._dataplane = dataplane
        self._adopted = adopted
        self._forwards = forwards

    def compare(self) -> Difference:
        """Kernel against sessions, as of now. Raises DataPlaneError."""
        store = self._writer.machine.store
        surplus, adopted = [], []
        held: set[str] = set()
        for element in self._dataplane.installed():
            session = store.get(element.session_id)
            # what is starting or ending has its own effects under way: left to them
            wanted = session is not None and (session.enforcing or session.state is State.TERMINATING)
            if session is None or not wanted or not _fits(element, session):
                surplus.append(element)
                continue
            held.add(session.id)
            if session.state in _FORWARDING:
                adopted.append(session)
        lost = tuple(
            session.id
            for session in store
            if session.state in _FORWARDING and session.id not in held and self._forwards(session.interface)
        )
        return Difference(tuple(surplus), lost, tuple(adopted))

    def adopt(self) -> Difference:
        """The comparison at start: what fits is taken over as it is, the rest is repaired."""
        difference = self.compare()
        self._adopted(difference.adopted)
        self._repair(difference)
        log.info(
            "recovery.done",
            adopted=len(difference.adopted),
            removed=len(difference.surplus),
            installed=len(difference.lost),
        )
        return difference

    async def run(self) -> Difference | None:
        """One comparison with its repairs; None when all fits, or when the data plane cannot tell.

        The loop gets its turn in between; only what looks wrong is compared at one go, and repaired.
        """
        try:
            if await self._looks_right():
                return None
            difference = self.compare()
        except DataPlaneError as error:
            log.warning("reconcile.failed", reason=str(error))
            return None
        if difference.surplus or difference.lost:
            self.repaired += len(difference.surplus) + len(difference.lost)
            log.warning(
                "reconcile.repaired",
                removed=[element.session_id for element in difference.surplus[:20]],
                installed=list(difference.lost[:20]),
                count=len(difference.surplus) + len(difference.lost),
            )
            self._repair(difference)
        return difference

    async def audit(self) -> None:
        """Compare the gates in the kernel with what the data plane believes of them; the reading is done in a
        thread. Where much is to be read it is done less often."""
        began = time.monotonic()
        try:
            suspicions = await asyncio.to_thread(self._dataplane.audit)
            self.audit_period = max(_AUDIT_SECONDS, (time.monotonic() - began) / _AUDIT_SHARE)
            for some in suspicions.slices(_REPAIRS):
                self.repaired += self._dataplane.repair(some)
                await asyncio.sleep(0)
        except DataPlaneError as error:
            log.warning("reconcile.failed", reason=str(error))

    async def _looks_right(self) -> bool:
        """Whether nothing needs repair, looked at in slices. Each slice compares what is at that time."""
        store = self._writer.machine.store
        first = 0
        while first < self._dataplane.end:
            for element in self._dataplane.installed(first, _SLICE):
                session = store.get(element.session_id)
                wanted = session is not None and (session.enforcing or session.state is State.TERMINATING)
                if session is None or not wanted or not _fits(element, session):
                    return False
            first += _SLICE
            await asyncio.sleep(0)
        sessions = list(store)
        for first in range(0, len(sessions), _SLICE):
            if any(map(self._is_lost, sessions[first : first + _SLICE])):
                return False
            await asyncio.sleep(0)
        return True

    def _is_lost(self, session: Session) -> bool:
        """Whether a session ought to forward and does not."""
        if session.state not in _FORWARDING or not self._forwards(session.interface):
            return False
        found = self._dataplane.installed(session.slot, 1)
        return not found or found[0].session_id != session.id

    def _repair(self, difference: Difference) -> None:
        if difference.surplus:
            stops = [Stop(element.slot, element.session_id) for element in difference.surplus]
            for result in self._dataplane.stop(stops):
                if result.error:
                    log.warning("reconcile.not-removed", slot=result.slot, reason=result.error)
        effects = [effect for lost in difference.lost for effect in self._writer.machine.reinforce(lost)]
        self._writer.carry_out(effects)
