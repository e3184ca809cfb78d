"""Work on messages that are too large to be decoded while all others wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

Answer = TypeVar("Answer")

LARGE = 256 << 10
"""Octets from which on a message is decoded in another thread. One of 4 MiB takes up to a second: a target
that sends nothing else would keep the collector from renewing its leases."""


async def decoded(size: int, work: Callable[[], Answer]) -> Answer:
    """What `work` returns, which is about so many octets. It has ended when this has, also when that is
    cancelled: nobody else shall meanwhile use what it uses."""
    if size < LARGE:
        return work()
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        with suppress(Exception):
            await running
        raise
