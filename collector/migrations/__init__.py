"""Alembic migrations of the collector's tables, and the runner that the OSS uses for its own as well.

Several processes may start at once: whoever comes first migrates, the others wait on an advisory lock.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

if TYPE_CHECKING:
    from sqlalchemy import Connection

LOCK = 0x61657468  # 'aeth': one lock for all of Aether's migrations of a database
GONE = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InterfaceError,
)
VERSION_TABLE = "collector_version"


async def migrate(
    dsn: str, scripts: Path | None = None, version_table: str = VERSION_TABLE, version: str = "head"
) -> None:
    """Bring a database to a version, the newest by default, of the tables below `scripts` (the collector's by
    default).

    Raises what asyncpg raises when the database cannot be reached.
    """
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(dsn), poolclass=NullPool
    )
    config = Config()
    config.set_main_option("script_location", str(scripts or Path(__file__).parent))

    def upgrade(connection: Connection) -> None:
        config.attributes["connection"] = connection
        config.attributes["version_table"] = version_table
        command.upgrade(config, version)

    try:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            await connection.run_sync(upgrade)
    except DBAPIError as error:
        # SQLAlchemy wraps what asyncpg raised: callers shall see a server that starts or goes for what it is
        cause = error.orig and error.orig.__cause__
        if isinstance(cause, GONE):
            raise cause from None
        raise
    finally:
        await engine.dispose()
