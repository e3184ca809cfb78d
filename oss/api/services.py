"""Services."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from oss.api.common import DELIVERY_PATIENCE, ERRORS, Cursor, Limit, Outbox, Pool, Text, actor
from oss.auth.principal import Operator, Viewer
from oss.domain import services
from oss.domain.paging import Order, Page
from oss.domain.services import NewService, Service, ServiceChange, ServiceFilter, ServiceSort, ServiceStatus

router = APIRouter(prefix="/api/services", tags=["services"], responses=ERRORS)


@router.get("")
async def list_services(
    pool: Pool,
    _: Viewer,
    q: Text = None,
    status: Annotated[list[ServiceStatus] | None, Query()] = None,
    customer_id: int | None = None,
    plan_id: int | None = None,
    bng_id: Text = None,
    remote_id: Text = None,
    sort: ServiceSort = "created",
    order: Order = "desc",
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Service]:
    criteria = ServiceFilter(
        q=q, status=status, customer_id=customer_id, plan_id=plan_id, bng_id=bng_id, remote_id=remote_id
    )
    return await services.listing(pool, criteria, sort, order, limit, cursor)


@router.get("/{service_id}")
async def get_service(service_id: int, pool: Pool, _: Viewer) -> Service:
    return await services.one(pool, service_id)


@router.post("", status_code=201)
async def create_service(
    request: Request, service: NewService, pool: Pool, worker: Outbox, principal: Operator
) -> Service:
    """Put a plan on a port; a subscriber who waits there comes online at once."""
    service_id, ids = await services.create(pool, service, actor(request, principal))
    await worker.settled(ids, DELIVERY_PATIENCE)
    return await services.one(pool, service_id)


@router.patch("/{service_id}")
async def change_service(
    request: Request, service_id: int, change: ServiceChange, pool: Pool, worker: Outbox, principal: Operator
) -> Service:
    """Change the plan, suspend, resume or terminate; `disconnect` ends the live session too."""
    ids = await services.change(pool, service_id, change, actor(request, principal))
    await worker.settled(ids, DELIVERY_PATIENCE)
    return await services.one(pool, service_id)
