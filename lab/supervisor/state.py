"""What the supervisor reports of itself and its programs, as a file that is always whole."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path


class Phase(StrEnum):
    """Where a program is in its life."""

    WAITING = "waiting"
    """For the programs that it comes after."""
    STARTING = "starting"
    READY = "ready"
    DONE = "done"
    """A oneshot that succeeded."""
    BACKOFF = "backoff"
    """It died and is about to be started again."""
    STOPPED = "stopped"


@dataclass
class ProcessState:
    """One program. ``exit`` tells how it last ended: ``exit 1``, ``SIGKILL``; empty while it never has."""

    phase: Phase = Phase.WAITING
    pid: int | None = None
    restarts: int = 0
    exit: str = ""


@dataclass
class SupervisorState:
    """All of them, and the supervisor's own process."""

    pid: int
    started: int
    """Start time of the process in clock ticks since boot: tells it from a later one with its number."""
    processes: dict[str, ProcessState] = field(default_factory=dict)


def write_state(path: Path, state: SupervisorState) -> None:
    """Replace the file in one step."""
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(asdict(state), indent=1))
    temporary.replace(path)


def read_state(path: Path) -> SupervisorState | None:
    """The last state written, None when there is none."""
    try:
        data = json.loads(path.read_text())
        processes = {
            name: ProcessState(Phase(entry["phase"]), entry["pid"], entry["restarts"], entry["exit"])
            for name, entry in data["processes"].items()
        }
        return SupervisorState(data["pid"], data["started"], processes)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None when it is not there or is a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] == "Z" else int(fields[19])


def running(state: SupervisorState | None) -> bool:
    """Whether the supervisor that wrote a state is still there."""
    return state is not None and start_time(state.pid) == state.started


def own_identity() -> tuple[int, int]:
    """Process id and start time of the calling process."""
    started = start_time(os.getpid())
    assert started is not None
    return os.getpid(), started
