"""What is done again and again, at periods that may be configured otherwise meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

log = structlog.get_logger()


class Rounds:
    """Actions of one loop, each at a period of its own."""

    def __init__(self) -> None:
        self._reconfigured = asyncio.Event()

    def reconfigured(self) -> None:
        """Periods may have changed: who waits for the end of one looks anew."""
        self._reconfigured.set()
        self._reconfigured = asyncio.Event()

    async def every(
        self,
        period: Callable[[], float],
        action: Callable[[], Awaitable[object]],
        *,
        at_once: bool = False,
    ) -> None:
        """Do it every so many seconds, until cancelled; what it raises is logged.

        Args:
            at_once: for the first time now, instead of after a period.
        """
        while True:
            if not at_once:
                await self._pause(period)
            at_once = False
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
