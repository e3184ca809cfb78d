"""Comparing the kernel with the sessions: at start, and every now and then. A healthy run changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from bng.dataplane.base import DataPlane, DataPlaneError, Installed, Stop
from bng.enforcement import binding_of
from bng.loop import Writer
from bng.session.records import Session
from bng.session.states import State

log = structlog.get_logger()

_SLICE = 250
"""Sessions that are looked at before the loop gets its turn: about a millisecond."""
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
        repaired: elements removed and sessions installed again since the start, the first comparison
            (which adopts) not counted.
    """

    def __init__(
        self,
        writer: Writer,
        dataplane: DataPlane,
        adopted: Callable[[Sequence[Session]], None],
        forwards: Callable[[str], bool],
    ) -> None:
        self.repaired = 0
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

    async def _looks_right(self) -> bool:
        """Whether nothing needs repair, looked at in slices. What changes meanwhile may look wrong."""
        store = self._writer.machine.store
        elements = self._dataplane.installed()
        held = set()
        for first in range(0, len(elements), _SLICE):
            for element in elements[first : first + _SLICE]:
                session = store.get(element.session_id)
                if session is None or not session.enforcing or not _fits(element, session):
                    return False
                held.add(element.session_id)
            await asyncio.sleep(0)
        sessions = list(store)
        for first in range(0, len(sessions), _SLICE):
            for session in sessions[first : first + _SLICE]:
                if (
                    session.state in _FORWARDING
                    and session.id not in held
                    and self._forwards(session.interface)
                ):
                    return False
            await asyncio.sleep(0)
        return True

    def _repair(self, difference: Difference) -> None:
        if difference.surplus:
            stops = [Stop(element.slot, element.session_id) for element in difference.surplus]
            for result in self._dataplane.stop(stops):
                if result.error:
                    log.warning("reconcile.not-removed", slot=result.slot, reason=result.error)
        effects = [effect for lost in difference.lost for effect in self._writer.machine.reinforce(lost)]
        self._writer.carry_out(effects)
