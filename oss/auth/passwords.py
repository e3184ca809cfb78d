"""Passwords: argon2id, in a thread, few at a time."""

from __future__ import annotations

import asyncio

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)  # OWASP's minimum for argon2id
_nobody = _hasher.hash("nobody has this password")
_at_once = asyncio.Semaphore(2)
"""A burst of logins must not take all cores and 19 MiB each."""


async def hash_password(password: str) -> str:
    async with _at_once:
        return await asyncio.to_thread(_hasher.hash, password)


def _verify(stored: str, password: str) -> bool:
    try:
        return _hasher.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


async def verify_password(stored: str | None, password: str) -> bool:
    """Whether it is the password. Takes as long for a user who does not exist (stored is None)."""
    async with _at_once:
        matches = await asyncio.to_thread(_verify, stored or _nobody, password)
    return matches and stored is not None
