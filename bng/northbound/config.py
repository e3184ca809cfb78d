"""Configuration on its way down: what a commit changes goes to control, which must agree."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog

from bng.seam.command import CommandClient
from bng.units import Units, difference, digest, empty_units, units_of
from yang.provider import ConfigDiff, OperationError

log = structlog.get_logger()

_WITHIN = 60.0
"""Seconds that control has to put a configuration in force."""
_AGAIN = 1.0
"""Seconds between two attempts to agree with a control that does not answer."""


@dataclass(frozen=True, slots=True)
class _Token:
    """A change that control has prepared under a number, and all units after it."""

    number: int
    new: Units


class ConfigHandler:
    """The element's `yang.provider.ConfigHandler`.

    Args:
        running: the units of the running configuration.
    """

    def __init__(self, control: CommandClient, running: Callable[[], Units]) -> None:
        self._control = control
        self._running = running
        self._turn = asyncio.Lock()
        self._agreed: Units | None = None
        self._recovery: asyncio.Task[None] | None = None

    async def prepare(self, diff: ConfigDiff) -> Any:
        """Have control check the change. None when it concerns nothing of control's.

        Raises:
            OperationError: what control says; ``resource-denied`` when it is not running.
        """
        old, new = units_of(diff.old), units_of(diff.new)
        changed = difference(old, new)
        if not changed:
            return None
        await self._turn.acquire()
        try:
            answer = await self._control.call("config.prepare", {"units": changed})
        except BaseException:
            self._turn.release()
            if old != self._running():  # it was to go back to what is running
                self._agreed = None
                self._recover()
            raise
        return _Token(answer["token"], new)

    async def commit(self, token: _Token | None) -> None:
        """Put the change in force.

        Raises:
            OperationError: control or the kernel refused it, and has what it had; or it did not answer, most
                likely because it died just then: whatever it has then, it is brought to what is running.
        """
        if token is None:
            return
        try:
            await self._control.call("config.commit", {"token": token.number}, within=_WITHIN)
            # until running is this one too, whoever connects anew gets it from here
            self._agreed = token.new
        except BaseException as error:
            self._agreed = None
            log.warning("config.commit-unanswered", reason=str(error))
            self._recover()
            raise
        finally:
            self._turn.release()

    async def abort(self, token: _Token | None) -> None:
        """Forget the change."""
        if token is None:
            return
        try:
            await self._control.call("config.abort", {"token": token.number})
        except OperationError as error:
            log.info("config.abort-unanswered", reason=str(error))
        finally:
            self._turn.release()

    def _recover(self) -> None:
        """Compare notes with control until both mean the same configuration."""
        if self._recovery is None or self._recovery.done():
            self._recovery = asyncio.get_running_loop().create_task(self._compare())

    async def _compare(self) -> None:
        while self._control.connected:  # when it is not, it gets everything at its greeting
            try:
                await self.synchronise((await self._control.call("hello", {}))["config_digest"])
                return
            except OperationError as error:
                log.error("config.not-taken", reason=str(error))
            await asyncio.sleep(_AGAIN)

    async def synchronise(self, control_digest: str) -> None:
        """Control said hello: send it everything if it means another configuration.

        Raises:
            OperationError: control refused or went away.
        """
        async with self._turn:
            units = self._running() if self._agreed is None else self._agreed
            if digest(units) == control_digest:
                return
            if units == empty_units():
                # a running configuration that was lost is no reason to take away what works
                log.warning("config.empty", control=control_digest[:12])
                return
            log.info("config.sent-whole", digest=digest(units)[:12])
            answer = await self._control.call("config.prepare", {"units": units, "replace": True}, within=60)
            await self._control.call("config.commit", {"token": answer["token"]}, within=60)
