"""Comparing the kernel with the sessions: at start, and every now and then. A healthy run changes nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from bng.dataplane.base import DataPlane, DataPlaneError, Installed, Stop
from bng.enforcement import binding_of
from bng.loop import Writer
from bng.repairs import KERNEL_GATE, KERNEL_LOST, KERNEL_SURPLUS, Repairs
from bng.session.records import Session
from bng.session.states import State
from bng.slices import Slices

log = structlog.get_logger()

_PAGE = 128
"""Slots of the kernel that are looked at together."""
_BATCH = 16
"""Repairs at one go: each is a transaction with the kernel."""
_GATES = 50
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
    return (element.slot, element.interface, str(element.ip), element.mac, element.nat) == (
        session.slot,
        session.interface,
        session.ip_address,
        mac,
        binding_of(session.nat),
    )


class Reconciler:
    """Keeps the kernel what the sessions say.

    Args:
        adopted: called with the sessions that are taken over as the kernel has them.
        forwards: whether sessions behind an interface can forward at this time; others are left alone.

    Attributes:
        audit_period: seconds until the next `audit`.
        repairs: elements removed and sessions installed again are counted here; those of the first
            comparison, which adopts, are not.
    """

    def __init__(
        self,
        writer: Writer,
        dataplane: DataPlane,
        adopted: Callable[[Sequence[Session]], None],
        forwards: Callable[[str], bool],
        repairs: Repairs | None = None,
    ) -> None:
        self.repairs = repairs or Repairs()
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
            if session is None or not self._is_right(element):
                surplus.append(element)
                continue
            held.add(session.id)
            if session.state in _FORWARDING:
                adopted.append(session)
        lost = tuple(session.id for session in store if session.id not in held and self._is_missed(session))
        return Difference(tuple(surplus), lost, tuple(adopted))

    def adopt(self) -> Difference:
        """The comparison at start: what fits is taken over as it is, the rest is repaired."""
        difference = self.compare()
        self._adopted(difference.adopted)
        self._stop(difference.surplus)
        self._reinforce(difference.lost)
        log.info(
            "recovery.done",
            adopted=len(difference.adopted),
            removed=len(difference.surplus),
            installed=len(difference.lost),
        )
        return difference

    async def run(self) -> int:
        """One comparison with its repairs. Returns how many there were.

        The loop gets its turn in between. What looks wrong may only have changed meanwhile: it is looked at
        once more, a few at a time, together with its repair.
        """
        self.repairs.kernel.begin()
        slices = Slices()
        surplus: list[Installed] = []
        lost: list[Session] = []
        sessions = list(self._writer.machine.store)
        try:
            held = await self._look_at_kernel(surplus, slices)
            for session in sessions:
                if session.id not in held and self._is_missed(session):
                    lost.append(session)
                if slices.due():
                    await slices.rest()
            removed = await self._remove(surplus, slices)
            # what was removed may have stood in the way of the session that belongs there
            owners = (self._session_of(element) for element in surplus)
            known = {session.id for session in lost}
            lost += [owner for owner in owners if owner is not None and owner.id not in known]
            installed = await self._install(lost, slices)
        except DataPlaneError as error:
            log.warning("reconcile.failed", reason=str(error))
            return 0
        self.repairs.kernel.end(len(sessions))
        self.repairs.counts[KERNEL_SURPLUS] += len(removed)
        self.repairs.counts[KERNEL_LOST] += len(installed)
        count = len(removed) + len(installed)
        if count:
            log.warning("reconcile.repaired", removed=removed[:20], installed=installed[:20], count=count)
        return count

    async def audit(self) -> None:
        """Compare the gates in the kernel with what the data plane believes of them; the reading is done in a
        thread. Where much is to be read it is done less often."""
        began = time.monotonic()
        try:
            suspicions = await asyncio.to_thread(self._dataplane.audit)
            self.audit_period = max(_AUDIT_SECONDS, (time.monotonic() - began) / _AUDIT_SHARE)
            for some in suspicions.slices(_GATES):
                self.repairs.counts[KERNEL_GATE] += self._dataplane.repair(some)
                await asyncio.sleep(0)
        except DataPlaneError as error:
            log.warning("reconcile.failed", reason=str(error))

    async def _look_at_kernel(self, surplus: list[Installed], slices: Slices) -> set[str]:
        """Ids of the sessions that the kernel holds as it should; `surplus` gets what looks otherwise."""
        held = set()
        first = 0
        while first < self._dataplane.end:
            for element in self._dataplane.installed(first, _PAGE):
                if self._is_right(element):
                    held.add(element.session_id)
                else:
                    surplus.append(element)
            first += _PAGE
            if slices.due():
                await slices.rest()
        return held

    async def _remove(self, elements: Sequence[Installed], slices: Slices) -> list[str]:
        removed = []
        for first in range(0, len(elements), _BATCH):
            chunk = [
                element
                for element in elements[first : first + _BATCH]
                if not self._is_right(element) and self._dataplane.installed(element.slot, 1) == [element]
            ]
            self._stop(chunk)
            removed += [element.session_id for element in chunk]
            await slices.rest()
        return removed

    async def _install(self, sessions: Sequence[Session], slices: Slices) -> list[str]:
        installed = []
        for first in range(0, len(sessions), _BATCH):
            chunk = [
                session.id
                for session in sessions[first : first + _BATCH]
                if self._is_missed(session)
                and not any(
                    element.session_id == session.id for element in self._dataplane.installed(session.slot, 1)
                )
            ]
            self._reinforce(chunk)
            installed += chunk
            await slices.rest()
        return installed

    def _session_of(self, element: Installed) -> Session | None:
        return self._writer.machine.store.get(element.session_id)

    def _is_right(self, element: Installed) -> bool:
        """Whether a session stands for it. What is starting or ending has its own effects under way."""
        session = self._session_of(element)
        if session is None or not (session.enforcing or session.state is State.TERMINATING):
            return False
        return _fits(element, session)

    def _is_missed(self, session: Session) -> bool:
        """Whether a session ought to forward, when the kernel does not hold it."""
        return session.state in _FORWARDING and self._forwards(session.interface)

    def _stop(self, elements: Sequence[Installed]) -> None:
        if elements:
            stops = [Stop(element.slot, element.session_id) for element in elements]
            for result in self._dataplane.stop(stops):
                if result.error:
                    log.warning("reconcile.not-removed", slot=result.slot, reason=result.error)

    def _reinforce(self, session_ids: Sequence[str]) -> None:
        self._writer.carry_out(
            [effect for lost in session_ids for effect in self._writer.machine.reinforce(lost)]
        )
