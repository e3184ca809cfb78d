"""BNGs and their health."""

from __future__ import annotations

from fastapi import APIRouter

from oss.api.common import ERRORS, Bngs, Pool
from oss.api.traffic import Bucket
from oss.auth.principal import Viewer
from oss.domain import elements
from oss.domain.elements import Bng, HealthSeries
from oss.domain.traffic import Range

router = APIRouter(prefix="/api/bngs", tags=["bngs"], responses=ERRORS)


@router.get("")
async def list_bngs(pool: Pool, devices: Bngs, _: Viewer) -> list[Bng]:
    """All BNGs with their telemetry state and last health report."""
    return await elements.bngs(pool, devices.ids)


@router.get("/{bng_id}")
async def get_bng(bng_id: str, pool: Pool, devices: Bngs, _: Viewer) -> Bng:
    return await elements.bng(pool, devices.ids, bng_id)


@router.get("/{bng_id}/health")
async def get_health(
    bng_id: str, pool: Pool, devices: Bngs, _: Viewer, range: Range = "1h", bucket: Bucket = None
) -> HealthSeries:
    """Health over time."""
    await elements.bng(pool, devices.ids, bng_id)
    return await elements.health_series(pool, bng_id, range, bucket)
