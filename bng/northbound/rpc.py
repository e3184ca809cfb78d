"""Operations of the model: each is handed to control, which carries it out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bng.northbound.timeline import WHY, why
from bng.seam.command import CommandClient
from yang.provider import Keys, Operation

PATHS = (
    "/aether-subscriber:sessions/session/disconnect",
    "/aether-subscriber:sessions/session/reauthenticate",
    "/aether-subscriber:sessions/session/set-profile",
    "/aether-subscriber:disconnect-sessions",
    "/aether-bng:end-service",
)
_WITHIN = 30.0
"""Seconds: a disconnect waits for the final counters and the disk."""
_WITHIN_ALL = 300.0
"""Seconds: the same for all sessions of the element."""


def operations(control: CommandClient) -> dict[str, Operation]:
    """All operations by schema path, for `yang.provider.Registration`."""
    return {**{path: _operation(control, path) for path in PATHS}, WHY: why(control)}


def _operation(control: CommandClient, path: str) -> Operation:
    async def carry_out(keys: Keys, input: Mapping[str, Any], user: str) -> Mapping[str, Any] | None:
        params = {"path": path, "keys": list(keys), "input": dict(input), "user": user}
        within = _WITHIN_ALL if path == "/aether-bng:end-service" else _WITHIN
        answer: Mapping[str, Any] | None = await control.call("invoke", params, within=within)
        return answer

    return carry_out
