"""What all routers share: access to the application's parts, paging parameters, errors."""

from __future__ import annotations

from typing import Annotated, cast

import asyncpg
from fastapi import Depends, Query, Request
from pydantic import BaseModel

from oss.auth.principal import Principal
from oss.device import Devices
from oss.domain.delivery import Worker
from oss.domain.outbox import Actor
from oss.domain.paging import MAX_LIMIT
from oss.live import Hub

DELIVERY_PATIENCE = 6.0
"""Seconds that an answer waits for the network, so that it can say how the delivery went."""


class Problem(BaseModel):
    """Why a request failed: a sentence for a person, and the request's id in the log."""

    detail: str
    request_id: str | None = None


ERRORS: dict[int | str, dict[str, object]] = {
    status: {"model": Problem, "description": text}
    for status, text in (
        (401, "Not logged in"),
        (403, "Not allowed"),
        (404, "No such thing"),
        (409, "In conflict with what is there, or refused by a BNG"),
        (422, "A value is wrong"),
        (502, "A BNG cannot be reached"),
        (503, "Not ready: the database, or the collector's tables"),
    )
}


def _pool(request: Request) -> asyncpg.Pool:
    return cast(asyncpg.Pool, request.app.state.pool)


def _devices(request: Request) -> Devices:
    return cast(Devices, request.app.state.devices)


def _worker(request: Request) -> Worker:
    return cast(Worker, request.app.state.worker)


def _hub(request: Request) -> Hub:
    return cast(Hub, request.app.state.hub)


Pool = Annotated[asyncpg.Pool, Depends(_pool)]
Bngs = Annotated[Devices, Depends(_devices)]
Outbox = Annotated[Worker, Depends(_worker)]
Live = Annotated[Hub, Depends(_hub)]
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Rows per page")]
Cursor = Annotated[str | None, Query(max_length=2000, description="next_cursor of the page before")]
Text = Annotated[str | None, Query(max_length=255)]


def actor(request: Request, principal: Principal) -> Actor:
    """On whose behalf, for audit log and outbox."""
    return Actor(principal.username, getattr(request.state, "request_id", None))
