"""Bringing a lab of its own up for tests: another name, free ports, its own state folder."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
DEFAULT = ROOT / "aether.config.yaml"
FREE_PORTS = {"console": 0, "postgres": 0, "netconf-base": 0, "gnmi-base": 0}


class RunningLab:
    """The `aether lab` command with one configuration and one state folder."""

    def __init__(self, folder: Path, source: Path = DEFAULT, **changes: Any) -> None:
        self.name = "ae" + secrets.token_hex(3)
        self.config = folder / "aether.config.yaml"
        self.state = folder / "lab"
        data = yaml.safe_load(source.read_text())
        data.setdefault("lab", {})["name"] = self.name
        data.setdefault("shared", {})["publish"] = FREE_PORTS | changes
        self.config.write_text(yaml.safe_dump(data, sort_keys=False))

    def run(self, *words: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        """`aether …` in the environment of the tests, on this lab."""
        return subprocess.run(
            [sys.executable, "-m", "lab.cli", *words],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env=os.environ | {"AETHER_STATE_DIR": str(self.state)},
            cwd=ROOT,
        )

    def up(self) -> subprocess.CompletedProcess[str]:
        """`aether lab up`; the caller looks at the exit code."""
        return self.run("lab", "up", "--config", str(self.config), "--timeout", "120")

    def status(self) -> dict[str, Any]:
        """`aether lab status --json`."""
        result = self.run("lab", "status", "--json")
        assert result.returncode == 0, result.stderr
        parsed: dict[str, Any] = json.loads(result.stdout)
        return parsed

    def down(self) -> subprocess.CompletedProcess[str]:
        """`aether lab down`."""
        return self.run("lab", "down")

    def namespaces(self) -> list[str]:
        """Those of this lab that exist."""
        folder = Path("/run/netns")
        return sorted(path.name for path in folder.glob(f"{self.name}-*")) if folder.exists() else []
