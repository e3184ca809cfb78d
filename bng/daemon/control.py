"""The control process: the writer and everything around it, wired together.

Start: the journal's sessions and the kernel's elements are brought together (`bng.reconcile`). Sessions that
both know are adopted: no Access-Request, no Accounting-Start, counters go on. SIGTERM ends the process and
leaves the kernel as it is, subscribers notice nothing; so Accounting-Off is not sent then, and Accounting-On
only by an element that has no sessions from before.
"""

from __future__ import annotations

import asyncio
import gc
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from bng.aaa.client import AaaClient, Answer
from bng.aaa.shell import AaaShell
from bng.access import Captures
from bng.commit import GroupCommit
from bng.config import Config
from bng.configuration import Configuration
from bng.daemon.methods import Methods
from bng.daemon.process import read_pids, run_until_signal
from bng.dataplane.base import DataPlane, DataPlaneError, Refresh
from bng.dataplane.kernel import KernelDataPlane
from bng.enforcement import Enforcer
from bng.health import Health, LagMeter, UsageMeter, find_cgroup, nat_report
from bng.ledger import Ledger, outstanding
from bng.loop import Writer
from bng.outlets import NetworkOutlets
from bng.reconcile import Reconciler
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

log = structlog.get_logger()

_LOOK_AT_LINKS = 1.0
_DRAIN_ACCOUNTING = 2.0


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
        self._reconfigured = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

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
        self.routers = RouterWatch(self.writer.journal, self.machine.store.count_behind)
        self.aaa = AaaShell(AaaClient(aaa_settings(self.config, {})), self._deliver)
        self.ledger = Ledger(self.state_dir / "accounted", recovered.seq)
        self.outlets = NetworkOutlets(self.writer, self.aaa, self.routers, self.ledger)
        self.writer.outlets = self.outlets
        self.captures = Captures(self.outlets.from_subscriber)
        self.uplink = Uplink(self.outlets.from_server)
        self.outlets.captures, self.outlets.uplink = self.captures, self.uplink
        self.underlay = Underlay(self.dataplane, self._refreshed, self.captures, self.uplink)
        self.reconciler = Reconciler(
            self.writer,
            self.dataplane,
            self._take_over,
            self.underlay.forwards,
        )
        self.methods = Methods(self)
        self.server = CommandServer(self.state_dir / "control.sock", self.methods.table())
        self.lag = LagMeter()
        usage = UsageMeter(lambda: set(read_pids(self.state_dir).values()), find_cgroup())
        self.health = Health(usage, self.lag, self._health_parts)
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
        gc.collect()
        gc.freeze()
        self.routers.start()
        self._tasks = [
            asyncio.ensure_future(task)
            for task in (
                self._every(lambda: self.config.periods.counters, self._sweep),
                self._every(lambda: self.config.periods.health, self._report_health),
                self._every(lambda: self.config.periods.reconcile, self._reconcile),
                self._every(lambda: _LOOK_AT_LINKS, self._look_at_links),
                self._housekeeping(),
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
        self.routers.close()
        with suppress(DataPlaneError):
            await self.sweeper.run()
        if await self.aaa.drain(_DRAIN_ACCOUNTING):
            self.ledger.settle()
        self.ledger.close()
        self.aaa.close()
        self.underlay.close()
        await self.commit.close()
        log.info("control.ended")

    # recovery

    def _recover(self) -> None:
        recovered, self._recovered = self._recovered, Sessions()
        now = max(time.time_ns(), recovered.time_ns + 1)
        effects = self.machine.restore(recovered.by_id.values(), recovered.tombstones, now)
        self._adopt()
        self.writer.carry_out(effects)
        self._account_again(recovered.seq)

    def _take_over(self, sessions: Sequence[Session]) -> None:
        self.enforcer.adopt(sessions)
        self.sweeper.mark_idle(session.slot for session in sessions if session.state is State.IDLE)

    def _account_again(self, newest: int) -> None:
        """Send what no RADIUS server had acknowledged when the last control plane ended."""
        count = 0
        for account in outstanding(JournalReader(self.state_dir / "journal"), self.ledger.settled):
            if account.counters is not None:
                self.aaa.account(account, account.counters)
                count += 1
        self.ledger.given(newest)
        if count:
            log.info("accounting.sent-again", records=count)

    def _adopt(self) -> None:
        """Bring the kernel and the sessions together, once, as soon as the data plane is open."""
        if self._adopted or not self.underlay.ready:
            return
        try:
            self.reconciler.adopt()
            self._adopted = True
        except DataPlaneError as error:
            log.warning("recovery.no-dataplane", reason=str(error))

    # configuration

    async def _apply(self, config: Config, old: Config) -> None:
        self._reconfigured.set()
        self._reconfigured = asyncio.Event()
        await self.underlay.apply(config)
        self._configure_parts()
        for name in old.profiles.keys() | config.profiles.keys():
            profile = config.profiles.get(name)
            if old.profiles.get(name) != profile:
                self.writer.post(ev.ProfileChanged(name, profile))
        self._adopt()

    def _configure_parts(self) -> None:
        config = self.config
        self.writer.post(ev.SettingsChanged(machine_settings(config, self.underlay.addresses)))
        self.aaa.client.configure(aaa_settings(config, self.underlay.addresses))
        if self._is_new and config.aaa.servers:
            # nothing is known of an earlier life: what servers may still hold of it has ended
            self._is_new = False
            self.aaa.accounting_on(self.instance_id.replace("-", "")[:16])
        self.sweeper.idle_after = config.policy.idle_after
        self.routers.period = config.periods.router_probe
        self.routers.configure(config.routers)

    # what happens from time to time

    async def _every(self, period: Callable[[], float], action: Callable[[], Awaitable[object]]) -> None:
        while True:
            await self._pause(period)
            try:
                await action()
            except Exception:
                # the next round tries again; service of subscribers does not depend on this one
                log.exception("control.periodic-failed", action=getattr(action, "__name__", "?"))

    async def _pause(self, period: Callable[[], float]) -> None:
        """Sleep for a period; when another one is configured meanwhile, for that."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while (left := began + period() - loop.time()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._reconfigured.wait()

    async def _sweep(self) -> None:
        await self.sweeper.run()

    async def _report_health(self) -> None:
        self.last_health = self.health.report()
        self.server.push("health", record=self.last_health)

    async def _reconcile(self) -> None:
        if self._adopted:
            await self.reconciler.run()

    async def _look_at_links(self) -> None:
        if await self.underlay.refresh():
            self._configure_parts()
        self._adopt()

    async def _housekeeping(self) -> None:
        elapsed = 0.0
        while True:
            await asyncio.sleep(0.25)
            elapsed += 0.25
            if not len(self.aaa.client.backlog):
                self.ledger.settle()
            if self.routers.urgent or (self.routers.changed and elapsed >= self.config.periods.health):
                elapsed = 0.0
                self.server.push("routers", records=self.routers.records())

    async def _grow(self) -> None:
        while True:
            try:
                more = await asyncio.to_thread(self.dataplane.grow)
            except DataPlaneError:
                more = False
            await asyncio.sleep(0.005 if more else 1)

    # what the parts tell each other

    def _refreshed(self, refresh: Refresh) -> None:
        self.sweeper.refreshed(refresh)
        self.reconciler.repaired += refresh.repaired

    def _published(self, newest: int) -> None:
        self.server.push("journal", newest_seq=newest)

    def _deliver(self, answers: list[Answer]) -> None:
        for answer in answers:
            self.writer.post(answer)

    def _health_parts(self) -> dict[str, Any]:
        store, relay = self.machine.store, self.machine.relay
        dropped = sum(relay.dropped.values()) + self.writer.dropped + self.outlets.malformed
        return {
            "sessions": len(store),
            "sessions_active": store.by_status[State.ACTIVE] + store.by_status[State.IDLE],
            "queue_depth": self.writer.waiting,
            "dhcp_received": relay.received + self.writer.dropped + self.outlets.malformed,
            "dhcp_dropped": dropped,
            "netlink_errors": self.enforcer.errors,
            **nat_report(self.machine.nat, tracked=self.config.nat_prefixes is not None),
            "journal_newest_seq": self.journal.durable,
            "radius_server": [
                {
                    "name": state.server.name,
                    "up": state.up,
                    "requests": state.requests,
                    "timeouts": state.timeouts,
                    "latency": state.latency,
                }
                for state in self.aaa.client.servers
            ],
            "dhcp_server": [
                {
                    "address": address,
                    "up": server.up,
                    "requests": server.requests,
                    "replies": server.replies,
                    "latency": server.latency,
                }
                for address, server in relay.servers.items()
            ],
        }


def main(state_dir: Path) -> int:
    """Run the control process until SIGTERM. Returns the exit code."""

    async def serve() -> None:
        await Control(state_dir, KernelDataPlane()).run()

    try:
        run_until_signal(serve())
    except (JournalError, OSError) as error:
        log.error("control.cannot-start", reason=str(error))
        return 1
    return 0
