"""The application: parts put together, started and ended."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from oss.api import access_routers, auth, bngs, customers, deliveries, events, health, live, plans, services
from oss.api import sessions as sessions_api
from oss.api import traffic as traffic_api
from oss.auth.throttle import Throttle
from oss.config import Config
from oss.database import migrate, open_pool
from oss.device import Devices
from oss.domain.delivery import Worker
from oss.domain.errors import DomainError
from oss.domain.seed import seed
from oss.live import Hub
from oss.web import Envelope, serve_console

log = structlog.get_logger()

_ROUTERS = (
    *(auth, bngs, sessions_api, events, traffic_api, customers, plans, services, access_routers),
    *(deliveries, health, live),
)


def create_app(config: Config | None = None) -> FastAPI:
    """The application. Without a configuration it only describes itself (OpenAPI)."""
    app = FastAPI(
        title="Aether OSS",
        version="0.1.0",
        summary="Customers, plans and services; sessions, events and traffic of all BNGs.",
        lifespan=_lifespan if config is not None else None,
        generate_unique_id_function=_operation_id,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.config = config
    app.state.throttle = Throttle()
    for module in _ROUTERS:
        app.include_router(module.router)
    serve_console(app)
    app.add_middleware(Envelope)
    app.add_exception_handler(DomainError, _domain_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    for older in (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError):
        app.add_exception_handler(older, _no_tables)
    app.add_exception_handler(asyncpg.QueryCanceledError, _too_slow)
    app.add_exception_handler(asyncpg.DataError, _not_storable)
    for unavailable in (
        *(OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError),
        asyncpg.PostgresConnectionError,
    ):
        app.add_exception_handler(unavailable, _no_database)
    return app


def _operation_id(route: APIRoute) -> str:
    return route.name


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    config: Config = app.state.config
    await migrate(config.database)
    pool = await open_pool(config.database)
    devices = Devices(config.bngs)
    worker = Worker(pool, config.database, config.radius_database, config.radius_user_password, devices)
    hub = Hub(pool, config.database)
    app.state.pool, app.state.devices, app.state.worker, app.state.hub = pool, devices, worker, hub
    await seed(pool, config)
    tasks = [asyncio.create_task(worker.run()), asyncio.create_task(hub.run())]
    for task in tasks:
        task.add_done_callback(_end_with)
    log.info("oss.ready", bngs=devices.ids)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks)
        await devices.close()
        try:
            await asyncio.wait_for(pool.close(), 5)
        except TimeoutError:
            pool.terminate()


def _end_with(task: asyncio.Task[None]) -> None:
    """Nobody would notice that deliveries or the live stream have ended: the process ends with them, and is
    started again by who watches it."""
    if not task.cancelled():
        log.critical("oss.task_ended", exc_info=task.exception())
        signal.raise_signal(signal.SIGTERM)


def _problem(request: Request, status: int, detail: str) -> JSONResponse:
    request_id = getattr(request.state, "request_id", None)
    return JSONResponse({"detail": detail, "request_id": request_id}, status)


async def _domain_error(request: Request, error: Exception) -> JSONResponse:
    return _problem(request, getattr(error, "status", 400), str(error))


async def _validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    parts = []
    for each in error.errors()[:5]:
        where = ".".join(str(part) for part in each["loc"][1:]) or "body"
        parts.append(f"{where}: {each['msg']}")
    return _problem(request, 422, "; ".join(parts))


async def _no_tables(request: Request, _: Exception) -> JSONResponse:
    return _problem(
        request, 503, "The collector has not made its tables yet; start it (aether collector run)."
    )


async def _too_slow(request: Request, _: Exception) -> JSONResponse:
    return _problem(request, 503, "The database took too long; ask for less, or try again.")


async def _not_storable(request: Request, _: Exception) -> JSONResponse:
    """NUL in a text, or a number beyond a bigint: valid JSON that no column takes."""
    return _problem(request, 422, "A value is out of range, or has a character that cannot be stored.")


async def _no_database(request: Request, error: Exception) -> JSONResponse:
    log.warning("database.unavailable", error=str(error), path=request.url.path)
    return _problem(request, 503, "The database cannot be reached; try again in a moment.")
