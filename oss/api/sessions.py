"""Sessions: live, past, one; and what can be done to them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from oss.api.common import ERRORS, Bngs, Cursor, Limit, Live, Pool, Text, actor
from oss.auth.principal import Operator, Principal, Viewer
from oss.config import NAME_PATTERN
from oss.domain import audit, sessions
from oss.domain.paging import Order, Page
from oss.domain.sessions import ActiveSort, Filter, HistorySort, PastSession, Session, Status

log = structlog.get_logger()
router = APIRouter(prefix="/api/sessions", tags=["sessions"], responses=ERRORS)


class Disconnect(BaseModel):
    model_config = ConfigDict(extra="forbid")
    reason: Annotated[str, Field(max_length=255)] = "disconnected by the operator"


class SetProfile(BaseModel):
    model_config = ConfigDict(extra="forbid")
    profile: str = Field(pattern=NAME_PATTERN, max_length=64)


@router.get("")
async def list_sessions(
    pool: Pool,
    hub: Live,
    _: Viewer,
    bng_id: Text = None,
    remote_id: Text = None,
    circuit_id: Text = None,
    customer_id: int | None = None,
    status: Annotated[list[Status] | None, Query()] = None,
    profile: Text = None,
    q: Text = None,
    sort: ActiveSort = "started",
    order: Order = "desc",
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Session]:
    """Live sessions. `q` looks in user name, addresses, session id, access line and customer name."""
    criteria = Filter(
        bng_id=bng_id,
        remote_id=remote_id,
        circuit_id=circuit_id,
        customer_id=customer_id,
        status=status,
        profile=profile,
        q=q,
    )
    page = await sessions.active(pool, criteria, sort, order, limit, cursor)
    for session in page.items:
        known = hub.board.sessions.get((session.bng_id, session.session_id))
        if known is not None:
            session.in_rate, session.out_rate = known.in_rate, known.out_rate
    return page


@router.get("/history")
async def list_history(
    pool: Pool,
    _: Viewer,
    bng_id: Text = None,
    remote_id: Text = None,
    circuit_id: Text = None,
    customer_id: int | None = None,
    q: Text = None,
    since: datetime | None = None,
    until: datetime | None = None,
    sort: HistorySort = "stopped",
    order: Order = "desc",
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[PastSession]:
    """Sessions that have ended; `since` and `until` restrict when."""
    criteria = Filter(
        bng_id=bng_id,
        remote_id=remote_id,
        circuit_id=circuit_id,
        customer_id=customer_id,
        q=q,
        since=since,
        until=until,
    )
    return await sessions.history(pool, criteria, sort, order, limit, cursor)


@router.get("/{bng_id}/{session_id}")
async def get_session(
    bng_id: str, session_id: str, pool: Pool, hub: Live, _: Viewer
) -> Session | PastSession:
    """One session, live or past, as the collector stored it."""
    session = await sessions.one(pool, bng_id, session_id)
    known = hub.board.sessions.get((bng_id, session_id))
    if isinstance(session, Session) and known is not None:
        session.in_rate, session.out_rate = known.in_rate, known.out_rate
    return session


@router.get("/{bng_id}/{session_id}/fresh")
async def get_fresh(bng_id: str, session_id: str, devices: Bngs, _: Viewer) -> dict[str, Any]:
    """The session as the BNG sees it at this moment (a filtered NETCONF get)."""
    return await devices.session(bng_id, session_id)


@router.post("/{bng_id}/{session_id}/disconnect", status_code=204)
async def disconnect(
    request: Request,
    bng_id: str,
    session_id: str,
    pool: Pool,
    devices: Bngs,
    principal: Operator,
    body: Disconnect | None = None,
) -> None:
    """End the session now; live flows are cut."""
    reason = (body or Disconnect()).reason
    await devices.session_action(bng_id, session_id, "disconnect", reason=reason)
    await _record(request, pool, principal, "disconnect", bng_id, session_id, {"reason": reason})


@router.post("/{bng_id}/{session_id}/reauthenticate", status_code=204)
async def reauthenticate(
    request: Request, bng_id: str, session_id: str, pool: Pool, devices: Bngs, principal: Operator
) -> None:
    """Have the BNG ask RADIUS again, without interruption."""
    await devices.session_action(bng_id, session_id, "reauthenticate")
    await _record(request, pool, principal, "reauthenticate", bng_id, session_id, {})


@router.post("/{bng_id}/{session_id}/set-profile", status_code=204)
async def set_profile(
    request: Request,
    bng_id: str,
    session_id: str,
    body: SetProfile,
    pool: Pool,
    devices: Bngs,
    principal: Operator,
) -> None:
    """Shape the session by another profile, until RADIUS says otherwise."""
    await devices.session_action(bng_id, session_id, "set-profile", profile=body.profile)
    await _record(request, pool, principal, "set-profile", bng_id, session_id, body.model_dump())


async def _record(
    request: Request,
    pool: Pool,
    principal: Principal,
    action: str,
    bng_id: str,
    session_id: str,
    details: dict[str, Any],
) -> None:
    who = actor(request, principal)
    log.info(f"session.{action}", bng_id=bng_id, session_id=session_id, username=who.username)
    async with pool.acquire() as connection:
        await audit.record(connection, who, action, f"session:{bng_id}/{session_id}", after=details)
