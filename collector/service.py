"""The collector process: leases, one session per BNG that it owns, upkeep of partitions."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import asyncpg
import structlog

from collector import lease, metrics, partitions, writer
from collector.config import CollectorConfig
from collector.metrics import OWNED
from collector.migrations import migrate
from collector.outputs.relay import Relay
from collector.session import Session

log = structlog.get_logger()

UNAVAILABLE = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


class Service:
    """Runs until `stop` is set; then gives its leases back."""

    def __init__(self, config: CollectorConfig) -> None:
        self.config = config
        self.stop = asyncio.Event()
        self._targets = {target.bng_id: target for target in config.targets}
        self._held: dict[str, int] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._relays: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Migrate, then hold leases and collect. Waits for PostgreSQL as long as it takes."""
        self._serve_metrics()
        await self._until_done(self._migrate)
        relays = [Relay(self.config, make(), lambda: self._held).run() for make in self.config.outputs]
        self._relays = [asyncio.create_task(relay) for relay in relays]
        while not self.stop.is_set():
            try:
                await self._hold()
            except UNAVAILABLE as error:
                log.warning("collector.database-unavailable", error=str(error) or type(error).__name__)
                metrics.DATABASE_FAILURES.inc()
                await self._pause(1)
        await self._end()

    def _serve_metrics(self) -> None:
        if self.config.metrics:
            try:
                metrics.serve(*self.config.metrics)
            except OSError as error:  # data go on without
                log.error("collector.metrics-not-served", address=self.config.metrics, error=str(error))

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
        with suppress(TimeoutError):
            await asyncio.wait_for(self.stop.wait(), seconds)

    async def _hold(self) -> None:
        """Renew, acquire and start sessions until the database goes away or the end comes."""
        connection = await lease.connect(self.config.database, self.config.lease_ttl)
        config = self.config
        maintained = 0.0
        clock = asyncio.get_running_loop().time
        try:
            while not self.stop.is_set():
                if clock() - maintained > 3600 or not maintained:
                    await partitions.maintain(connection, config.retention_days)
                    maintained = clock()
                lost = await lease.renew(connection, self._held, config.owner, config.lease_ttl)
                for bng_id in lost | {b for b, task in self._tasks.items() if task.done()}:
                    await self._drop(bng_id)
                free = [bng_id for bng_id in self._targets if bng_id not in self._held]
                taken = await lease.acquire(connection, free, config.owner, config.lease_ttl)
                for bng_id, epoch in taken.items():
                    self._start(bng_id, epoch)
                OWNED.set(len(self._held))
                await self._pause(config.lease_ttl / 3)
        finally:
            connection.terminate()

    def _start(self, bng_id: str, epoch: int) -> None:
        log.info("collector.lease-taken", bng_id=bng_id, epoch=epoch, owner=self.config.owner)
        self._held[bng_id] = epoch
        metrics.TAKEN.inc()
        metrics.TAKEOVERS.inc(epoch > 1)
        self._tasks[bng_id] = asyncio.create_task(Session(self.config, self._targets[bng_id], epoch).run())

    async def _drop(self, bng_id: str) -> None:
        epoch = self._held.pop(bng_id, None)
        task = self._tasks.pop(bng_id, None)
        metrics.forget(bng_id)
        metrics.LOST.inc()
        if task:
            task.cancel()
            result = (await asyncio.gather(task, return_exceptions=True))[0]
            why = "fenced off" if isinstance(result, writer.FencedError) else repr(result)
            log.warning("collector.lease-lost", bng_id=bng_id, epoch=epoch, why=why)

    async def _end(self) -> None:
        held = dict(self._held)
        tasks = [*self._tasks.values(), *self._relays]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(*UNAVAILABLE):
            connection = await asyncpg.connect(self.config.database, timeout=2)
            await lease.release(connection, held, self.config.owner)
            await connection.close()
        log.info("collector.stopped", owner=self.config.owner)
