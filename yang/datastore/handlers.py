"""Those who must agree to a configuration: all of them put it in force, or none does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, Final, TypeVar

import structlog

from yang.provider import ConfigDiff, ConfigHandler, OperationError

T = TypeVar("T")
Prepared = list[tuple[ConfigHandler, Any]]

WITHIN: Final = 120.0
"""Seconds that a handler has for each step. One that never answers must not keep all commits waiting."""
NOT_UNDONE: Final = (
    "a part of the element could not be set back to the running configuration, and will be when it can"
)

log = structlog.get_logger()


class Handlers:
    """The config handlers of an element, called one after the other.

    Args:
        within: seconds for each step of each.
    """

    def __init__(self, handlers: Sequence[ConfigHandler], within: float = WITHIN) -> None:
        self._handlers = handlers
        self.within = within

    async def prepare(self, diff: ConfigDiff) -> Prepared:
        """Ask all.

        Raises:
            OperationError: one refuses, or fails; those that had agreed are told to forget it.
        """
        prepared: Prepared = []
        for handler in self._handlers:
            try:
                prepared.append((handler, await self._timed(handler.prepare(diff), "prepare")))
            except OperationError:
                await self.abort(prepared)
                raise
            except Exception as error:
                await self.abort(prepared)
                log.error("config.prepare-failed", error=repr(error))
                raise OperationError(
                    "operation-failed", "the element failed to prepare this configuration"
                ) from error
        return prepared

    async def abort(self, prepared: Prepared) -> None:
        """Tell those that agreed to forget it. Never fails: what was only prepared is not in force."""
        for handler, token in reversed(prepared):
            try:
                await self._timed(handler.abort(token), "give up")
            except Exception as error:
                log.error("config.abort-failed", error=repr(error))

    async def commit(self, prepared: Prepared, diff: ConfigDiff) -> None:
        """Have all put it in force.

        Raises:
            OperationError: one could not. Those after it were told to forget it; it and those before it were
                set back, as far as they could be.
        """
        for position, (handler, token) in enumerate(prepared):
            try:
                await self._timed(handler.commit(token), "put in force")
            except Exception as error:
                log.error("config.commit-failed", error=repr(error))
                await self.abort(prepared[position + 1 :])
                undone = await self.undo([done for done, _ in prepared[: position + 1]], diff)
                raise _refusal(error, undone) from error

    async def undo(self, handlers: Sequence[ConfigHandler], diff: ConfigDiff) -> bool:
        """Have handlers go back, newest first, by a change the other way round. False when one could not."""
        back = ConfigDiff(diff.changed, diff.old, diff.new)
        undone = True
        for handler in reversed(handlers):
            try:
                token = await self._timed(handler.prepare(back), "prepare")
                await self._timed(handler.commit(token), "put in force")
            except Exception as error:
                log.error("config.undo-failed", error=repr(error))
                undone = False
        return undone

    async def _timed(self, work: Awaitable[T], what: str) -> T:
        try:
            return await asyncio.wait_for(work, self.within)
        except TimeoutError:
            raise OperationError(
                "operation-failed",
                f"a part of the element did not {what} this configuration within {self.within:g} s",
            ) from None


def _refusal(error: Exception, undone: bool) -> OperationError:
    """What the client is told of a failed commit."""
    state = "running is as it was before" if undone else f"running is as it was before; {NOT_UNDONE}"
    if isinstance(error, OperationError):
        return OperationError(
            error.tag,
            f"{error.message}; {state}",
            path=error.path,
            app_tag=error.app_tag,
            error_type=error.error_type,
            info=error.info,
        )
    return OperationError(
        "operation-failed", f"the element failed to put this configuration in force; {state}"
    )
