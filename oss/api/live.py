"""One stream of everything that changes, per browser."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi import APIRouter, HTTPException
from fastapi.responses import StreamingResponse

from oss.api.common import ERRORS, Live
from oss.auth.principal import Viewer
from oss.live import MAX_SUBSCRIBERS, Hub, TooManySubscribers, stream

router = APIRouter(prefix="/api/live", tags=["live"], responses=ERRORS)


@router.get("", response_class=StreamingResponse)
async def live(hub: Live, _: Viewer) -> StreamingResponse:
    """Server-sent events: a snapshot of the live sessions, then what changes (see `oss.live.stream`)."""
    if hub.subscribers >= MAX_SUBSCRIBERS:
        raise HTTPException(503, "Too many browsers follow already; try again later.")
    return StreamingResponse(
        _follow(hub),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _follow(hub: Hub) -> AsyncIterator[bytes]:
    try:
        with hub.subscribe() as subscriber:
            async for chunk in stream(hub, subscriber):
                yield chunk
    except TooManySubscribers:  # between the check and the first byte others were faster
        return
