"""What collecting from any target has in common: it goes on for ever, and says in what state it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import asyncpg
import grpc
import structlog

from collector import decode, gnmi, metrics, writer
from collector.budget import WINDOW_MOST, Budget
from collector.config import CollectorConfig, Target
from collector.foreign.config import ForeignTarget
from collector.metrics import RECONNECTS, TARGET_UP
from collector.store import Store

log = structlog.get_logger()

RETRY_FIRST, RETRY_MOST = 0.5, 5.0
"""Seconds between attempts to connect: doubled from the first to the most."""

EXPECTED = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, decode.DecodeError)


def leaves(problem: BaseException) -> Iterator[BaseException]:
    """The exceptions in a group."""
    if isinstance(problem, BaseExceptionGroup):
        for inner in problem.exceptions:
            yield from leaves(inner)
    else:
        yield problem


class Link:
    """Collects from one target under one lease. `run` goes on until it is cancelled or fenced off.

    Attributes:
        silent_since: since when the target itself cannot be reached (monotonic), None while it can be. What
            PostgreSQL does is not held against it.
    """

    def __init__(
        self,
        config: CollectorConfig,
        target: Target | ForeignTarget,
        name: str,
        epoch: int,
        budget: Budget | None = None,
        window: int = WINDOW_MOST,
        store: Store | None = None,
    ) -> None:
        self.store = store or Store(config.database, config.owner, config.lease_ttl)
        self.config, self.name, self.epoch = config, name, epoch
        self.budget = budget or Budget(config.memory << 20)
        self._dial = target
        self._window = window
        self.silent_since: float | None = None
        self.log = log.bind(bng_id=name, epoch=epoch)

    def client(self) -> gnmi.Client:
        """A new channel to the target. Raises OSError."""
        return gnmi.Client(self._dial, self.budget, self._window)

    async def connected(self) -> None:
        """Connect, and collect until something breaks."""
        raise NotImplementedError

    async def run(self) -> None:
        """Connect, collect, and connect again after whatever breaks. Raises FencedError."""
        clock = asyncio.get_running_loop().time
        delay = RETRY_FIRST
        while True:
            began = clock()
            try:
                await self.connected()
                error = "the target ended the stream"
                self.silent_since = None
            except Exception as problem:
                error = self._why(problem)
                far = any(isinstance(cause, grpc.aio.AioRpcError) for cause in leaves(problem))
                self.silent_since = (self.silent_since or time.monotonic()) if far else None
            RECONNECTS.labels(self.name).inc()
            if clock() - began > 30:
                delay = RETRY_FIRST
            self.log.warning("collector.disconnected", error=error, retry_in=delay)
            await self.say(False, error)
            await asyncio.sleep(delay)
            delay = min(delay * 2, RETRY_MOST)

    def _why(self, problem: Exception) -> str:
        """What broke, for a person. Raises FencedError if that is among it; a defect is logged whole."""
        causes = list(leaves(problem))
        if any(isinstance(cause, writer.FencedError) for cause in causes):
            metrics.FENCED.inc()
            raise writer.FencedError from None
        for cause in causes:
            if isinstance(cause, grpc.aio.AioRpcError):
                return f"{cause.code().name}: {cause.details()}"
        if not all(isinstance(cause, EXPECTED) for cause in causes):
            self.log.error("collector.defect", exc_info=problem)
        return "; ".join(str(cause) or type(cause).__name__ for cause in causes)

    async def say(self, up: bool, error: str | None, **columns: Any) -> None:
        """Put the state of this target on record, if the database is there. Raises FencedError."""
        if up:
            self.silent_since = None
        TARGET_UP.labels(self.name).set(up)
        try:
            async with self.store.borrow() as connection:
                state = "up" if up else "down"
                await writer.write_target_state(
                    connection, (self.name, self.epoch), state, error, self.config.owner
                )
                await self.said(connection, up, error, **columns)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as problem:
            self.log.warning("collector.state-not-written", error=str(problem))

    async def said(self, connection: asyncpg.Connection, up: bool, error: str | None, **columns: Any) -> None:
        """What else is to be written with the state."""
