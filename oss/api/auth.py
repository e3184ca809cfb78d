"""Login, logout, who am I; users and API tokens."""

from __future__ import annotations

import time
from typing import Annotated

import structlog
from fastapi import APIRouter, HTTPException, Request, Response
from pydantic import BaseModel, Field

from oss.api.common import ERRORS, Pool, actor
from oss.auth import principal as principals
from oss.auth.passwords import verify_password
from oss.auth.principal import COOKIE, Admin, Operator, Role, Viewer
from oss.auth.throttle import Throttle
from oss.domain import users
from oss.domain.users import CreatedToken, NewToken, NewUser, Password, Token, User, UserChange

log = structlog.get_logger()
router = APIRouter(prefix="/api", responses=ERRORS)


class Login(BaseModel):
    username: Annotated[str, Field(max_length=64)]
    password: Annotated[str, Field(max_length=256)]


class Me(BaseModel):
    """Who is logged in. `csrf_token` goes into the X-CSRF-Token header of every write."""

    username: str
    role: Role
    csrf_token: str | None


class PasswordChange(BaseModel):
    current_password: Annotated[str, Field(max_length=256)]
    new_password: Password


@router.post("/auth/login", tags=["auth"])
async def login(request: Request, response: Response, credentials: Login, pool: Pool) -> Me:
    """Open a browser session: sets an HttpOnly cookie. Repeated failures must wait (429)."""
    throttle: Throttle = request.app.state.throttle
    address = request.client.host if request.client else "?"
    keys = [f"address:{address}", f"user:{credentials.username.lower()}"]
    wait = throttle.wait(keys, time.monotonic())
    if wait > 0:
        raise HTTPException(
            429,
            f"Too many failed logins; try again in {int(wait) + 1} s.",
            headers={"Retry-After": str(int(wait) + 1)},
        )
    row = await pool.fetchrow(
        "SELECT id, username, role, password_hash FROM users WHERE username = $1 AND is_active",
        credentials.username,
    )
    if not await verify_password(row["password_hash"] if row else None, credentials.password):
        throttle.failed(keys, time.monotonic())
        log.warning("auth.login_failed", address=address)
        raise HTTPException(401, "User name or password is wrong.")
    throttle.succeeded(keys)
    async with pool.acquire() as connection, connection.transaction():
        cookie = await principals.open_session(
            connection, row["id"], address, request.headers.get("user-agent", "")
        )
        await connection.execute("UPDATE users SET last_login = now() WHERE id = $1", row["id"])
    response.set_cookie(
        COOKIE,
        cookie,
        max_age=int(principals.SESSION_LIFETIME.total_seconds()),
        httponly=True,
        samesite="strict",
        secure=request.app.state.config.secure_cookie,
    )
    return Me(username=row["username"], role=row["role"], csrf_token=principals.csrf_token(cookie))


@router.post("/auth/logout", tags=["auth"], status_code=204)
async def logout(request: Request, response: Response, pool: Pool, _: Viewer) -> None:
    """End this browser session."""
    cookie = request.cookies.get(COOKIE)
    if cookie:
        async with pool.acquire() as connection:
            await principals.close_session(connection, cookie)
    response.delete_cookie(COOKIE)


@router.get("/auth/me", tags=["auth"])
async def me(principal: Viewer) -> Me:
    """Who is logged in."""
    return Me(username=principal.username, role=principal.role, csrf_token=principal.csrf_token)


@router.post("/auth/password", tags=["auth"], status_code=204)
async def change_password(request: Request, change: PasswordChange, pool: Pool, principal: Viewer) -> None:
    """Change one's own password; one's other browser sessions end."""
    cookie = request.cookies.get(COOKIE)
    if principal.csrf_token is None or cookie is None:
        raise HTTPException(403, "A password is changed from a browser session, not with an API token.")
    await users.change_own_password(
        pool,
        principal,
        change.current_password,
        change.new_password,
        principals.digest(cookie),
        actor(request, principal),
    )


@router.get("/users", tags=["users"])
async def list_users(pool: Pool, _: Admin) -> list[User]:
    return await users.listing(pool)


@router.post("/users", tags=["users"], status_code=201)
async def create_user(request: Request, user: NewUser, pool: Pool, principal: Admin) -> User:
    return await users.create(pool, user, actor(request, principal))


@router.patch("/users/{user_id}", tags=["users"])
async def change_user(
    request: Request, user_id: int, change: UserChange, pool: Pool, principal: Admin
) -> User:
    """Change role or password, or lock a user out; the user's browser sessions end."""
    return await users.change(pool, user_id, change, actor(request, principal))


@router.get("/tokens", tags=["tokens"])
async def list_tokens(pool: Pool, principal: Viewer) -> list[Token]:
    """One's own API tokens; an admin sees everyone's."""
    return await users.tokens(pool, principal)


@router.post("/tokens", tags=["tokens"], status_code=201)
async def create_token(request: Request, token: NewToken, pool: Pool, principal: Operator) -> CreatedToken:
    """Make an API token; this answer is the only one that shows it."""
    return await users.create_token(pool, principal, token, actor(request, principal))


@router.delete("/tokens/{token_id}", tags=["tokens"], status_code=204)
async def revoke_token(request: Request, token_id: int, pool: Pool, principal: Viewer) -> None:
    await users.revoke_token(pool, principal, token_id, actor(request, principal))
