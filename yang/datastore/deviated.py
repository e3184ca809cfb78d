"""The migration step to aether-deviations: what it deviates away is left out of older configurations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import structlog

log = structlog.get_logger()

DEVIATED: Final = (
    "ietf-interfaces:interfaces/interface/link-up-down-trap-enable",
    "ietf-interfaces:interfaces/interface/ietf-ip:ipv4/forwarding",
    "ietf-interfaces:interfaces/interface/ietf-ip:ipv4/neighbor",
    "ietf-interfaces:interfaces/interface/ietf-ip:ipv6",
    "ietf-system:system/clock",
    "ietf-system:system/dns-resolver",
)
"""What was configuration before the module's first revision, 2026-11-25, and is none since."""


def without_deviated(members: dict[str, Any]) -> dict[str, Any]:
    """RFC 7951 members without these nodes; they had no effect. Each is logged."""
    for path in DEVIATED:
        _drop(members, path.split("/"), "")
    return members


def _drop(members: Any, steps: Sequence[str], above: str) -> None:
    if not isinstance(members, dict):
        return
    name, *below = steps
    path = f"{above}/{name}"
    if not below and name in members:
        del members[name]
        log.warning("config.left-out", path=path)
    elif below:
        value = members.get(name)
        if isinstance(value, list):  # the only list on the way is that of interfaces
            for entry in value:
                key = entry.get("name") if isinstance(entry, dict) else None
                _drop(entry, below, f"{path}[name='{key}']")
        else:
            _drop(value, below, path)
