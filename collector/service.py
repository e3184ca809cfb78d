"""The collector process: leases, one session per target that it owns, upkeep of the tables."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import asyncpg
import structlog

from collector import balance, clock, lease, metrics, partitions, tunnel, upkeep, writer
from collector.budget import Budget
from collector.config import CollectorConfig, Target
from collector.foreign.session import ForeignSession
from collector.metrics import IN_FLIGHT, OWNED
from collector.migrations import migrate
from collector.outputs.relay import Relay
from collector.session import Session
from collector.store import Store
from collector.targets import AnyTarget, Targets
from collector.upkeep import UNAVAILABLE

log = structlog.get_logger()

SETTLED = 2.0
"""Times of a lease that a collector must have been alive for before it is given what another one holds."""


class Service:
    """Runs until `stop` is set; then gives its leases back. Setting `reload` reads the configuration
    again."""

    def __init__(self, config: CollectorConfig, file: Path | None = None) -> None:
        self.config = config
        self.targets = Targets(config, file)
        self.budget = Budget(config.memory << 20)
        IN_FLIGHT.set_function(lambda: self.budget.held)
        self.stop, self.reload = asyncio.Event(), asyncio.Event()
        self._targets = self.targets.all()
        self._held: dict[str, int] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._sessions: dict[str, Session | ForeignSession] = {}
        self._relays: list[asyncio.Task[None]] = []
        self._turn = balance.Turn(config.owner, config.lease_ttl)
        self._reach = balance.Reach(config.owner)
        self._announced = False
        self._store = Store(config.database, config.owner, config.lease_ttl)
        self._tunnel = tunnel.Keeper()

    async def run(self) -> None:
        """Migrate, then hold leases and collect. Waits for PostgreSQL as long as it takes."""
        self._serve_metrics()
        await self._serve_tunnel()
        await self._until_done(self._migrate)
        keeping = asyncio.create_task(upkeep.forever(lambda: self.config))
        relays = [Relay(lambda: self.config, make(), self._held_bngs).run() for make in self.config.outputs]
        self._relays = [asyncio.create_task(relay) for relay in relays]
        while not self.stop.is_set():
            try:
                await self._hold()
            except UNAVAILABLE as error:
                log.warning("collector.database-unavailable", error=str(error) or type(error).__name__)
                metrics.DATABASE_FAILURES.inc()
                await self._pause(1)
        keeping.cancel()
        await self._end()

    def _serve_metrics(self) -> None:
        if self.config.metrics:
            try:
                metrics.serve(*self.config.metrics)
            except OSError as error:  # data go on without
                log.error("collector.metrics-not-served", address=self.config.metrics, error=str(error))

    async def _serve_tunnel(self) -> None:
        await self._tunnel.follow(self.config.tunnel)

    async def _until_done(self, work: object) -> None:
        while not self.stop.is_set():
            try:
                await work()  # type: ignore[operator]
                return
            except UNAVAILABLE as error:
                log.warning("collector.database-unavailable", error=str(error) or type(error).__name__)
                metrics.DATABASE_FAILURES.inc()
                await self._pause(1)

    async def _migrate(self) -> None:
        await migrate(self.config.database)

    async def _pause(self, seconds: float) -> None:
        """Until the time is over, or somebody wants something."""
        waiting = [asyncio.ensure_future(event.wait()) for event in (self.stop, self.reload)]
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for waiter in waiting:
            waiter.cancel()

    async def _hold(self) -> None:
        """Renew, acquire and start sessions until the database goes away or the end comes."""
        ttl, owner = self.config.lease_ttl, self.config.owner
        connection = await lease.connect(self.config.database, ttl)
        try:
            await partitions.ensure(connection, await clock.ask(connection))
            while not self.stop.is_set():
                await self._reconfigure(connection)
                lost = await lease.renew(connection, self._held, owner, ttl)
                for bng_id in lost | {b for b, task in self._tasks.items() if task.done()}:
                    await self._drop(bng_id)
                pause = ttl / 4
                others = [bng_id for bng_id in self._targets if bng_id not in self._held]
                free, soonest = await lease.due(connection, others)
                if soonest is not None:
                    pause = min(pause, max(0.1, soonest + 0.02))
                alive = await self._alive(connection)
                taken = await lease.acquire(connection, self._turn.mine(free, alive), owner, ttl)
                for bng_id, epoch in taken.items():
                    log.info("collector.lease-taken", bng_id=bng_id, epoch=epoch, owner=owner)
                    metrics.TAKEN.inc()
                    metrics.TAKEOVERS.inc(epoch > 1)
                    self._start(bng_id, epoch)
                left = [bng_id for bng_id in free if bng_id not in taken]
                given = self._reach.given_up(self._silent(), alive)
                for name in given:
                    log.warning("collector.unreachable-given-up", bng_id=name)
                await self._hand_over(connection, given or self._turn.surplus(self._held, left, alive))
                OWNED.set(len(self._held))
                await self._pause(pause)
        finally:
            connection.terminate()

    async def _alive(self, connection: asyncpg.Connection) -> dict[str, balance.Collector]:
        """The collectors that are alive, this one after it said so."""
        ttl = self.config.lease_ttl
        wanted = self._reach.wanted(self._targets)
        await lease.announce(connection, self.config.owner, wanted, ttl, anew=not self._announced)
        self._announced = True
        return await lease.alive(connection, SETTLED * ttl)

    def _silent(self) -> dict[str, float]:
        """The targets that are held and cannot be reached, and since when."""
        since = {name: session.silent_since for name, session in self._sessions.items()}
        return {name: begin for name, begin in since.items() if begin is not None}

    async def _hand_over(self, connection: asyncpg.Connection, names: list[str]) -> None:
        """Give leases back that another collector is to take: it goes on after what was committed by then."""
        if not names:
            return
        await asyncio.gather(*(self._cancel(name) for name in names))
        given = {name: self._held.pop(name) for name in names}
        await lease.release(connection, given, self.config.owner)
        metrics.HANDED_OVER.inc(len(given))
        for name in names:
            log.info("collector.lease-handed-over", bng_id=name, epoch=given[name])

    async def _reconfigure(self, connection: asyncpg.Connection) -> None:
        """Follow the configuration: sessions of targets that stay as they are go on untouched."""
        asked = self.reload.is_set()
        self.reload.clear()
        anew = self.targets.reread(asked=asked)
        await self.targets.registry(connection)
        wanted, before = self.targets.all(), self.config
        self.config = self.targets.config
        if anew:
            self.budget.resize(self.config.memory << 20)
            await self._serve_tunnel()
        await self._tunnel.again()
        again = before.sample_interval != self.config.sample_interval
        changed = [
            name
            for name, target in wanted.items()
            if name in self._tasks
            and (target != self._targets.get(name) or (again and isinstance(target, Target)))
        ]
        removed = [name for name in self._targets if name not in wanted]
        self._targets = wanted
        for name in changed:
            await self._cancel(name)
            self._start(name, self._held[name])
            log.info("collector.target-changed", bng_id=name)
        for name in removed:
            await self._remove(connection, name)

    async def _remove(self, connection: asyncpg.Connection, name: str) -> None:
        """A target that is no longer configured: its lease is free, its state says so."""
        if name not in self._held:
            return
        await self._cancel(name)
        epoch = self._held.pop(name)
        with suppress(writer.FencedError):
            await writer.write_target_state(
                connection, (name, epoch), "removed", "no longer configured", self.config.owner
            )
        await lease.release(connection, {name: epoch}, self.config.owner)
        log.info("collector.target-removed", bng_id=name)

    def _start(self, name: str, epoch: int) -> None:
        self._held[name] = epoch
        self._sessions[name] = session = self._session(self._targets[name], epoch)
        self._tasks[name] = asyncio.create_task(session.run())

    def _held_bngs(self) -> list[str]:
        """What is held and has events, as targets of others have not."""
        return [name for name in self._held if isinstance(self._targets.get(name), Target)]

    def _session(self, target: AnyTarget, epoch: int) -> Session | ForeignSession:
        window = self.budget.window(3 * len(self._targets))
        if isinstance(target, Target):
            return Session(self.config, target, epoch, self.budget, window, self._store)
        return ForeignSession(self.config, target, epoch, self.budget, window, self._store)

    async def _cancel(self, name: str) -> object:
        """End a session; returns what it ended with."""
        task = self._tasks.pop(name, None)
        self._sessions.pop(name, None)
        if task is None:
            return None
        task.cancel()
        ended = (await asyncio.gather(task, return_exceptions=True))[0]
        metrics.forget(name)  # it is for the next owner to say
        return ended

    async def _drop(self, bng_id: str) -> None:
        epoch = self._held.pop(bng_id, None)
        metrics.LOST.inc()
        if bng_id in self._tasks:
            result = await self._cancel(bng_id)
            why = "it ran out" if isinstance(result, asyncio.CancelledError) else repr(result)
            why = "fenced off" if isinstance(result, writer.FencedError) else why
            log.warning("collector.lease-lost", bng_id=bng_id, epoch=epoch, why=why)

    async def _end(self) -> None:
        held = dict(self._held)
        tasks = [*self._tasks.values(), *self._relays]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._store.close()
        await self._tunnel.stop()
        with suppress(*UNAVAILABLE):
            connection = await asyncpg.connect(self.config.database, timeout=2)
            await lease.release(connection, held, self.config.owner)
            await lease.depart(connection, self.config.owner)
            await connection.close()
        log.info("collector.stopped", owner=self.config.owner)
