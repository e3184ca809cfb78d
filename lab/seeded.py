"""Waits until the OSS has told RADIUS and the BNGs of the plans and services that it begins with.

``python -m lab.seeded OSS_JSON SECONDS``: subscribers start after it, since a line that asks earlier is
refused.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

import asyncpg
import structlog

from lab.logs import configure_logging

log = structlog.get_logger()

_PENDING = (
    "SELECT subject, coalesce(error, 'not tried yet') AS error FROM outbox WHERE state = 'pending' "
    "AND (destination = 'radius' OR subject LIKE 'plan:%') ORDER BY id"
)
"""What decides whether a line is accepted; actions on sessions are nothing to wait for."""

_INTERVAL = 0.1
_QUERY_TIMEOUT = 3.0


async def wait_until_delivered(dsn: str, patience: float) -> bool:
    """True once nothing is pending; False after ``patience`` seconds, with the reason in the log."""
    deadline = time.monotonic() + patience
    pending: list[str] = []
    while True:
        try:
            async with asyncio.timeout(_QUERY_TIMEOUT):
                pending = await _pending(dsn)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            pending = [f"the database: {error or type(error).__name__}"]
        if not pending:
            log.info("seed.delivered")
            return True
        if time.monotonic() > deadline:
            log.warning("seed.undelivered", after=patience, pending=len(pending), first=pending[0])
            return False
        await asyncio.sleep(_INTERVAL)


async def _pending(dsn: str) -> list[str]:
    connection = await asyncpg.connect(dsn)
    try:
        return [f"{row['subject']}: {row['error']}" for row in await connection.fetch(_PENDING)]
    finally:
        await connection.close()


def main() -> int:
    """0 also when the time is over: one BNG that is away must not keep the others' subscribers away."""
    if len(sys.argv) != 3:
        print("usage: python -m lab.seeded OSS_JSON SECONDS", file=sys.stderr)
        return 2
    configure_logging()
    try:
        dsn, patience = json.loads(Path(sys.argv[1]).read_text())["database"], float(sys.argv[2])
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"{sys.argv[1]} cannot be used: {error}", file=sys.stderr)
        return 1
    asyncio.run(wait_until_delivered(dsn, patience))
    return 0


if __name__ == "__main__":
    sys.exit(main())
