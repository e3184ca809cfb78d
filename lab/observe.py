"""What is really there: sessions as PostgreSQL has them, addresses as the kernel has them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import asyncpg

from lab.netns.inside import interface_address
from lab.topology import HOST_INTERFACE

_TIMEOUT = 3.0
_ONLINE = ("active", "idle")

Line = tuple[str, str, str]
"""BNG, remote-id, circuit-id."""


@dataclass(frozen=True)
class Session:
    """The collector's view of an access line."""

    address: str | None
    status: str
    profile: str | None


def sessions(dsn: str) -> dict[Line, Session]:
    """Sessions by access line; raises ObservationError."""
    try:
        return asyncio.run(asyncio.wait_for(_sessions(dsn), _TIMEOUT))
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise ObservationError(str(error) or type(error).__name__) from error


class ObservationError(Exception):
    """The database cannot be asked, or has no such table yet."""


async def _sessions(dsn: str) -> dict[Line, Session]:
    connection = await asyncpg.connect(dsn, timeout=_TIMEOUT)
    try:
        rows = await connection.fetch(
            "SELECT bng_id, remote_id, circuit_id, ip_address::text AS address, status::text, profile "
            "FROM sessions_active ORDER BY started NULLS FIRST"
        )
    finally:
        await connection.close(timeout=_TIMEOUT)
    return {
        (row["bng_id"], row["remote_id"], row["circuit_id"]): Session(
            row["address"] and row["address"].split("/")[0], row["status"], row["profile"]
        )
        for row in rows
    }


def subscriber_address(namespace: str) -> str | None:
    """The address of a subscriber's interface."""
    return interface_address(namespace, HOST_INTERFACE)


def profile(session: Session | None) -> str | None:
    """The profile by which a session is shaped now; None when nothing of it is forwarded."""
    return session.profile if session is not None and session.status in _ONLINE else None


def is_online(address: str | None, session: Session | None) -> bool:
    """The subscriber has the address of a session that forwards."""
    return (
        session is not None
        and address is not None
        and session.address == address
        and session.status in _ONLINE
    )


def offline_reason(address: str | None, session: Session | None) -> str:
    """Why a subscriber is not online, as far as can be seen from here."""
    if address is None:
        return "has no address: DHCP has not succeeded"
    if session is None:
        return f"has {address}, but there is no session in the database"
    if session.status not in _ONLINE:
        return f"has {address}, its session is {session.status}"
    return f"has {address}, but its session has {session.address}"
