"""Who collects from which BNG: rows in PostgreSQL that expire, with an epoch that fences off the last owner.

Any number of collectors may run with the same targets, and divide them (`balance`). A collector holds a
target while it renews its lease; when it falls silent, another one takes over with a higher epoch. Each
transaction of data checks the epoch (`writer`), so an owner that only believes to be one writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import asyncpg

from collector.balance import Collector

ACQUIRE = """
    INSERT INTO leases AS held (bng_id, owner, epoch, expires)
    SELECT bng, $2, 1, now() + make_interval(secs => $3) FROM unnest($1::text[]) AS bng
    ON CONFLICT (bng_id) DO UPDATE
        SET owner = excluded.owner, epoch = held.epoch + 1, expires = excluded.expires
        WHERE held.expires < now()
    RETURNING bng_id, epoch"""

RENEW = """
    UPDATE leases SET expires = now() + make_interval(secs => $3)
    WHERE owner = $2 AND (bng_id, epoch) IN (SELECT * FROM unnest($1::text[], $4::bigint[]))
    RETURNING bng_id"""


def session_name(owner: str) -> str:
    """The application_name of the connections that a collector writes with."""
    return "aether-collector " + blake2b(owner.encode(), digest_size=16).hexdigest()


async def connect(database: str, ttl: float, name: str = "aether-collector") -> asyncpg.Connection:
    """A connection whose transactions end when this process falls silent in the middle of one: the locks that
    they hold would keep the next owner out. A server that is silent for a minute is given up. Raises what
    asyncpg.connect does."""
    settings = {
        "application_name": name,
        "idle_in_transaction_session_timeout": str(int(ttl * 1000)),
        "statement_timeout": "50000",
    }
    return await asyncpg.connect(database, timeout=10, command_timeout=60, server_settings=settings)


async def evict(connection: asyncpg.Connection, wanted: Sequence[str]) -> None:
    """End what owners that fell silent are still doing: a COPY whose client is silent is not idle, and its
    locks would keep the next owner out. One that says that it is alive ends its transactions itself."""
    rows = await connection.fetch(
        """SELECT DISTINCT owner FROM leases gone WHERE bng_id = ANY($1::text[]) AND expires < now()
           AND NOT EXISTS (SELECT 1 FROM collectors c WHERE c.owner = gone.owner AND c.expires >= now())""",
        list(wanted),
    )
    names = [session_name(row["owner"]) for row in rows]
    if names:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = ANY($1::text[]) "
            "AND usename = current_user",
            names,
        )


async def acquire(
    connection: asyncpg.Connection, wanted: Sequence[str], owner: str, ttl: float
) -> dict[str, int]:
    """Take what nobody holds. Returns BNG → epoch of what was taken.

    The cursor of each learns the new epoch in the same transaction: from then on the last owner's
    transactions fail.
    """
    if not wanted:
        return {}
    await evict(connection, list(wanted))
    async with connection.transaction():
        # in the same order everywhere: two that begin at once would wait for each other's rows
        rows = await connection.fetch(ACQUIRE, sorted(wanted), owner, ttl)
        taken = {row["bng_id"]: row["epoch"] for row in rows}
        await connection.execute(
            """INSERT INTO cursors (bng_id, epoch) SELECT * FROM unnest($1::text[], $2::bigint[])
               ON CONFLICT (bng_id) DO UPDATE SET epoch = excluded.epoch""",
            list(taken),
            list(taken.values()),
        )
    return taken


async def announce(
    connection: asyncpg.Connection, owner: str, targets: Sequence[str], ttl: float, *, anew: bool
) -> None:
    """Say that this collector is alive, and what it is configured with. `anew`: it has just started."""
    await connection.execute(
        """INSERT INTO collectors AS known (owner, since, expires, targets)
           VALUES ($1, now(), now() + make_interval(secs => $3), $2)
           ON CONFLICT (owner) DO UPDATE SET expires = excluded.expires, targets = excluded.targets,
               since = CASE WHEN $4 OR known.expires < now() THEN now() ELSE known.since END""",
        *(owner, list(targets), ttl, anew),
    )


async def depart(connection: asyncpg.Connection, owner: str) -> None:
    """This collector ends; those that ended without a word are forgotten after an hour."""
    await connection.execute(
        "DELETE FROM collectors WHERE owner = $1 OR expires < now() - interval '1 hour'", owner
    )


async def alive(connection: asyncpg.Connection, settled: float) -> dict[str, Collector]:
    """The collectors that are alive. `settled`: seconds after which one may be given what another holds."""
    rows = await connection.fetch(
        """SELECT owner, targets, since < now() - make_interval(secs => $1) AS settled,
                  (SELECT count(*) FROM leases l WHERE l.owner = c.owner AND l.expires > now()) AS held
           FROM collectors c WHERE expires > now()""",
        settled,
    )
    return {row["owner"]: Collector(row["held"], set(row["targets"]), row["settled"]) for row in rows}


async def due(connection: asyncpg.Connection, wanted: Sequence[str]) -> tuple[list[str], float | None]:
    """Which of these nobody holds, and the seconds until the first other one's lease runs out; None if there
    is no other."""
    rows = await connection.fetch(
        """SELECT name, extract(epoch FROM expires - now())::float8 AS left
           FROM unnest($1::text[]) AS name LEFT JOIN leases ON bng_id = name""",
        list(wanted),
    )
    free = [row["name"] for row in rows if row["left"] is None or row["left"] < 0]
    return free, min(
        (row["left"] for row in rows if row["left"] is not None and row["left"] >= 0), default=None
    )


async def renew(connection: asyncpg.Connection, held: dict[str, int], owner: str, ttl: float) -> set[str]:
    """Extend what is held. Returns the BNGs that are lost: somebody else took over."""
    rows = await connection.fetch(RENEW, list(held), owner, ttl, list(held.values()))
    return set(held) - {row["bng_id"] for row in rows}


async def release(connection: asyncpg.Connection, held: dict[str, int], owner: str) -> None:
    """Give back at a clean end, so that another collector need not wait for the expiry."""
    await connection.execute(
        "UPDATE leases SET expires = now() - interval '1 second' WHERE owner = $1 AND bng_id = ANY($2)",
        owner,
        list(held),
    )
