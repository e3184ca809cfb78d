"""The confirmed commit that is under way, on the disk: it goes on when the process starts again.

RFC 6241 section 8.4.1 has a device that reboots restore what was before; a management process that dies or
is restarted is no reboot. So whoever has the token of a commit that persists (``persist``, the id of gNMI's
commit-confirmed) confirms or cancels it afterwards, too. It is undone at the start all the same when the
machine was booted, when its time is over, and when the process has started a few times since: it may be what
kills it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import orjson

STARTS: Final = 3
"""Starts that a commit may live to see."""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A confirmed commit that waits for its confirmation.

    Attributes:
        commit: number of the newest commit when it was made; another one means that it is over.
        token: who knows it confirms or cancels.
        until: monotonic time at which it is undone, seconds; of use during one boot of the machine.
        timeout: seconds that it was given.
        starts: how often the process started since.
    """

    commit: int | None
    token: str
    until: float
    timeout: float
    user: str
    origin: str
    comment: str
    session: int
    starts: int = 0


class ConfirmationFile:
    """``config/confirmation.json``, for one boot of the machine; used in the worker thread.

    Args:
        write: replaces a file's content durably.
        boot_id: names this boot; "" when that is not known, and nothing is kept.
    """

    def __init__(self, path: Path, write: Callable[[Path, bytes], None], boot_id: str) -> None:
        self._path = path
        self._write = write
        self._boot_id = boot_id

    @property
    def kept(self) -> bool:
        """Whether a file is written at all."""
        return bool(self._boot_id)

    def keep(self, confirmation: Confirmation) -> None:
        """Remember it. Raises OSError."""
        self._write(self._path, orjson.dumps({"boot": self._boot_id, "confirmation": confirmation}))

    def drop(self) -> None:
        """It is over. Raises OSError."""
        self._path.unlink(missing_ok=True)

    def resume(self, newest: int | None) -> Confirmation | None:
        """After a start: what goes on, counted as a start; None: nothing does.

        Args:
            newest: number of the newest commit.
        """
        try:
            found: Any = orjson.loads(self._path.read_bytes())
            confirmation = Confirmation(**found["confirmation"])
            alive = found["boot"] == self._boot_id and confirmation.commit == newest
            alive = alive and confirmation.until > time.monotonic() and confirmation.starts < STARTS
            if not alive or not self._boot_id or not confirmation.token:
                return None
            confirmation = replace(confirmation, starts=confirmation.starts + 1)
            self.keep(confirmation)
        except (OSError, ValueError, TypeError, KeyError):  # there is none, or it is damaged
            return None
        return confirmation
