"""The element as its servers see it: all providers, fed from the seam."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from bng.northbound.config import ConfigHandler
from bng.northbound.hardware import HardwareProvider
from bng.northbound.interfaces import InterfacesProvider
from bng.northbound.kernel import Links
from bng.northbound.notifications import BoundsProvider, EventsProvider, JournalReplay, notification_of
from bng.northbound.records import Event, EventRecord
from bng.northbound.rpc import operations
from bng.northbound.sessions import ProfilesProvider, SessionsProvider, SummaryProvider
from bng.northbound.state import HealthProvider, Identity, IdentityProvider, RoutersState
from bng.northbound.system import SystemStateProvider
from bng.northbound.timeline import AccessLinesProvider
from bng.seam.command import CommandClient
from bng.seam.matrix import MatrixReader
from bng.seam.reader import JournalReader
from bng.seam.sessions import Sessions, fold, load
from bng.units import Units
from yang.bus import Bus
from yang.provider import OperationError, Registration

log = structlog.get_logger()

_PER_SLICE = 200
"""Events that are taken in before other tasks of the management process get their turn."""


class Northbound:
    """Joins the seam's parts with what `yang.tree.Tree` wants registered.

    Args:
        state_dir: of the BNG.
        running: the units of the running configuration.
    """

    def __init__(self, state_dir: Path, running: Callable[[], Units]) -> None:
        self._state_dir = state_dir
        self._journal = JournalReader(state_dir / "journal")
        self._sessions_folded = Sessions()
        self._durable: int | None = None
        self._wake = asyncio.Event()
        self._bus: Bus | None = None
        self.sessions = SessionsProvider(MatrixReader(state_dir / "matrix"))
        self.summary = SummaryProvider(self.sessions)
        self.profiles = ProfilesProvider(self.sessions)
        self.events = EventsProvider(self._journal)
        self.bounds = BoundsProvider(self._journal)
        self.health = HealthProvider()
        self.routers = RoutersState()
        self.identity = IdentityProvider()
        self.hardware = HardwareProvider()
        self._links = Links(lambda _name: self._changed(self.interfaces.path))
        self.interfaces = InterfacesProvider(last_change=self._links.last_change)
        self.control = CommandClient(state_dir / "control.sock", self._greet, self._pushed)
        self.config = ConfigHandler(self.control, running)
        self.replay = JournalReplay(self.events)
        self._rebuild()

    def registration(self) -> Registration:
        """For `Tree.open`."""
        return Registration(
            state=[
                self.sessions,
                self.summary,
                self.profiles,
                self.events,
                self.bounds,
                self.health,
                self.routers.configured,
                self.routers.discovered,
                self.identity,
                self.interfaces,
                AccessLinesProvider(self.control),
                SystemStateProvider(),
                self.hardware,
            ],
            config=[self.config],
            operations=operations(self.control),
            essential=["aether-bng:bng"],
        )

    async def run(self, bus: Bus) -> None:
        """Follow control until cancelled: connect, take in what it tells, publish it on the bus."""
        self._bus = bus
        loop = asyncio.get_running_loop()
        with self._links.open() as links:
            loop.add_reader(links, self._links.receive, links)
            try:
                await asyncio.gather(self.control.run(), self._follow())
            finally:
                loop.remove_reader(links)

    # what control tells

    async def _greet(self, control: CommandClient) -> None:
        hello = await control.call("hello", {})
        self.identity.identity = Identity(hello["instance_id"], hello["version"], hello["started"])
        self._changed(self.identity.path)
        if hello.get("health"):
            self._take_health(hello["health"])
        self._take_routers(hello["routers"])
        self._tell_durable(hello["newest_seq"])
        log.info("control.connected", instance=hello["instance_id"])
        try:
            await self.config.synchronise(hello["config_digest"])
        except OperationError as error:
            log.error("config.not-taken", reason=str(error))

    def _pushed(self, message: dict[str, Any]) -> None:
        kind = message["push"]
        if kind == "journal":
            self._tell_durable(message["newest_seq"])
        elif kind == "health":
            self._take_health(message["record"])
        elif kind == "routers":
            self._take_routers(message["records"])

    def _take_health(self, report: dict[str, Any]) -> None:
        counted = report.get("summary") or {}
        self.health.put({name: value for name, value in report.items() if name != "summary"})
        self._changed(self.health.path)
        self.summary.counted(counted.get("setup_rate"), counted.get("failure") or {})
        self._changed(self.summary.path)

    def _take_routers(self, records: dict[str, Any]) -> None:
        for path in self.routers.put(records):
            self._changed(path)

    def _changed(self, path: str) -> None:
        if self._bus is not None:
            self._bus.state_changed(path)

    def _tell_durable(self, newest: int) -> None:
        self._durable = newest
        self._wake.set()

    # the journal

    async def _follow(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._journal.refresh(self._durable)
            if self._sessions_folded.seq + 1 < self._journal.oldest:
                # so far behind that events were dropped in between: begin from the checkpoint
                log.warning("journal.overrun", behind=self._journal.oldest - self._sessions_folded.seq)
                self._rebuild()
                self._changed(self.sessions.path)
            while self._sessions_folded.seq < self._journal.newest:
                self._take_slice()
                await asyncio.sleep(0)

    def _take_slice(self) -> None:
        for event in self._journal.read(self._sessions_folded.seq + 1, _PER_SLICE):
            self._take(event)
            if self._bus is not None:
                notification = notification_of(EventRecord(event))
                if notification is not None:
                    self._bus.publish(notification)
        self.summary.started = self._sessions_folded.started
        self.summary.rejected = self._sessions_folded.rejected
        for path in (
            self.sessions.path,
            self.summary.path,
            self.profiles.path,
            self.events.path,
            self.bounds.path,
        ):
            self._changed(path)

    def _take(self, event: Event) -> None:
        folded = self._sessions_folded
        fold(folded, event)
        session_id = event.get("session-id")
        if session_id is None:
            return
        if folded.by_id.get(session_id) is event:
            self.sessions.put(event)
        elif session_id not in folded.by_id:
            self.sessions.remove(session_id, event["_time_ns"])

    def _rebuild(self) -> None:
        """Derive the read model from the checkpoint and the journal anew."""
        folded = load(self._state_dir / "checkpoint", self._journal)
        self.sessions.reset(folded.by_id.values())
        self.summary.started, self.summary.rejected = folded.started, folded.rejected
        self._sessions_folded = folded
