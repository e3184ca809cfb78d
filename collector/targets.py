"""Which targets there are: of the file, which is read again when it changes, and of the table
`collector_targets`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import asyncpg
import structlog

from collector.config import CollectorConfig, ConfigError, Target, load, parse_target
from collector.foreign.config import ForeignTarget

log = structlog.get_logger()

AnyTarget = Target | ForeignTarget

FIXED = ("database", "owner", "lease_ttl", "metrics", "registry", "outputs", "bus")
"""What a running collector keeps; a change of these needs a restart."""


class Targets:
    """The configuration in force.

    Attributes:
        config: as it was read last without an error, but for what is FIXED.
    """

    def __init__(self, config: CollectorConfig, file: Path | None = None) -> None:
        self.config = config
        self._file = file
        self._seen = self._stamps()
        self._registered: dict[str, AnyTarget] = {}
        self._refused: dict[str, str] = {}

    def all(self) -> dict[str, AnyTarget]:
        """Name → target; the file's before the table's."""
        foreign = self.config.foreign.targets if self.config.foreign else ()
        named: dict[str, AnyTarget] = {target.name: target for target in foreign}
        return {**self._registered, **named, **{target.bng_id: target for target in self.config.targets}}

    def _stamps(self) -> tuple[object, ...]:
        """Changes when one of the files does. Files that `foreign` names count by the configuration's own."""
        files = [self._file] if self._file else []
        found: list[object] = []
        for file in files + (
            [self.config.foreign.file] if self.config.foreign and self.config.foreign.file else []
        ):
            try:
                status = file.stat()
                found.append((status.st_mtime_ns, status.st_size, status.st_ino))
            except OSError:
                found.append(None)
        return tuple(found)

    def reread(self, *, asked: bool = False) -> bool:
        """Read the file if it changed, or if it is `asked` for. Returns whether there is a new
        configuration."""
        stamps = self._stamps()
        if self._file is None or (stamps == self._seen and not asked):
            return False
        self._seen = stamps
        try:
            config = load(self._file)
        except ConfigError as error:
            log.error("collector.configuration-refused", error=str(error))
            return False
        kept = {name: getattr(self.config, name) for name in FIXED}
        fixed = [name for name in FIXED if name != "owner" and getattr(config, name) != kept[name]]
        if fixed:
            log.warning("collector.configuration-needs-restart", names=fixed)
        self.config = dataclasses.replace(config, **kept)
        self._seen = self._stamps()
        log.info("collector.configuration-read", targets=len(self.all()))
        return True

    async def registry(self, connection: asyncpg.Connection) -> None:
        """Read the table, if the configuration says so."""
        if not self.config.registry:
            return
        rows = await connection.fetch("SELECT bng_id, definition::text FROM collector_targets WHERE enabled")
        found: dict[str, AnyTarget] = {}
        for row in rows:
            try:
                found[row["bng_id"]] = parse_target(
                    {**json.loads(row["definition"]), "bng_id": row["bng_id"]},
                    f"collector_targets {row['bng_id']!r}",
                )
            except (ConfigError, TypeError, ValueError) as error:
                if self._refused.get(row["bng_id"]) != str(error):
                    self._refused[row["bng_id"]] = str(error)
                    log.error("collector.configuration-refused", error=str(error))
                if row["bng_id"] in self._registered:
                    found[row["bng_id"]] = self._registered[row["bng_id"]]
        self._registered = found
