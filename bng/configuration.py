"""Configuration in two steps, as management commits it: prepare checks and reserves, commit puts it in force.

What was committed last is kept in ``control/config.json``, so that after a restart service begins without
waiting for management.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
import structlog

from bng.config import Config
from bng.seam.segments import replace_file
from bng.units import Units, digest, empty_units, merge, parse
from yang.provider import OperationError
from yang.sealing import Sealer, SealError

log = structlog.get_logger()

_PLACE = "control/config.json"
"""What the sealed text is, for `yang.sealing`."""


class Configuration:
    """The configuration in force.

    Args:
        path: of the file that keeps it, sealed with the key in the folder above; its folder is made.
        apply: puts a configuration in force; gets the one before as well. What cannot be done now is tried
            again later; it raises OperationError for what the kernel will never take.

    Attributes:
        config: in force.
        digest: fingerprint of its units.
    """

    def __init__(self, path: Path, apply: Callable[[Config, Config], Awaitable[None]]) -> None:
        self.path = path
        self._sealer = Sealer(path.parent.parent)
        self._apply = apply
        self._prepared: tuple[int, Units, Config, bool] | None = None
        self._tokens = itertools.count(1)
        self._lock = asyncio.Lock()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._units = self._load()
        try:
            self.config = parse(self._units)
        except OperationError as error:
            log.error("config.unusable", path=str(path), reason=str(error))
            self._units, self.config = empty_units(), Config()
        self.digest = digest(self._units)

    def prepare(self, changed: Mapping[str, Any], *, replace: bool = False) -> int:
        """Check a change. Returns the token for `commit` or `abort`; an earlier one is void.

        Args:
            replace: the change is the whole configuration, not a part of it.

        Raises:
            OperationError: why it cannot be.
        """
        units = merge(empty_units() if replace else self._units, changed)
        config = parse(units)
        if self.config.bng_id and config.bng_id != self.config.bng_id:
            log.warning("config.bng-id-changes", old=self.config.bng_id, new=config.bng_id)
        token = next(self._tokens)
        self._prepared = token, units, config, replace
        return token

    def abort(self, token: int) -> None:
        """Forget what was prepared."""
        if self._prepared is not None and self._prepared[0] == token:
            self._prepared = None

    async def commit(self, token: int) -> None:
        """Put what was prepared in force, and keep it.

        Raises:
            OperationError: nothing is prepared under this token; or the kernel refuses it, and what was in
                force is again. A whole configuration stays in force all the same: it is what management runs.
        """
        async with self._lock:
            if self._prepared is None or self._prepared[0] != token:
                raise OperationError("operation-failed", "this configuration is not prepared (any more)")
            _, units, config, whole = self._prepared
            self._prepared = None
            before, old = self._units, self.config
            try:
                await self._put(units, config)
            except Exception as error:
                if whole and isinstance(error, OperationError):
                    log.error("config.refused", reason=str(error))
                    return
                if whole:
                    raise
                log.warning("config.refused", reason=str(error))
                try:
                    await self._put(before, old)
                except Exception as fault:
                    log.error("config.not-restored", reason=str(fault))
                raise

    async def _put(self, units: Units, config: Config) -> None:
        old, self.config = self.config, config
        self._units, self.digest = units, digest(units)
        await self._save(units)
        log.info("config.committed", digest=self.digest[:12])
        await self._apply(config, old)

    def _load(self) -> Units:
        try:
            text = self._sealer.open(self.path.read_text(), _PLACE)  # earlier versions wrote it in cleartext
            loaded = orjson.loads(text)
            return merge(empty_units(), loaded)
        except FileNotFoundError:
            return empty_units()
        except (ValueError, OperationError, OSError, AttributeError, SealError) as error:
            log.error("config.unreadable", path=str(self.path), reason=str(error))
            return empty_units()

    async def _save(self, units: Units) -> None:
        try:
            # it has the secrets of RADIUS in it
            content = self._sealer.seal(orjson.dumps(units).decode(), _PLACE)
            await asyncio.to_thread(replace_file, self.path, content.encode())
        except SealError as error:
            log.error("config.not-kept", path=str(self.path), reason=str(error))
        except OSError as error:
            # Management keeps the truth and sends it again when the digests differ.
            log.error("config.not-kept", path=str(self.path), reason=error.strerror)
