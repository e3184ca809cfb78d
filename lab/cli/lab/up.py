"""``aether lab up``: build, start, and wait until every subscriber with a service is online."""

from __future__ import annotations

import argparse
import sys
import time

from lab.cli.common import add_config_option, add_folder_option, config_path, lab_paths, verb
from lab.config import load_config
from lab.errors import LabError
from lab.instance import Instance
from lab.paths import LabPaths
from lab.runner import Say, exclusive, start
from lab.status import Status, access_lines, collect
from lab.supervisor.state import Phase, read_state, running

_POLL = 0.2
_TAIL = 6
"""Lines of a program's log that are shown when it is not up."""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser("up", help="start the lab and wait until it is ready")
    add_config_option(parser)
    add_folder_option(parser)
    parser.add_argument(
        "--timeout", type=float, default=180.0, metavar="S", help="seconds to wait (default 180)"
    )
    parser.set_defaults(func=run)


@verb
def run(arguments: argparse.Namespace) -> int:
    """0 when the lab is ready."""
    began = time.monotonic()
    config = load_config(config_path(arguments))
    paths = lab_paths(arguments)

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:5.1f} s] {text}", flush=True)

    with exclusive(paths):
        instance = start(config, paths, say)
    try:
        status = _wait(instance, paths, began + arguments.timeout, say)
    except KeyboardInterrupt:
        print("the lab goes on starting; `aether lab status` shows it, `aether lab down` stops it")
        raise
    if status.ready:
        say("ready")
        print("\n".join(["", *access_lines(status)]))
        return 0
    for line in _complaint(status, paths, arguments.timeout):
        print(line, file=sys.stderr)
    return 1


class _Progress:
    """Tells of programs and subscribers as they come up."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._up: set[str] = set()
        self._restarts: dict[str, int] = {}
        self._online = -1

    def programs(self, paths: LabPaths) -> bool:
        """Report what changed; True when all are up."""
        state = read_state(paths.state)
        if state is None or not running(state):
            raise LabError(f"the supervisor has ended; see {paths.logs / 'supervisor.log'}")
        for name, process in state.processes.items():
            if process.phase in (Phase.READY, Phase.DONE) and name not in self._up:
                self._up.add(name)
                self._say(f"{name} is {'done' if process.phase is Phase.DONE else 'up'}")
            if process.restarts > self._restarts.get(name, 0):
                self._restarts[name] = process.restarts
                self._say(f"{name} ended ({process.exit}); starting it again")
        return len(self._up) == len(state.processes)

    def subscribers(self, status: Status) -> None:
        """Report how many are online."""
        wanted = [one for one in status.subscribers if one.plan is not None]
        online = len(wanted) - len(status.waiting_for())
        if online != self._online:
            self._online = online
            self._say(f"{online} of {len(wanted)} subscribers with a service are online")


def _wait(instance: Instance, paths: LabPaths, deadline: float, say: Say) -> Status:
    progress = _Progress(say)
    while not progress.programs(paths) and time.monotonic() < deadline:
        time.sleep(_POLL)
    while True:
        status = collect(instance, paths)
        progress.programs(paths)
        progress.subscribers(status)
        if status.ready or time.monotonic() > deadline:
            return status
        time.sleep(_POLL)


def _complaint(status: Status, paths: LabPaths, timeout: float) -> list[str]:
    lines = [f"aether: the lab is not ready after {timeout:g} s"]
    for program in status.programs:
        if program.up or program.state.phase is Phase.WAITING:
            continue
        lines.append(
            f"  {program.spec.name} is {program.state.phase}, {program.state.exit or 'still running'}:"
        )
        lines += [f"    {line}" for line in _tail(paths, program.spec.name)]
    waiting = [program.spec.name for program in status.programs if program.state.phase is Phase.WAITING]
    if waiting:
        lines.append(f"  waiting for them: {', '.join(waiting)}")
    for one in status.waiting_for():
        if one.name in waiting:
            continue
        lines.append(f"  {one.name} ({one.bng}/{one.remote_id}/{one.circuit_id}, {one.plan}) {one.reason}")
        if one.ip is None:
            lines += [f"    {line}" for line in _tail(paths, one.name)]
    if status.trouble:
        lines.append(f"  sessions could not be read: {status.trouble}")
    lines.append(
        "  the lab was left as it is: `aether lab status`, `aether lab logs NODE`, `aether lab down`"
    )
    return lines


def _tail(paths: LabPaths, name: str) -> list[str]:
    try:
        with (paths.logs / f"{name}.log").open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 8192))
            return file.read().decode("utf-8", "replace").splitlines()[-_TAIL:]
    except OSError:
        return ["(no log)"]
