"""Where everything of one lab lies: the state folder, by default ``var/lab`` beside the configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class LabPaths:
    """Paths below the state folder."""

    root: Path

    @property
    def secrets(self) -> Path:
        """Passwords, keys and certificates; mode 0700."""
        return self.root / "secrets"

    @property
    def logs(self) -> Path:
        """One file per program."""
        return self.root / "log"

    @property
    def processes(self) -> Path:
        """What the supervisor runs."""
        return self.root / "processes.json"

    @property
    def state(self) -> Path:
        """What the supervisor reports."""
        return self.root / "state.json"

    @property
    def lab(self) -> Path:
        """What ``up`` built: names, ports, digest."""
        return self.root / "lab.json"

    @property
    def logins(self) -> Path:
        """Logins to the BNGs, for `aether netconf`."""
        return self.root / "netconf.json"

    @property
    def rendered(self) -> Path:
        """Names and digests of the rendered files."""
        return self.root / "rendered.json"

    def bng(self, bng_id: str) -> Path:
        """Folder of a BNG: its startup configuration and its state."""
        return self.root / "bng" / bng_id

    def bng_state(self, bng_id: str) -> Path:
        """The ``--state-dir`` of a BNG."""
        return self.bng(bng_id) / "state"
