"""The audit log: who changed what, from what to what."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import asyncpg
import orjson
from pydantic import BaseModel

from oss.database import Connection, Where
from oss.domain.outbox import Actor
from oss.domain.paging import Column, Keyset, Page


class AuditEntry(BaseModel):
    id: int
    time: datetime
    username: str
    action: str
    object: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    request_id: str | None


def _plain(record: Mapping[str, Any] | None) -> Any:
    return None if record is None else orjson.loads(orjson.dumps(dict(record), default=str))


async def record(
    connection: Connection,
    actor: Actor,
    action: str,
    target: str,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Write an entry in the caller's transaction."""
    await connection.execute(
        "INSERT INTO audit_log (username, action, object, before, after, request_id) "
        "VALUES ($1, $2, $3, $4, $5, $6)",
        actor.username,
        action,
        target,
        _plain(before),
        _plain(after),
        actor.request_id,
    )


async def listing(
    pool: asyncpg.Pool, username: str | None, target: str | None, limit: int, cursor: str | None
) -> Page[AuditEntry]:
    """Entries, newest first."""
    where = Where()
    if username is not None:
        where.add("username = {}", username)
    if target is not None:
        where.add("object = {}", target)
    keyset = Keyset("id", "desc", (Column("id", "bigint"),), cursor, limit)
    keyset.apply(where)
    rows = await pool.fetch(
        "SELECT id, time, username, action, object, before, after, request_id, "  # noqa: S608
        f"{keyset.select} FROM audit_log {where.sql()} {keyset.order_by} {keyset.limit_sql}",
        *where.parameters,
    )
    kept, following = keyset.page(rows)
    return Page(items=[AuditEntry(**row) for row in kept], next_cursor=following)
