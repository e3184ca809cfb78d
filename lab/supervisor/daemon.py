"""The supervisor: all programs of a lab, the state file, the logs."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
from pathlib import Path

import structlog

from lab.supervisor.program import Program
from lab.supervisor.spec import read_specs
from lab.supervisor.state import SupervisorState, own_identity, write_state

log = structlog.get_logger()

MAX_LOG_SIZE = 20 << 20
"""Octets after which a log is moved to ``<name>.log.1`` and started anew."""

_LOG_CHECK_INTERVAL = 30.0


class Supervisor:
    """Runs the programs of ``<folder>/processes.json`` until SIGTERM."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._logs = folder / "log"
        self._state_file = folder / "state.json"
        self._dirty = asyncio.Event()
        self._programs: dict[str, Program] = {}

    async def run(self) -> None:
        """Start everything, then wait for SIGTERM or SIGINT, then stop everything."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        self._logs.mkdir(exist_ok=True)
        for spec in read_specs(self._folder / "processes.json"):
            self._programs[spec.name] = Program(spec, self._logs / f"{spec.name}.log", self._dirty.set)
        self._write_state()
        lives = [asyncio.create_task(self._live(program)) for program in self._programs.values()]
        upkeep = [asyncio.create_task(self._keep_state()), asyncio.create_task(self._keep_logs())]
        await stop.wait()
        log.info("supervisor.stopping")
        await asyncio.gather(*(self._stop(program) for program in self._programs.values()))
        await asyncio.gather(*lives)
        for task in upkeep:
            task.cancel()
        self._write_state()
        log.info("supervisor.stopped")

    async def _live(self, program: Program) -> None:
        try:
            await program.run([self._programs[name] for name in program.spec.after])
        except Exception:
            # one program's trouble must not take the others down; it stays visible as stopped
            log.exception("supervisor.failed", program=program.spec.name)

    async def _stop(self, program: Program) -> None:
        """Stop what comes after this program first."""
        name = program.spec.name
        followers = [other for other in self._programs.values() if name in other.spec.after + other.spec.uses]
        await asyncio.gather(*(follower.stopped.wait() for follower in followers))
        await program.stop()

    def _write_state(self) -> None:
        pid, started = own_identity()
        processes = {name: program.state for name, program in self._programs.items()}
        write_state(self._state_file, SupervisorState(pid, started, processes))

    async def _keep_state(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            self._write_state()
            await asyncio.sleep(0.02)

    async def _keep_logs(self) -> None:
        while True:
            await asyncio.sleep(_LOG_CHECK_INTERVAL)
            for path in self._logs.glob("*.log"):
                with contextlib.suppress(OSError):
                    if path.stat().st_size > MAX_LOG_SIZE:
                        # the programs append, so that the file can be emptied under them
                        await asyncio.to_thread(shutil.copyfile, path, path.with_suffix(".log.1"))
                        with path.open("r+b") as file:
                            file.truncate(0)
