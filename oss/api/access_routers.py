"""Access routers and their ports."""

from __future__ import annotations

from fastapi import APIRouter

from oss.api.common import ERRORS, Pool, Text
from oss.auth.principal import Viewer
from oss.domain import elements
from oss.domain.elements import AccessRouter, Port

router = APIRouter(prefix="/api/access-routers", tags=["access-routers"], responses=ERRORS)


@router.get("")
async def list_access_routers(pool: Pool, _: Viewer, bng_id: Text = None) -> list[AccessRouter]:
    """Access routers that are intended here or that a BNG has seen."""
    return await elements.access_routers(pool, bng_id)


@router.get("/{bng_id}/{remote_id}/ports")
async def list_ports(bng_id: str, remote_id: str, pool: Pool, _: Viewer) -> list[Port]:
    """Every subscriber port, free or occupied."""
    return await elements.ports(pool, bng_id, remote_id)
