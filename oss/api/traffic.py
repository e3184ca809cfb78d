"""Traffic over time."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from oss.api.common import ERRORS, Pool, Text
from oss.auth.principal import Viewer
from oss.domain import traffic
from oss.domain.traffic import Range, TrafficSeries

router = APIRouter(prefix="/api/traffic", tags=["traffic"], responses=ERRORS)

Bucket = Annotated[
    int | None, Query(ge=5, le=3600, description="Seconds per point; by default from the range")
]


@router.get("")
async def get_traffic(
    pool: Pool,
    _: Viewer,
    range: Range = "1h",
    bucket: Bucket = None,
    bng_id: Text = None,
    session_id: Text = None,
    remote_id: Text = None,
    customer_id: int | None = None,
) -> TrafficSeries:
    """Mean rates per bucket, computed from counters: right across restarts and missing samples."""
    return await traffic.series(
        pool,
        range,
        bucket,
        bng_id=bng_id,
        session_id=session_id,
        remote_id=remote_id,
        customer_id=customer_id,
    )
