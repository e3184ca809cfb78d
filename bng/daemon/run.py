"""``aether bng run``: starts the two processes of a BNG, and starts each again when it dies."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import structlog

from bng.daemon.process import PIDS_FILE, configure_logging, run_until_signal
from bng.seam.segments import replace_file

log = structlog.get_logger()

_FIRST_DELAY, _LAST_DELAY = 0.1, 5.0
_HEALTHY_AFTER = 10.0
"""Seconds after which a process counts as started well: the next restart is quick again."""
_STOP_WITHIN = 10.0
_WRITE_AGAIN = 5.0
"""Seconds between two tries to note the process ids while the disk refuses them."""


@dataclass(slots=True)
class _Child:
    name: str
    arguments: list[str]
    delay: float = _FIRST_DELAY
    process: asyncio.subprocess.Process | None = field(default=None)


class Supervisor:
    """Keeps control and management running.

    Args:
        state_dir: of the BNG.
        startup: configuration for the first start, or None.
    """

    def __init__(self, state_dir: Path, startup: Path | None) -> None:
        self.state_dir = state_dir
        common = ["--state-dir", str(state_dir), "--parent", str(os.getpid())]
        config = ["--config", str(startup)] if startup is not None else []
        self._children = [
            _Child("control", common),
            _Child("management", [*common, *config]),
        ]
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Supervise until cancelled; then end both."""
        tasks = [asyncio.ensure_future(self._keep(child)) for child in self._children]
        tasks.append(asyncio.ensure_future(self._note_pids()))
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            # management first: nothing is committed to a control plane that is about to end
            for child in reversed(self._children):
                await self._stop(child)
            with suppress(OSError):
                (self.state_dir / PIDS_FILE).unlink(missing_ok=True)

    async def _keep(self, child: _Child) -> None:
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            code = await self._run_once(child)
            if loop.time() - started >= _HEALTHY_AFTER:
                child.delay = _FIRST_DELAY
            log.warning("run.child-died", name=child.name, code=code, restart_in=child.delay)
            await asyncio.sleep(child.delay)
            child.delay = min(child.delay * 2, _LAST_DELAY)

    async def _run_once(self, child: _Child) -> int | None:
        """Start a child and wait for its end. Returns its exit code, None when it could not be started."""
        try:
            child.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "bng.cli", child.name, *child.arguments
            )
        except OSError as error:  # no memory, or too many processes: it may be better soon
            log.error("run.cannot-start", name=child.name, reason=error.strerror)
            return None
        self._changed.set()
        code = await child.process.wait()
        child.process = None
        return code

    async def _stop(self, child: _Child) -> None:
        process = child.process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_WITHIN)
        except TimeoutError:
            log.warning("run.child-killed", name=child.name)
            process.send_signal(signal.SIGKILL)
            await process.wait()

    async def _note_pids(self) -> None:
        """Write the process ids down when they change. A disk that refuses them ends nobody's service."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            pids = {"run": os.getpid()}
            pids |= {child.name: child.process.pid for child in self._children if child.process is not None}
            try:
                await asyncio.to_thread(replace_file, self.state_dir / PIDS_FILE, orjson.dumps(pids))
            except OSError as error:
                log.warning("run.pids-not-noted", reason=error.strerror)
                await asyncio.sleep(_WRITE_AGAIN)
                self._changed.set()


def main(state_dir: Path, startup: Path | None) -> int:
    """Run a BNG until SIGTERM. Returns the exit code."""
    configure_logging("run")
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(OSError):  # a file system that was made read-only has its mode already
        state_dir.chmod(0o700)
    run_until_signal(Supervisor(state_dir, startup).run())
    return 0
