"""Why an access line is, or is not, online: fetched from control when somebody asks for that line."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from bng.seam.command import CommandClient
from yang.provider import Keys, Operation, OperationError

WHY = "/aether-timeline:why"
_WITHIN = 5.0
_KEPT = 256
_FRESH = 10.0
"""Seconds for which what was fetched may be read: as long as a slow reader takes for one request."""


class AccessLinesProvider:
    """``/aether-timeline:access-lines/access-line``: a `yang.provider.FetchedProvider`."""

    path = "/aether-timeline:access-lines/access-line"

    def __init__(self, control: CommandClient) -> None:
        self._control = control
        self._fetched: OrderedDict[Keys, tuple[float, SimpleNamespace | None]] = OrderedDict()

    async def fetch(self, keys: Keys) -> None:
        """Ask control for one line. Raises OperationError."""
        remote_id, circuit_id = keys
        params = {"remote-id": remote_id, "circuit-id": circuit_id}
        answer = await self._control.call("timeline", params, within=_WITHIN)
        found = answer["access-line"]
        self._fetched[keys] = time.monotonic(), _record(found[0]) if found else None
        self._fetched.move_to_end(keys)
        if len(self._fetched) > _KEPT:
            self._fetched.popitem(last=False)

    def get(self, keys: Keys) -> SimpleNamespace | None:
        fetched, record = self._fetched.get(keys, (0.0, None))
        return record if time.monotonic() - fetched <= _FRESH else None

    def iter(self) -> tuple[()]:
        """None: an entry is there for who names it."""
        return ()


def why(control: CommandClient) -> Operation:
    """The RPC of that name."""

    async def carry_out(keys: Keys, input: Mapping[str, Any], user: str) -> Mapping[str, Any]:  # noqa: ARG001
        answer = await control.call("timeline", dict(input), within=_WITHIN)
        if not answer["access-line"]:
            raise OperationError(
                "data-missing",
                f"no packet came from access line {input['circuit-id']} since the control plane started, "
                "and it has no session",
            )
        return {"access-line": answer["access-line"]}

    return carry_out


def _record(told: Mapping[str, Any]) -> SimpleNamespace:
    fields = {name.replace("-", "_"): value for name, value in told.items() if name != "step"}
    return SimpleNamespace(**fields, step=[_record(step) for step in told.get("step", ())])
