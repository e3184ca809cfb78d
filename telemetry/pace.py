"""How long a request has held the event loop."""

from __future__ import annotations

import asyncio
import time

PAUSE_AFTER = 0.002
"""Seconds of work after which other tasks get their turn."""


class Pace:
    """Lets others go on in between."""

    def __init__(self) -> None:
        self._pause_at = time.perf_counter() + PAUSE_AFTER

    async def pause(self) -> None:
        """Let others go on if this has taken long."""
        if time.perf_counter() > self._pause_at:
            await asyncio.sleep(0)
            self._pause_at = time.perf_counter() + PAUSE_AFTER
