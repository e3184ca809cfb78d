"""Alembic migrations of the collector's tables, and the runner that the OSS uses for its own as well.

Several processes may start at once: whoever comes first migrates, the others wait on an advisory lock.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
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


class NewerError(Exception):
    """The tables are of a version that this program does not know."""


@dataclass(frozen=True, slots=True)
class Migrated:
    """What was done.

    Attributes:
        before: the tables' version, None when there were none.
        after: the version that they have now.
    """

    before: str | None
    after: str | None

    def __str__(self) -> str:
        if self.before == self.after:
            return f"nothing to do: the tables are of version {self.after}"
        if self.before is None:
            return f"the tables were made, of version {self.after}"
        return f"the tables were brought from version {self.before} to {self.after}"


async def migrate(
    dsn: str, scripts: Path | None = None, version_table: str = VERSION_TABLE, version: str = "head"
) -> Migrated:
    """Bring a database to a version, the newest by default, of the tables below `scripts` (the collector's by
    default).

    Raises what asyncpg raises when the database cannot be reached, and NewerError.
    """
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(dsn), poolclass=NullPool
    )
    config = Config()
    config.set_main_option("script_location", str(scripts or Path(__file__).parent))

    def current(connection: Connection) -> str | None:
        options = {"version_table": version_table}
        return MigrationContext.configure(connection, opts=options).get_current_revision()

    def upgrade(connection: Connection) -> Migrated:
        config.attributes["connection"] = connection
        config.attributes["version_table"] = version_table
        before = current(connection)
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        if before is not None and before not in known:
            raise NewerError(f"the tables are of version {before}, which this program does not know")
        command.upgrade(config, version)
        return Migrated(before, current(connection))

    try:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            return await connection.run_sync(upgrade)
    except DBAPIError as error:
        # SQLAlchemy wraps what asyncpg raised: callers shall see a server that starts or goes for what it is
        cause = error.orig and error.orig.__cause__
        if isinstance(cause, GONE):
            raise cause from None
        raise
    finally:
        await engine.dispose()
