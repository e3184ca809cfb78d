"""The control process: the writer and everything around it, wired together.

Start: the journal's sessions and the kernel's elements are brought together (`bng.reconcile`). Sessions that
both know are adopted: no Access-Request, no Accounting-Start, counters go on. SIGTERM ends the process and
leaves the kernel as it is, subscribers notice nothing; so Accounting-Off is not sent then, but by the
operation that ends service, and Accounting-On only by an element that has no sessions from before.
"""

from __future__ import annotations

import asyncio
import gc
import random
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from bng.aaa.client import AaaClient, Answer
from bng.aaa.coa_request import Nas
from bng.aaa.coa_shell import CoaShell
from bng.aaa.shell import AaaShell
from bng.aaa.spool import Spool
from bng.access import Captures
from bng.commit import GroupCommit
from bng.config import Config
from bng.configuration import Configuration
from bng.daemon.accounting import Accounting
from bng.daemon.methods import Methods
from bng.daemon.process import prefer_this_process, read_pids, run_until_signal
from bng.daemon.report import Report
from bng.daemon.rounds import Rounds
from bng.dataplane.base import DataPlane, DataPlaneError, Refresh
from bng.dataplane.kernel import KernelDataPlane
from bng.enforcement import Enforcer
from bng.health import Health, LagMeter, UsageMeter, find_cgroup
from bng.leases.keeper import LeaseKeeper
from bng.leases.places import Places
from bng.ledger import SETTLED, settled_before
from bng.loop import Writer
from bng.outlets import NetworkOutlets
from bng.reconcile import Reconciler
from bng.repairs import Repairs
from bng.routers import RouterWatch
from bng.seam.command import CommandServer
from bng.seam.journal import Journal, JournalError
from bng.seam.matrix import Matrix
from bng.seam.reader import JournalReader
from bng.seam.sessions import Checkpoint, Sessions, load
from bng.session import events as ev
from bng.session.machine import Machine
from bng.session.records import Session
from bng.session.states import State
from bng.sweep import Sweeper
from bng.underlay import Underlay, aaa_settings, machine_settings
from bng.uplink import Uplink
from bng.version import version
from bng.witness import Witness
from yang.provider import OperationError

log = structlog.get_logger()

_LOOK_AT_LINKS = 1.0
_DRAIN_ACCOUNTING = 2.0
_NOTE_ACCOUNTING = 2.0
_TELL_ROUTER = 0.0002
"""Seconds between two pushes of the access routers, for each of them."""
_COLLECT = (5000, 20, 100)
"""Thresholds of the garbage collector: most of what an event needs is gone before the first."""
_SPARE = 250
"""Sessions that begin before the garbage collector is told to pass over what there is."""


