"""Who makes a request: a user with a browser session, or the holder of an API token.

A browser proves itself with a cookie that scripts cannot read (HttpOnly, SameSite=Strict) and, when it
writes, with a CSRF token that only a page of the same origin can have obtained. Only SHA-256 digests of
cookies and tokens are stored.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import Depends, HTTPException, Request

from oss.database import Connection

Role = Literal["viewer", "operator", "admin"]

COOKIE = "aether_session"
CSRF_HEADER = "X-CSRF-Token"
TOKEN_PREFIX = "aeth_"  # noqa: S105 - tells our tokens from others in logs and secret scanners
SESSION_LIFETIME = timedelta(days=7)
SESSION_IDLE = timedelta(hours=12)

_RANK: dict[str, int] = {"viewer": 0, "operator": 1, "admin": 2}
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: `username` for the audit log, `role` for what is allowed."""

    user_id: int
    username: str
    role: Role
    csrf_token: str | None = None
    """Of a browser session; None for an API token."""

    def may(self, role: Role) -> bool:
        return _RANK[self.role] >= _RANK[role]


def digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def csrf_token(cookie: str) -> str:
    """Derived from the cookie, so that nothing more is stored; the cookie cannot be derived from it."""
    return hmac.new(cookie.encode(), b"csrf", hashlib.sha256).hexdigest()


def new_token() -> str:
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


async def open_session(connection: Connection, user_id: int, address: str, user_agent: str) -> str:
    """Make a browser session; answers the cookie's value. Expired sessions are removed by the way."""
    await connection.execute("DELETE FROM web_sessions WHERE expires < now()")
    cookie = secrets.token_urlsafe(32)
    await connection.execute(
        "INSERT INTO web_sessions (token_hash, user_id, expires, address, user_agent) "
        "VALUES ($1, $2, $3, $4, $5)",
        digest(cookie),
        user_id,
        datetime.now(UTC) + SESSION_LIFETIME,
        address,
        user_agent[:300],
    )
    return cookie


async def close_session(connection: Connection, cookie: str) -> None:
    await connection.execute("DELETE FROM web_sessions WHERE token_hash = $1", digest(cookie))


async def _by_cookie(connection: Connection, cookie: str) -> Principal | None:
    row = await connection.fetchrow(
        "SELECT u.id, u.username, u.role, s.last_seen FROM web_sessions s JOIN users u ON u.id = s.user_id "
        "WHERE s.token_hash = $1 AND s.expires > now() AND s.last_seen > now() - $2::interval "
        "AND u.is_active",
        digest(cookie),
        SESSION_IDLE,
    )
    if row is None:
        return None
    if datetime.now(UTC) - row["last_seen"] > timedelta(minutes=5):  # not a write per request
        await connection.execute(
            "UPDATE web_sessions SET last_seen = now() WHERE token_hash = $1", digest(cookie)
        )
    return Principal(row["id"], row["username"], row["role"], csrf_token(cookie))


async def _by_token(connection: Connection, token: str) -> Principal | None:
    row = await connection.fetchrow(
        "SELECT t.id, t.name, t.role, t.last_used, u.id AS user_id, u.username, u.role AS user_role "
        "FROM api_tokens t JOIN users u ON u.id = t.user_id "
        "WHERE t.token_hash = $1 AND (t.expires IS NULL OR t.expires > now()) AND u.is_active",
        digest(token),
    )
    if row is None:
        return None
    if row["last_used"] is None or datetime.now(UTC) - row["last_used"] > timedelta(minutes=5):
        await connection.execute("UPDATE api_tokens SET last_used = now() WHERE id = $1", row["id"])
    role = min(row["role"], row["user_role"], key=lambda each: _RANK[each])  # never above its owner
    return Principal(row["user_id"], f"{row['username']} (token {row['name']})", role)


async def authenticate(request: Request) -> Principal:
    """The dependency of every router but login: answers the principal.

    Raises:
        HTTPException: 401 without valid credentials, 403 when a browser writes without its CSRF token.
    """
    pool = request.app.state.pool
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        async with pool.acquire() as connection:
            principal = await _by_token(connection, token.strip())
        if principal is None:
            raise HTTPException(401, "This API token is unknown, expired or revoked.")
        return principal
    cookie = request.cookies.get(COOKIE)
    if cookie is None:
        raise HTTPException(401, "Log in first, or send an API token (Authorization: Bearer …).")
    async with pool.acquire() as connection:
        principal = await _by_cookie(connection, cookie)
    if principal is None:
        raise HTTPException(401, "Your session has ended; log in again.")
    if request.method not in _SAFE_METHODS and not hmac.compare_digest(
        request.headers.get(CSRF_HEADER, "").encode(), csrf_token(cookie).encode()
    ):
        raise HTTPException(403, f"The {CSRF_HEADER} header is missing or wrong; reload the page.")
    return principal


def require(role: Role) -> Callable[..., Awaitable[Principal]]:
    """A dependency that admits this role and those above it."""

    async def check(principal: Annotated[Principal, Depends(authenticate)]) -> Principal:
        if not principal.may(role):
            raise HTTPException(403, f"This needs the role {role}; you are {principal.role}.")
        return principal

    return check


Viewer = Annotated[Principal, Depends(require("viewer"))]
Operator = Annotated[Principal, Depends(require("operator"))]
Admin = Annotated[Principal, Depends(require("admin"))]
