"""Methods of the command socket by which operators look into the control plane: why, and recordings."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from bng.recorder import MAX_OCTETS, Recorder
from bng.seam.clock import NS
from bng.seam.command import Method
from bng.session.records import AccessLine
from bng.witness import MAX_LINES, Witness
from yang.provider import OperationError

_MAX_RECORDING = 4 << 30
_FORSAKEN = 15.0
"""Seconds after which a recording ends that nobody asks for any more."""


def insight(witness: Witness) -> dict[str, Method]:
    """Name → method, for `bng.seam.command.CommandServer`."""
    recordings = _Recordings(witness)

    async def timeline(params: dict[str, Any]) -> dict[str, Any]:
        """``circuit-id``, ``remote-id`` (optional) → ``access-line``: what is known of each so called,
        at most `MAX_LINES`; ``lines``: how many there are."""
        circuit_id, remote_id = params.get("circuit-id"), params.get("remote-id")
        if not isinstance(circuit_id, str) or not isinstance(remote_id, str | None):
            raise OperationError("missing-element", "give a circuit-id, and a remote-id if it is known")
        found = witness.lines_of(circuit_id, remote_id)
        return {"access-line": [witness.tell(line) for line in found[:MAX_LINES]], "lines": len(found)}

    return {
        "timeline": timeline,
        "record.start": recordings.start,
        "record.status": recordings.status,
        "record.stop": recordings.stop,
    }


class _Recordings:
    """One recording at a time, which ends when who asked for it is gone."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness

    async def start(self, params: dict[str, Any]) -> dict[str, Any]:
        """``path`` (absolute, must not exist), ``line`` [remote-id, circuit-id] or None for all, ``seconds``,
        ``max-octets`` (optional)."""
        recorder = self._witness.recorder
        if recorder is not None and recorder.ended is None:
            raise OperationError("in-use", f"a recording to {recorder.path} is under way")
        path, line = Path(str(params.get("path", ""))), params.get("line")
        seconds, size = params.get("seconds"), params.get("max-octets", MAX_OCTETS)
        if not path.is_absolute():
            raise OperationError("invalid-value", "the path must be absolute")
        if not isinstance(size, int) or not 0 < size <= _MAX_RECORDING:
            raise OperationError("invalid-value", f"a recording has 1 to {_MAX_RECORDING} octets")
        if line is not None and not (
            isinstance(line, list) and len(line) == 2 and all(isinstance(part, str) for part in line)
        ):
            raise OperationError("invalid-value", "a line is a remote-id and a circuit-id")
        deadline = None if seconds is None else time.time_ns() + int(float(seconds) * NS)
        lines = None if line is None else {AccessLine(*line)}
        try:
            self._witness.record(path, lines, deadline=deadline, max_octets=size, forsaken=_FORSAKEN)
        except OSError as error:
            raise OperationError("operation-failed", f"{path}: {error.strerror}") from None
        return await self.status({})

    async def status(self, _params: dict[str, Any]) -> dict[str, Any]:
        """``events``, ``octets``; ``ended``: why, or None."""
        recorder = self._recorder()
        recorder.asked = time.monotonic()
        return {"events": recorder.events, "octets": recorder.octets, "ended": recorder.ended}

    async def stop(self, _params: dict[str, Any]) -> dict[str, Any]:
        """End the recording. Its end can be seen by ``record.status``."""
        self._recorder().end("it was ended")
        return await self.status({})

    def _recorder(self) -> Recorder:
        if self._witness.recorder is None:
            raise OperationError("data-missing", "there is no recording")
        return self._witness.recorder
