"""`aether collector write`: the collector's service, but that what it writes comes from the bus."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import structlog

from collector.bus.jetstream import Bus, Unavailable
from collector.bus.writing import Writing
from collector.config import CollectorConfig, Target
from collector.foreign.session import ForeignSession
from collector.service import Service
from collector.session import Session
from collector.targets import AnyTarget, Targets

log = structlog.get_logger()

ROUND = 2.0
"""Seconds between looks at which BNGs the bus has."""


class Published(Targets):
    """The BNGs that the bus has messages of; a writer needs neither their addresses nor their secrets."""

    def __init__(self, config: CollectorConfig, file: Path | None, bus: Bus) -> None:
        super().__init__(config, file)
        self._bus = bus
        self._names: set[str] = set()
        self._away = False
        self._again = 0.0

    def all(self) -> dict[str, AnyTarget]:
        return {name: Target(name, "", "", "", Path()) for name in sorted(self._names)}

    async def registry(self, connection: asyncpg.Connection) -> None:  # noqa: ARG002
        """Look at the bus. Those that are known stay known while it is away."""
        now = asyncio.get_running_loop().time()
        if now < self._again:
            return
        self._again = now + ROUND
        try:
            self._names = await self._bus.names()
            self._away = False
        except Unavailable as error:
            if not self._away:
                self._away = True
                log.warning("collector.bus-unavailable", error=str(error))


class WriteService(Service):
    """Takes leases of BNGs as `Service` does, and writes what the bus has of them."""

    def __init__(self, config: CollectorConfig, file: Path | None = None) -> None:
        super().__init__(config, file)
        assert config.bus
        self.bus = Bus(config.bus, f"aether-writer {config.owner}")
        self.targets = Published(config, file, self.bus)
        self._targets = self.targets.all()

    async def run(self) -> None:
        try:
            await super().run()
        finally:
            await self.bus.close()

    async def _serve_tunnel(self) -> None:
        """Targets call the publishers."""

    def _session(self, target: AnyTarget, epoch: int) -> Session | ForeignSession:
        assert isinstance(target, Target)
        return Writing(self.config, target, epoch, self.bus, self.budget, self._store)
