"""One change on several BNGs: all of them keep it, or none does.

Every candidate is locked, edited and validated; then all commit with a time limit (RFC 6241 section 8.4);
then all are confirmed. If one fails before the confirmation, the others take the change back at once, and if
this process dies, the limit does it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Literal, Protocol

import structlog
from pydantic import BaseModel

from nbi.client import NetconfConnectionError, NetconfError

log = structlog.get_logger()

CONFIRM_TIMEOUT = 60
"""Seconds after which a BNG that was not confirmed takes the change back."""


class BngResult(BaseModel):
    """What became of the change on one BNG."""

    bng_id: str
    state: Literal["applied", "refused", "unreachable", "rolled-back"]
    message: str = ""


class CandidateSession(Protocol):
    """What `oss.device.Candidate` offers; each method raises `NetconfError`."""

    bng_id: str

    async def prepare(self, edit: str) -> None: ...
    async def commit(self) -> None: ...
    async def commit_confirmed(self, persist: str, timeout: int) -> None: ...
    async def confirm(self, persist: str) -> None: ...
    async def cancel(self, persist: str) -> None: ...
    async def discard(self) -> None: ...
    async def close(self) -> None: ...


Failures = dict[str, NetconfError]


async def apply(edits: Mapping[str, str], candidate: Callable[[str], CandidateSession]) -> list[BngResult]:
    """Carry out `edits` (BNG → content of edit-config) on all of these BNGs or on none.

    Returns one result per BNG, in the order of their names. All are ``applied``, or none is, with one
    exception that is reported as such: a BNG that is lost between commit and confirmation.
    """
    sessions = [candidate(bng_id) for bng_id in sorted(edits)]
    try:
        failures, kept = await _transaction(sessions, edits)
    finally:
        await asyncio.gather(*(session.close() for session in sessions))
    return [_result(session.bng_id, failures, kept) for session in sessions]


async def _transaction(sessions: list[CandidateSession], edits: Mapping[str, str]) -> tuple[Failures, bool]:
    """Who failed, and whether the others keep the change all the same."""
    failures = await _each(sessions, lambda s: s.prepare(edits[s.bng_id]))
    if failures:
        await _each(sessions, lambda s: s.discard())
        return failures, False
    if len(sessions) == 1:
        return await _each(sessions, lambda s: s.commit()), False
    persist = secrets.token_hex(16)
    failures = await _each(sessions, lambda s: s.commit_confirmed(persist, CONFIRM_TIMEOUT))
    if failures:
        # a BNG whose answer was lost may have committed all the same: ask each of them to take it back
        await _each(sessions, lambda s: s.cancel(persist))
        return failures, False
    return await _each(sessions, lambda s: _confirm(s, persist)), True


async def _confirm(session: CandidateSession, persist: str) -> None:
    """Confirm, over a new session if the old one was lost meanwhile."""
    with suppress(NetconfConnectionError):
        await session.confirm(persist)
        return
    await session.confirm(persist)


async def _each(
    sessions: list[CandidateSession], step: Callable[[CandidateSession], Awaitable[None]]
) -> Failures:
    """Take a step on all BNGs at once; answers who failed, and how."""
    outcomes = await asyncio.gather(*(step(session) for session in sessions), return_exceptions=True)
    failures: Failures = {}
    for session, outcome in zip(sessions, outcomes, strict=True):
        if isinstance(outcome, NetconfError):
            failures[session.bng_id] = outcome
            log.warning("network.step_failed", bng_id=session.bng_id, error=outcome.message, tag=outcome.tag)
        elif isinstance(outcome, BaseException):
            raise outcome
    return failures


def _result(bng_id: str, failures: Failures, kept: bool) -> BngResult:
    if not failures or (kept and bng_id not in failures):
        return BngResult(bng_id=bng_id, state="applied")
    if bng_id not in failures:
        return BngResult(bng_id=bng_id, state="rolled-back", message="not kept, because another BNG failed")
    error = failures[bng_id]
    if isinstance(error, NetconfConnectionError):
        return BngResult(bng_id=bng_id, state="unreachable", message=error.message)
    where = f" (at {error.path})" if error.path else ""
    return BngResult(bng_id=bng_id, state="refused", message=error.message + where)
