"""Users and their API tokens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import asyncpg
from pydantic import BaseModel, ConfigDict, Field

from oss.auth.passwords import hash_password, verify_password
from oss.auth.principal import Principal, Role, digest, new_token
from oss.config import NAME_PATTERN
from oss.domain import audit
from oss.domain.errors import Conflict, Invalid, NotFound
from oss.domain.outbox import Actor

Password = Annotated[str, Field(min_length=8, max_length=256)]


class User(BaseModel):
    id: int
    username: str
    role: Role
    is_active: bool
    created: datetime
    last_login: datetime | None


class NewUser(BaseModel):
    model_config = ConfigDict(extra="forbid")
    username: str = Field(pattern=NAME_PATTERN, max_length=64)
    password: Password
    role: Role = "viewer"


class UserChange(BaseModel):
    model_config = ConfigDict(extra="forbid")
    role: Role | None = None
    is_active: bool | None = None
    password: Password | None = None


class Token(BaseModel):
    id: int
    name: str
    role: Role
    username: str
    created: datetime
    expires: datetime | None
    last_used: datetime | None


class NewToken(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(pattern=NAME_PATTERN, max_length=64)
    role: Role = "viewer"
    days: int | None = Field(90, ge=1, le=3650, description="Days until it expires; null: never.")


class CreatedToken(Token):
    """The only answer that holds the secret: it is stored nowhere."""

    token: str


_USER = "id, username, role, is_active, created, last_login"


async def listing(pool: asyncpg.Pool) -> list[User]:
    return [User(**r) for r in await pool.fetch(f"SELECT {_USER} FROM users ORDER BY username LIMIT 5000")]  # noqa: S608


async def create(pool: asyncpg.Pool, user: NewUser, actor: Actor) -> User:
    """Add a user. Raises Conflict when the name is taken."""
    password_hash = await hash_password(user.password)
    async with pool.acquire() as connection, connection.transaction():
        try:
            row = await connection.fetchrow(
                f"INSERT INTO users (username, password_hash, role) VALUES ($1, $2, $3) RETURNING {_USER}",  # noqa: S608
                user.username,
                password_hash,
                user.role,
            )
        except asyncpg.UniqueViolationError as error:
            raise Conflict(f"There is a user {user.username} already.") from error
        await audit.record(connection, actor, "create", f"user:{user.username}", after={"role": user.role})
    return User(**row)


async def change(pool: asyncpg.Pool, user_id: int, change: UserChange, actor: Actor) -> User:
    """Change role, password or whether the user may log in; browser sessions of the user end.

    Raises:
        NotFound
        Conflict: nobody would be left to administer.
    """
    password_hash = await hash_password(change.password) if change.password else None
    async with pool.acquire() as connection, connection.transaction():
        # one at a time: two admins who demote each other must not both succeed
        await connection.execute("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE")
        before = await connection.fetchrow(f"SELECT {_USER} FROM users WHERE id = $1", user_id)  # noqa: S608
        if before is None:
            raise NotFound(f"There is no user {user_id}.")
        row = await connection.fetchrow(
            "UPDATE users SET role = coalesce($2, role), is_active = coalesce($3, is_active), "  # noqa: S608
            f"password_hash = coalesce($4, password_hash) WHERE id = $1 RETURNING {_USER}",
            user_id,
            change.role,
            change.is_active,
            password_hash,
        )
        if not await connection.fetchval("SELECT 1 FROM users WHERE role = 'admin' AND is_active LIMIT 1"):
            raise Conflict("This is the last active admin.")
        await connection.execute("DELETE FROM web_sessions WHERE user_id = $1", user_id)
        await audit.record(connection, actor, "change", f"user:{row['username']}", before=before, after=row)
    return User(**row)


async def change_own_password(
    pool: asyncpg.Pool, principal: Principal, current: str, new: str, keep: bytes, actor: Actor
) -> None:
    """Change one's own password; all other browser sessions of the user end.

    Args:
        keep: digest of the cookie of the session that stays.
    """
    stored = await pool.fetchval("SELECT password_hash FROM users WHERE id = $1", principal.user_id)
    if not await verify_password(stored, current):
        raise Invalid("current_password: this is not your password.")
    password_hash = await hash_password(new)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(
            "UPDATE users SET password_hash = $2 WHERE id = $1", principal.user_id, password_hash
        )
        await connection.execute(
            "DELETE FROM web_sessions WHERE user_id = $1 AND token_hash <> $2", principal.user_id, keep
        )
        await audit.record(connection, actor, "change-password", f"user:{principal.username}")


_TOKEN = "t.id, t.name, t.role, u.username, t.created, t.expires, t.last_used"  # noqa: S105


async def tokens(pool: asyncpg.Pool, principal: Principal) -> list[Token]:
    """One's own tokens; an admin sees everyone's."""
    rows = await pool.fetch(
        f"SELECT {_TOKEN} FROM api_tokens t JOIN users u ON u.id = t.user_id "  # noqa: S608
        "WHERE $2 OR t.user_id = $1 ORDER BY t.id LIMIT 5000",
        principal.user_id,
        principal.may("admin"),
    )
    return [Token(**row) for row in rows]


async def create_token(pool: asyncpg.Pool, principal: Principal, new: NewToken, actor: Actor) -> CreatedToken:
    """Make an API token. Its role may not exceed its owner's."""
    if not principal.may(new.role):
        raise Invalid(f"role: yours is {principal.role}; a token cannot have more.")
    secret = new_token()
    expires = None if new.days is None else datetime.now(UTC) + timedelta(days=new.days)
    async with pool.acquire() as connection, connection.transaction():
        row = await connection.fetchrow(
            "WITH t AS (INSERT INTO api_tokens (token_hash, name, role, user_id, expires) "  # noqa: S608
            f"VALUES ($1, $2, $3, $4, $5) RETURNING *) "
            f"SELECT {_TOKEN} FROM t JOIN users u ON u.id = t.user_id",
            digest(secret),
            new.name,
            new.role,
            principal.user_id,
            expires,
        )
        await audit.record(connection, actor, "create", f"token:{row['id']}", after=new.model_dump())
    return CreatedToken(**row, token=secret)


async def revoke_token(pool: asyncpg.Pool, principal: Principal, token_id: int, actor: Actor) -> None:
    async with pool.acquire() as connection, connection.transaction():
        done = await connection.execute(
            "DELETE FROM api_tokens WHERE id = $1 AND ($3 OR user_id = $2)",
            token_id,
            principal.user_id,
            principal.may("admin"),
        )
        if done != "DELETE 1":
            raise NotFound(f"There is no token {token_id}.")
        await audit.record(connection, actor, "revoke", f"token:{token_id}")
