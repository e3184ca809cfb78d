"""What is on its way to RADIUS and the BNGs, and who changed what."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter

from oss.api.common import ERRORS, Cursor, Limit, Outbox, Pool, Text
from oss.auth.principal import Operator, Viewer
from oss.domain import audit, outbox
from oss.domain.audit import AuditEntry
from oss.domain.errors import NotFound
from oss.domain.outbox import Delivery
from oss.domain.paging import Page

router = APIRouter(prefix="/api", responses=ERRORS)


@router.get("/deliveries", tags=["deliveries"])
async def list_deliveries(
    pool: Pool,
    _: Viewer,
    state: Literal["pending", "delivered"] | None = None,
    subject: Text = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Delivery]:
    """The outbox, newest first."""
    return await outbox.listing(pool, state, subject, limit, cursor)


@router.post("/deliveries/{delivery_id}/retry", tags=["deliveries"], status_code=202)
async def retry_delivery(delivery_id: int, pool: Pool, worker: Outbox, _: Operator) -> None:
    """Try a pending delivery now instead of at its time."""
    if not await outbox.retry(pool, delivery_id):
        raise NotFound(f"There is no pending delivery {delivery_id}.")
    worker.wake()


@router.get("/audit", tags=["audit"])
async def list_audit(
    pool: Pool,
    _: Viewer,
    username: Text = None,
    object: Text = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[AuditEntry]:
    """Who changed what, newest first."""
    return await audit.listing(pool, username, object, limit, cursor)
