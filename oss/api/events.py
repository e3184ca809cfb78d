"""Events of the BNGs' journals."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query

from oss.api.common import ERRORS, Cursor, Limit, Pool, Text
from oss.auth.principal import Viewer
from oss.domain import sessions
from oss.domain.paging import Order, Page
from oss.domain.sessions import Event, Filter

router = APIRouter(prefix="/api/events", tags=["events"], responses=ERRORS)

EventType = Literal[
    "session-start",
    "session-update",
    "session-stop",
    "policy-apply",
    "session-rejected",
    "session-moved",
    "session-move-denied",
    "router-update",
    "system-start",
]


@router.get("")
async def list_events(
    pool: Pool,
    _: Viewer,
    bng_id: Text = None,
    session_id: Text = None,
    remote_id: Text = None,
    circuit_id: Text = None,
    customer_id: int | None = None,
    type: Annotated[list[EventType] | None, Query()] = None,
    q: Text = None,
    since: datetime | None = None,
    until: datetime | None = None,
    order: Order = "desc",
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Event]:
    """Events by time, newest first unless `order` says otherwise."""
    criteria = Filter(
        bng_id=bng_id,
        session_id=session_id,
        remote_id=remote_id,
        circuit_id=circuit_id,
        customer_id=customer_id,
        type=list(type) if type else None,
        q=q,
        since=since,
        until=until,
    )
    return await sessions.events(pool, criteria, order, limit, cursor)
