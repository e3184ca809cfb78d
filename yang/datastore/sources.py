"""Which YANG modules are loaded, with which features, and where their files are."""

from __future__ import annotations

import importlib.metadata
import sysconfig
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Final

STANDARD_MODULES: Final[dict[str, tuple[str, ...]]] = {
    "ietf-yang-library": (),
    "ietf-datastores": (),
    "ietf-interfaces": ("if-mib",),
    "iana-if-type": (),
    "ietf-ip": (),
    "iana-hardware": (),
    "ietf-hardware": ("hardware-state", "hardware-sensor"),
    "iana-crypt-hash": ("crypt-hash-sha-256", "crypt-hash-sha-512"),
    "ietf-system": ("authentication", "local-users"),
    "ietf-netconf-acm": (),
    "ietf-netconf": (
        "candidate",
        "confirmed-commit",
        "rollback-on-error",
        "validate",
        "startup",
        "url",
        "xpath",
    ),
    "ietf-netconf-monitoring": (),
    "ietf-netconf-notifications": (),
    "ietf-netconf-with-defaults": (),
    "ietf-yang-patch": (),
    "ietf-subscribed-notifications": ("encode-xml", "replay", "subtree", "xpath"),
    "ietf-yang-push": ("on-change",),
    "ietf-origin": (),
    "ietf-netconf-nmda": ("origin", "with-defaults"),
}
"""Standard modules that are implemented → the features that are enabled."""
EXTRA_FEATURES: Final = {"ietf-netconf-private-candidate": ("private-candidate",)}
"""The same for modules of the folders that an element adds."""


def standard_dirs() -> tuple[Path, ...]:
    """The folders in which pyang's wheel keeps the IETF and IANA modules.

    Raises:
        FileNotFoundError: pyang is not installed with its modules.
    """
    candidates = [Path(sysconfig.get_path("data")) / "share/yang/modules"]
    for file in importlib.metadata.files("pyang") or ():
        if file.name == "ietf-interfaces.yang":
            candidates.append(Path(str(file.locate())).resolve().parent.parent)
            break
    for base in candidates:
        if (base / "ietf" / "ietf-interfaces.yang").is_file():
            return (base / "ietf", base / "iana")
    raise FileNotFoundError("the IETF modules of the package pyang are missing: reinstall pyang")


def own_dir() -> Path:
    """The folder with the aether-* modules."""
    return Path(str(resources.files("yang") / "modules"))


def module_files(extra: Sequence[Path] = ()) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Files to load, in order, with the features to enable in each.

    Args:
        extra: further folders; each module in them is loaded.
    """
    folders = standard_dirs()
    for name, features in STANDARD_MODULES.items():
        yield next(path for folder in folders if (path := folder / f"{name}.yang").is_file()), features
    for folder in (own_dir(), *extra):
        for path in sorted(folder.glob("*.yang")):
            yield path, EXTRA_FEATURES.get(path.stem, ())
