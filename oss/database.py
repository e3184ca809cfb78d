"""The connection pool and the migrations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg
import orjson
import structlog

from collector import migrations

log = structlog.get_logger()

SETTINGS = {
    "application_name": "aether-oss",
    "statement_timeout": "20000",
    "work_mem": "64MB",
    "jit": "off",
    "plan_cache_mode": "force_custom_plan",
}

UNAVAILABLE = (
    *(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError),
    asyncpg.InternalClientError,  # of a connection that the server ends while something is being asked
)
"""What comes of a database that is away."""

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy


async def _prepare(connection: asyncpg.Connection) -> None:
    for kind in ("json", "jsonb"):
        await connection.set_type_codec(
            kind, schema="pg_catalog", encoder=lambda v: orjson.dumps(v).decode(), decoder=orjson.loads
        )


async def open_pool(dsn: str, *, size: int = 10) -> asyncpg.Pool:
    """A pool whose connections give jsonb as Python values and cancel statements after 20 s.

    Series of traffic are sorted in memory. Nothing that is asked runs long enough for compiling it to pay.
    Statements are planned for their values: which index to take depends on what is searched for.
    """
    return await asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=size,
        init=_prepare,
        command_timeout=20,
        server_settings=SETTINGS,
    )


async def connect(dsn: str) -> asyncpg.Connection:
    """A single connection, for LISTEN and advisory locks."""
    connection = await asyncpg.connect(dsn, server_settings={"application_name": "aether-oss"}, timeout=10)
    await _prepare(connection)
    return connection


async def migrate(dsn: str) -> migrations.Migrated:
    """Bring the OSS's own tables to the newest version; of two processes the second waits for the first."""
    done = await migrations.migrate(dsn, Path(__file__).parent / "migrations", "oss_version")
    log.info("database.migrated", tables="oss")
    return done


class Where:
    """Conditions of a query with their parameters: SQL text never contains a value.

    >>> where = Where(); where.add("status = {}", "active"); where.sql()
    'WHERE status = $1'
    """

    def __init__(self, parameters: list[Any] | None = None) -> None:
        self.parameters: list[Any] = parameters if parameters is not None else []
        self._conditions: list[str] = []

    def parameter(self, value: Any) -> str:
        """Keep the value; answers the placeholder that stands for it."""
        self.parameters.append(value)
        return f"${len(self.parameters)}"

    def add(self, condition: str, *values: Any) -> None:
        """Add a condition; each ``{}`` in it stands for one value."""
        self._conditions.append(condition.format(*(self.parameter(value) for value in values)))

    def sql(self, *more: str) -> str:
        """The clause; `more` are further conditions, whose values are parameters already."""
        conditions = [*self._conditions, *more]
        return "WHERE " + " AND ".join(conditions) if conditions else ""
