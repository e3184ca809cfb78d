"""Configuration on its way down: what a commit changes goes to control, which must agree."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from bng.seam.command import CommandClient
from bng.units import Units, difference, digest, empty_units, units_of
from yang.provider import ConfigDiff, OperationError

log = structlog.get_logger()


class ConfigHandler:
    """The element's `yang.provider.ConfigHandler`.

    Args:
        running: the units of the running configuration.
    """

    def __init__(self, control: CommandClient, running: Callable[[], Units]) -> None:
        self._control = control
        self._running = running
        self._turn = asyncio.Lock()

    async def prepare(self, diff: ConfigDiff) -> Any:
        """Have control check the change. None when it concerns nothing of control's.

        Raises:
            OperationError: what control says; ``resource-denied`` when it is not running.
        """
        changed = difference(units_of(diff.old), units_of(diff.new))
        if not changed:
            return None
        await self._turn.acquire()
        try:
            answer = await self._control.call("config.prepare", {"units": changed})
        except BaseException:
            self._turn.release()
            raise
        return answer["token"]

    async def commit(self, token: Any) -> None:
        """Put the change in force. Control agreed before: if it dies just now, it gets everything when it
        is back."""
        if token is None:
            return
        try:
            await self._control.call("config.commit", {"token": token}, within=60)
        except OperationError as error:
            log.warning("config.commit-unanswered", reason=str(error))
        finally:
            self._turn.release()

    async def abort(self, token: Any) -> None:
        """Forget the change."""
        if token is None:
            return
        try:
            await self._control.call("config.abort", {"token": token})
        except OperationError as error:
            log.info("config.abort-unanswered", reason=str(error))
        finally:
            self._turn.release()

    async def synchronise(self, control_digest: str) -> None:
        """Control said hello: send it everything if it means another configuration.

        Raises:
            OperationError: control refused or went away.
        """
        async with self._turn:
            units = self._running()
            if digest(units) == control_digest:
                return
            if units == empty_units():
                # a running configuration that was lost is no reason to take away what works
                log.warning("config.empty", control=control_digest[:12])
                return
            log.info("config.sent-whole", digest=digest(units)[:12])
            answer = await self._control.call("config.prepare", {"units": units, "replace": True}, within=60)
            await self._control.call("config.commit", {"token": answer["token"]}, within=60)