class Control:
    """The control plane of a BNG.

    Args:
        state_dir: as docs/architecture.md describes it.
        dataplane: what forwards.
    """

    def __init__(self, state_dir: Path, dataplane: DataPlane) -> None:
        self.state_dir = state_dir
        self.instance_id = str(uuid.uuid4())
        self.started_ns = time.time_ns()
        self.dataplane = dataplane
        self.configuration = Configuration(state_dir / "control" / "config.json", self._apply)
        recovered = self._open_journal()
        self.matrix = Matrix(state_dir / "matrix", self.instance_id)
        self._wire(recovered)
        self._rounds = Rounds()
        self._comparable = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._spared = 0

    @property
    def config(self) -> Config:
        """In force."""
        return self.configuration.config

    def _open_journal(self) -> Sessions:
        reader = JournalReader(self.state_dir / "journal")
        recovered = load(self.state_dir / "checkpoint", reader)
        checkpoint = Checkpoint(self.state_dir / "checkpoint")
        checkpoint.start_from(recovered)
        self.journal = Journal(
            self.state_dir / "journal",
            self.instance_id,
            on_append=checkpoint.note,
            after=recovered.seq,
            # a clock that was set back must not make sessions older than their last event
            clock=lambda: max(time.time_ns(), recovered.time_ns + 1),
        )
        self.commit = GroupCommit(self.journal, checkpoint, self._published)
        return recovered

    def _wire(self, recovered: Sessions) -> None:
        self._recovered = recovered
        self._adopted = False
        self._is_new = recovered.seq == 0
        now = max(time.time_ns(), recovered.time_ns + 1)
        self.machine = Machine(
            machine_settings(self.config, {}),
            self.config.profiles,
            sequence=random.getrandbits(24),
            now=now,
        )
        self.sweeper = Sweeper(self.dataplane, self.matrix, lambda event: self.writer.post(event))
        self.enforcer = Enforcer(self.dataplane, self.matrix, self.sweeper.bind)
        self.writer = Writer(self.machine, self.enforcer, self.commit)
        self.witness = self.writer.witness = Witness(self.writer, self.state_dir)
        self.routers = RouterWatch(self.writer.journal, self.machine.store.count_behind)
        settled = self.state_dir / SETTLED
        self.spool = Spool(self.state_dir / "accounting", settled_before(settled, recovered.seq))
        settled.unlink(missing_ok=True)
        self.aaa = AaaShell(AaaClient(aaa_settings(self.config, {}), store=self.spool), self._deliver)
        self.accounting = Accounting(self.aaa, self.spool, self.commit, self.instance_id)
        self.coa = CoaShell(self.writer.command)
        self.outlets = NetworkOutlets(self.writer, self.aaa, self.routers)
        self.writer.outlets = self.outlets
        self.captures = Captures(self.outlets.from_subscriber)
        self.uplink = Uplink(self.outlets.from_server)
        self.outlets.captures, self.outlets.uplink = self.captures, self.uplink
        self.underlay = Underlay(self.dataplane, self._refreshed, self.captures, self.uplink)
        self.repairs = Repairs()
        self.reconciler = Reconciler(
            self.writer,
            self.dataplane,
            self._take_over,
            self.underlay.forwards,
            self.repairs,
        )
        self.leases = LeaseKeeper(self.writer, self.repairs)
        self.methods = Methods(self)
        self.server = CommandServer(self.state_dir / "control.sock", self.methods.table())
        self.lag = LagMeter()
        usage = UsageMeter(lambda: set(read_pids(self.state_dir).values()), find_cgroup())
        self.health = Health(usage, self.lag, Report(self).parts)
        self.last_health: dict[str, Any] | None = None

    async def run(self) -> None:
        """Serve until cancelled."""
        try:
            await self._start()
            await asyncio.gather(*self._tasks)
        finally:
            await self._stop()

    async def _start(self) -> None:
        self.writer.journal({"type": "system-start", "reason": f"version {version()}"})
        await self.aaa.start()
        await self.underlay.apply(self.config)
        self._configure_parts()
        self._recover()
        # what was recovered lives long: the garbage collector need not look at it again and again
        gc.set_threshold(*_COLLECT)
        gc.freeze()
        gc.enable()
        self.routers.start()
        self._tasks = [
            asyncio.ensure_future(task)
            for task in (
                self._rounds.every(lambda: self.config.periods.counters, self._sweep, at_once=True),
                self._rounds.every(lambda: self.config.periods.health, self._report_health),
                self._rounds.every(lambda: self.config.periods.reconcile, self._reconcile),
                self._rounds.every(lambda: self.config.periods.reconcile, self._compare_leases, at_once=True),
                self._rounds.every(lambda: _LOOK_AT_LINKS, self._look_at_links),
                self._rounds.every(lambda: self.reconciler.audit_period, self._audit),
                self._housekeeping(),
                self._rounds.every(lambda: _NOTE_ACCOUNTING, self.accounting.note),
                self._grow(),
                self.lag.run(),
            )
        ]
        await self.server.start()
        log.info("control.started", instance=self.instance_id, sessions=len(self.machine.store))

    async def _stop(self) -> None:
        log.info("control.ending")
        for task in self._tasks:
            task.cancel()
        await self.server.close()
        self.coa.close()
        self.routers.close()
        self.witness.close()
        self.leases.close()
        with suppress(DataPlaneError):
            await self._sweep()
        await self.aaa.drain(_DRAIN_ACCOUNTING)  # what is not delivered then is on the disk
        self.aaa.close()
        self.underlay.close()
        await self.commit.close()  # some accounting may have waited for it
        self.spool.close()
        log.info("control.ended")

    # recovery

    def _recover(self) -> None:
        recovered, self._recovered = self._recovered, Sessions()
        now = max(time.time_ns(), recovered.time_ns + 1)
        effects = self.machine.restore(recovered.by_id.values(), recovered.tombstones, now, recovered.ended)
        self._adopt()
        self.writer.carry_out(effects)
        self.accounting.resume(self.state_dir / "journal", recovered.seq, self.machine.store)

    def _take_over(self, sessions: Sequence[Session]) -> None:
        self.enforcer.adopt(sessions)
        self.sweeper.mark_idle(session.slot for session in sessions if session.state is State.IDLE)

    def _adopt(self) -> None:
        """Bring the kernel and the sessions together, once, as soon as the data plane is open."""
        if not self._adopted and self.underlay.ready:
            try:
                self.reconciler.adopt()
                self._adopted = True
            except DataPlaneError as error:
                log.warning("recovery.no-dataplane", reason=str(error))
        if self._adopted and self.leases.asks:
            self._comparable.set()

    # configuration

    async def _apply(self, config: Config, old: Config) -> None:
        self._rounds.reconfigured()
        known = {path for path, _ in self.underlay.refused}
        await self.underlay.apply(config)
        self._configure_parts()
        for name in old.profiles.keys() | config.profiles.keys():
            profile = config.profiles.get(name)
            if old.profiles.get(name) != profile:
                self.writer.post(ev.ProfileChanged(name, profile))
        self._adopt()
        # what was refused before is not the fault of this change
        for path, reason in sorted(self.underlay.refused):
            if path not in known:
                raise OperationError("operation-failed", f"the kernel refuses it: {reason}", path=path)

    def _configure_parts(self) -> None:
        config = self.config
        self.writer.post(ev.SettingsChanged(machine_settings(config, self.underlay.addresses)))
        aaa = aaa_settings(config, self.underlay.addresses)
        self.aaa.configure(aaa)
        self.coa.configure(
            config.aaa.dynamic_authorization,
            Nas(aaa.nas_identifier, aaa.nas_ip_address),
            config.dhcp_uplink,
            self.underlay.addresses.get(config.dhcp_uplink or ""),
        )
        if self._is_new and config.aaa.servers:
            self._is_new = False
            self.accounting.begin_anew()
        self.sweeper.idle_after = config.policy.idle_after
        self.routers.period = config.periods.router_probe
        self.routers.configure(config.routers)
        self.leases.configure(
            config.relay.lease_apis,
            [address for address, _ in config.relay.servers],
            config.relay.relay_id,
            Places(config, self.underlay.addresses).find,
        )

    # what happens from time to time

    async def _sweep(self) -> None:
        if self.underlay.ready:  # an element that never was configured has no data plane yet
            await self.sweeper.run()

    async def _report_health(self) -> None:
        self.last_health = self.health.report()
        self.server.push("health", record=self.last_health)

    async def _reconcile(self) -> None:
        if self._adopted:
            await self.reconciler.run()

    async def _audit(self) -> None:
        if self._adopted:
            await self.reconciler.audit()

    async def _compare_leases(self) -> None:
        await self._comparable.wait()
        await self.leases.run()

    async def _look_at_links(self) -> None:
        if await self.underlay.refresh():
            self._configure_parts()
        self.coa.follow()
        self._adopt()

    async def _housekeeping(self) -> None:
        elapsed = 0.0
        while True:
            await asyncio.sleep(0.25)
            elapsed += 0.25
            self._spare_sessions()
            # all of them are told each time: the more there are, the less often
            soonest = len(self.routers) * _TELL_ROUTER
            changed = self.routers.changed and elapsed >= self.config.periods.health
            if (self.routers.urgent or changed) and elapsed >= soonest:
                elapsed = 0.0
                self.server.push("routers", records=await self.routers.gather())

    def _spare_sessions(self) -> None:
        """Have the garbage collector look at the sessions that began since, and then never again: with all of
        them to look at it would hold the loop up for half a second, and one that ends is freed without it."""
        if self.machine.started_total - self._spared >= _SPARE:
            self._spared = self.machine.started_total
            gc.collect()
            gc.freeze()

    async def _grow(self) -> None:
        """Have classes made ahead of the sessions: in a rush as fast as can be, else a third of the time."""
        loop, end = asyncio.get_running_loop(), 0
        while True:
            began, before = loop.time(), end
            try:
                more = await asyncio.to_thread(self.dataplane.grow)
                end = self.dataplane.end
            except DataPlaneError:
                more = False
            pause = 0.002 if end > before else 2 * (loop.time() - began) + 0.002
            await asyncio.sleep(pause if more else 0.1)

    # what the parts tell each other

    def _refreshed(self, refresh: Refresh) -> None:
        self.sweeper.refreshed(refresh)

    def _published(self, newest: int) -> None:
        self.server.push("journal", newest_seq=newest)

    def _deliver(self, answers: list[Answer]) -> None:
        for answer in answers:
            self.writer.post(answer)


def main(state_dir: Path) -> int:
    """Run the control process until SIGTERM. Returns the exit code."""

    prefer_this_process()
    gc.disable()  # until what is recovered has been read: all of it stays

    async def serve() -> None:
        await Control(state_dir, KernelDataPlane()).run()

    try:
        run_until_signal(serve())
    except (JournalError, OSError) as error:
        log.error("control.cannot-start", reason=str(error))
        return 1
    return 0
