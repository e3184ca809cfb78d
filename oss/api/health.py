"""Whether this process works, and the figures of the overview."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from oss.api.common import ERRORS, Bngs, Live, Pool
from oss.auth.principal import Viewer
from oss.database import UNAVAILABLE
from oss.domain import elements
from oss.domain.elements import Stats

router = APIRouter(responses={})


class Healthz(BaseModel):
    """`live`: whether database notifications are followed."""

    database: Literal["up", "down"]
    live: bool


@router.get("/healthz", tags=["health"])
async def healthz(response: Response, pool: Pool, hub: Live) -> Healthz:
    """200 when the database answers, else 503. Needs no login and tells nothing else."""
    try:
        await pool.fetchval("SELECT 1", timeout=3)
    except UNAVAILABLE:
        response.status_code = 503
        return Healthz(database="down", live=False)
    return Healthz(database="up", live=hub.ready.is_set())


@router.get("/api/stats", tags=["stats"], responses=ERRORS)
async def get_stats(pool: Pool, devices: Bngs, _: Viewer) -> Stats:
    """The figures of the overview's cards."""
    return await elements.stats(pool, devices.ids)
