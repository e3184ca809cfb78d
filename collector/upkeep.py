"""Work on the tables that belongs to no target: rollups, partitions, retention. Any number of collectors do
it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import asyncpg
import structlog

from collector import partitions, rollup
from collector.config import CollectorConfig
from collector.metrics import ROLLED

log = structlog.get_logger()

UNAVAILABLE = (
    *(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError),
    asyncpg.InternalClientError,  # of a connection that the server ends while something is being asked
)
PERIOD = 5.0
"""Seconds between two turns."""

PARTITIONS = 600.0
"""Seconds between two looks at partitions and ages."""

SETTINGS = {
    "application_name": "aether-collector upkeep",
    "idle_in_transaction_session_timeout": "10000",
    "work_mem": "64MB",
}


async def forever(config: Callable[[], CollectorConfig]) -> None:
    """Go on until cancelled, with the configuration that is in force at the time."""
    while True:
        try:
            connection = await asyncpg.connect(
                config().database, timeout=10, command_timeout=600, server_settings=SETTINGS
            )
            try:
                await _turns(connection, config)
            finally:
                connection.terminate()
        except UNAVAILABLE as error:
            log.warning("collector.upkeep-failed", error=str(error) or type(error).__name__)
            await asyncio.sleep(1)


async def _turns(connection: asyncpg.Connection, config: Callable[[], CollectorConfig]) -> None:
    clock = asyncio.get_running_loop().time
    looked, kept = 0.0, None
    while True:
        retention = config().retention
        if kept != retention or clock() - looked > PARTITIONS:
            await partitions.maintain(connection, retention)
            looked, kept = clock(), retention
        ROLLED.inc(await rollup.turn(connection))
        await asyncio.sleep(PERIOD)
