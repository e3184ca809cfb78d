"""The collector process: leases, one session per BNG that it owns, upkeep of partitions."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import asyncpg
import structlog
from prometheus_client import start_http_server

from collector import lease, partitions, writer
from collector.config import CollectorConfig
from collector.metrics import OWNED
from collector.migrations import migrate
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

    async def run(self) -> None:
        """Migrate, then hold leases and collect. Waits for PostgreSQL as long as it takes."""
        if self.config.metrics:
            host, port = self.config.metrics
            start_http_server(port, host)
        await self._until_done(self._migrate)
        while not self.stop.is_set():
            try:
                await self._hold()
            except UNAVAILABLE as error:
                log.warning("collector.database-unavailable", error=str(error) or type(error).__name__)
                await self._pause(1)
        await self._end()

    async def _until_done(self, work: object) -> None:
        while not self.stop.is_set():
            try:
                await work()  # type: ignore[operator]
                return
            except UNAVAILABLE as error:
                log.warning("collector.database-unavailable", error=str(error) or type(error).__name__)
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
        self._tasks[bng_id] = asyncio.create_task(Session(self.config, self._targets[bng_id], epoch).run())

    async def _drop(self, bng_id: str) -> None:
        epoch = self._held.pop(bng_id, None)
        task = self._tasks.pop(bng_id, None)
        if task:
            task.cancel()
            result = (await asyncio.gather(task, return_exceptions=True))[0]
            why = "fenced off" if isinstance(result, writer.FencedError) else repr(result)
            log.warning("collector.lease-lost", bng_id=bng_id, epoch=epoch, why=why)

    async def _end(self) -> None:
        held = dict(self._held)
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        with suppress(*UNAVAILABLE):
            connection = await asyncpg.connect(self.config.database, timeout=2)
            await lease.release(connection, held, self.config.owner)
            await connection.close()
        log.info("collector.stopped", owner=self.config.owner)
