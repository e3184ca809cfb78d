"""A lab on this machine: what ``up`` leaves behind for the other verbs to find."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from lab.config import LabConfig, parse_config
from lab.errors import LabError
from lab.paths import LabPaths
from lab.ports import Published

OWNERS = Path("/run/aether")
"""One file per lab of this machine, named as the lab: the state folder that it belongs to."""


@dataclass(frozen=True)
class Instance:
    """What was built.

    Attributes:
        digest: of all rendered files, to tell whether the configuration has changed since.
        namespaces: all that were made.
        config_path, config_text: the configuration file as it was read.
    """

    name: str
    digest: str
    namespaces: tuple[str, ...]
    published: Published
    config_path: str
    config_text: str

    def config(self) -> LabConfig:
        """The configuration that the lab was built from, whatever the file says now."""
        return parse_config(self.config_text, Path(self.config_path))


def save_instance(paths: LabPaths, instance: Instance) -> None:
    """Write it, readable by this account only."""
    paths.lab.touch(mode=0o600)
    paths.lab.write_text(json.dumps(asdict(instance), indent=1) + "\n")
    OWNERS.mkdir(parents=True, exist_ok=True)
    (OWNERS / instance.name).write_text(f"{paths.root}\n")


def load_instance(paths: LabPaths) -> Instance | None:
    """What the last ``up`` built, None when there is none."""
    try:
        data = json.loads(paths.lab.read_text())
        published = data["published"]
        return Instance(
            name=data["name"],
            digest=data["digest"],
            namespaces=tuple(data["namespaces"]),
            published=Published(
                published["address"],
                published["console"],
                published["postgres"],
                tuple(published["netconf"]),
                tuple(published["gnmi"]),
            ),
            config_path=data["config_path"],
            config_text=data["config_text"],
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def forget_instance(paths: LabPaths, name: str) -> None:
    """Remove what ``save_instance`` wrote."""
    paths.lab.unlink(missing_ok=True)
    if owner(name) == paths.root:
        (OWNERS / name).unlink(missing_ok=True)


def owner(name: str) -> Path | None:
    """The state folder of the lab that has a name on this machine."""
    try:
        return Path((OWNERS / name).read_text().rstrip("\n"))
    except OSError:
        return None


def require_instance(paths: LabPaths) -> Instance:
    """The same as ``load_instance``; raises LabError when no lab is up."""
    instance = load_instance(paths)
    if instance is None:
        raise LabError(f"no lab is up (state folder {paths.root}); start one with `aether lab up`")
    return instance
