"""A BNG that has started anew may have lost its plans: it gets all of them again.

Which instance a BNG is, the collector reports. A delivery says what is wanted and merges it, so that a BNG
that has lost nothing is not changed by it.
"""

from __future__ import annotations

from collections.abc import Iterable

import asyncpg
import structlog

from oss.domain import outbox
from oss.domain.outbox import Actor
from oss.domain.plans import subject

log = structlog.get_logger()

CHANNEL = "aether_bngs"
"""Where the collector tells that the state of a BNG has changed."""

_ACTOR = Actor("system")

_NEW = """
SELECT b.bng_id, b.instance_id FROM bngs b LEFT JOIN bng_instances k USING (bng_id)
WHERE b.bng_id = ANY($1::text[]) AND b.instance_id IS NOT NULL
  AND b.instance_id IS DISTINCT FROM k.instance_id
ORDER BY b.bng_id"""

_REMEMBER = """
INSERT INTO bng_instances (bng_id, instance_id) VALUES ($1, $2)
ON CONFLICT (bng_id) DO UPDATE SET instance_id = excluded.instance_id, noticed = now()"""

# what is no longer sold still shapes those who have it
_IN_FORCE = """
SELECT p.name FROM plans p WHERE p.is_active
   OR EXISTS (SELECT 1 FROM services v WHERE v.plan_id = p.id AND v.status <> 'TERMINATED')
ORDER BY p.id"""


async def to_new_instances(pool: asyncpg.Pool, bng_ids: Iterable[str]) -> list[str]:
    """Enqueue all plans in force if one of these BNGs is another instance than the last time.

    Answers the BNGs that are.

    Raises:
        asyncpg.UndefinedTableError: the collector has not made its tables yet.
    """
    async with pool.acquire() as connection, connection.transaction():
        started = await connection.fetch(_NEW, list(bng_ids))
        if not started:
            return []
        await connection.executemany(_REMEMBER, [tuple(row) for row in started])
        names = [str(row["bng_id"]) for row in started]
        plans = [row["name"] for row in await connection.fetch(_IN_FORCE)]
        for name in plans:
            summary = f"Send shaping profile {name} again: {', '.join(names)} started anew"
            await outbox.enqueue(connection, "network", subject(name), summary, _ACTOR)
    log.info("outbox.bng_started_anew", bng_ids=names, plans=len(plans))
    return names
