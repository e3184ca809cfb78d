"""The console's files, and what every answer carries: security headers, caching, a request id."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

import structlog
from fastapi import FastAPI
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger()

DIST = Path(__file__).parent / "console" / "dist"
MAX_BODY = 1_048_576
"""Octets of a request body; the largest that makes sense is a few kilobytes."""

_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
"""Inline style attributes are what measured virtual rows and charts position themselves with."""
_HEADERS = {
    "Content-Security-Policy": _CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_NOT_BUILT = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Aether</title>
<body style="font:16px/1.5 system-ui;max-width:36rem;margin:15vh auto;padding:0 1rem">
<h1>The console is not built</h1>
<p>The API works. To build the console, run in <code>oss/console</code>:</p>
<pre>npm ci
npm run build</pre><p>and reload this page; the server need not be restarted.</p></body></html>"""


class Envelope:
    """ASGI middleware: request id, security headers, a bound on bodies, one log line per API request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        began = time.monotonic()
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers["X-Request-Id"] = request_id
                if scope["path"].startswith("/api"):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        if _too_large(scope):
            await JSONResponse({"detail": "The request is too large."}, 413)(scope, receive, answer)
        else:
            try:
                await self._app(scope, _bounded(receive), answer)
            except Exception as error:
                log.error("http.unexpected", path=scope["path"], request_id=request_id, exc_info=error)
                if status:
                    raise  # the answer is under way: all that is left is to break off
                detail = "Something went wrong on our side; the log has the request's id."
                problem = JSONResponse({"detail": detail, "request_id": request_id}, 500)
                await problem(scope, receive, answer)
        if scope["path"].startswith("/api"):
            log.info(
                "http.request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                ms=round((time.monotonic() - began) * 1000, 1),
                request_id=request_id,
            )


def _too_large(scope: Scope) -> bool:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return not value.isdigit() or int(value) > MAX_BODY
    return False


def _bounded(receive: Receive) -> Receive:
    """A body without content-length ends the connection when it grows too large."""
    received = 0

    async def bounded() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        return {"type": "http.disconnect"} if received > MAX_BODY else message

    return bounded


def _inside(folder: Path, path: str) -> Path | None:
    """The file of this name, if it is one and lies within the folder."""
    try:
        file = (folder / path).resolve()
        return file if file.is_relative_to(folder.resolve()) and file.is_file() else None
    except (OSError, ValueError):  # a name that no file can have: too long, or with a NUL
        return None


def serve_console(app: FastAPI, dist: Path = DIST) -> None:
    """Serve the built console: hashed assets for ever, the page itself always fresh."""

    @app.get("/{path:path}", include_in_schema=False)
    async def console(path: str) -> Response:
        if path.startswith("api/") or path == "api":
            return JSONResponse({"detail": f"There is no /{path}."}, 404)
        index = _inside(dist, "index.html")
        if index is None:
            return HTMLResponse(_NOT_BUILT, 503, headers={"Cache-Control": "no-store"})
        file = _inside(dist, path)
        if file is not None:
            hashed = path.startswith("assets/")  # Vite puts a digest into these names
            cache = "public, max-age=31536000, immutable" if hashed else "no-cache"
            return FileResponse(file, headers={"Cache-Control": cache})
        if path.startswith("assets/"):
            return Response("Not found", 404, media_type="text/plain")
        return FileResponse(index, headers={"Cache-Control": "no-cache"})
