"""Plans."""

from __future__ import annotations

from fastapi import APIRouter, Request

from oss.api.common import DELIVERY_PATIENCE, ERRORS, Outbox, Pool, actor
from oss.auth.principal import Operator, Viewer
from oss.domain import plans
from oss.domain.outbox import Delivery
from oss.domain.plans import NewPlan, Plan, PlanChange

router = APIRouter(prefix="/api/plans", tags=["plans"], responses=ERRORS)


@router.get("")
async def list_plans(pool: Pool, _: Viewer) -> list[Plan]:
    return await plans.listing(pool)


@router.get("/{plan_id}")
async def get_plan(plan_id: int, pool: Pool, _: Viewer) -> Plan:
    return await plans.one(pool, plan_id)


@router.post("", status_code=201)
async def create_plan(
    request: Request, plan: NewPlan, pool: Pool, worker: Outbox, principal: Operator
) -> Plan:
    """Add a plan: a shaping profile on every BNG, or on none, and a RADIUS group.

    The answer's `deliveries` say how far that has come, and which BNG refused what.
    """
    plan_id, ids = await plans.create(pool, plan, actor(request, principal))
    await worker.settled(ids, DELIVERY_PATIENCE)
    return await plans.one(pool, plan_id)


@router.patch("/{plan_id}")
async def change_plan(
    request: Request, plan_id: int, change: PlanChange, pool: Pool, worker: Outbox, principal: Operator
) -> Plan:
    """Change a plan; live sessions follow."""
    await worker.settled(
        await plans.change(pool, plan_id, change, actor(request, principal)), DELIVERY_PATIENCE
    )
    return await plans.one(pool, plan_id)


@router.post("/{plan_id}/deliver")
async def deliver_plan(
    request: Request, plan_id: int, pool: Pool, worker: Outbox, principal: Operator
) -> Plan:
    """Send the plan to RADIUS and every BNG once more."""
    await worker.settled(await plans.deliver(pool, plan_id, actor(request, principal)), DELIVERY_PATIENCE)
    return await plans.one(pool, plan_id)


@router.delete("/{plan_id}")
async def delete_plan(
    request: Request, plan_id: int, pool: Pool, worker: Outbox, principal: Operator
) -> list[Delivery]:
    """Remove a plan that no service has used; the answer says how far that has come."""
    ids = await plans.delete(pool, plan_id, actor(request, principal))
    return await worker.settled(ids, DELIVERY_PATIENCE)
