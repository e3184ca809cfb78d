"""The life of one program: start, readiness, death, backoff, stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from lab.netns.inside import tcp_socket
from lab.supervisor.spec import ProcessSpec
from lab.supervisor.state import Phase, ProcessState

log = structlog.get_logger()

FIRST_BACKOFF = 0.2
LAST_BACKOFF = 5.0
"""Seconds between two starts: doubled with each death, from the first to the last."""

STABLE_AFTER = 30.0
"""A program that lived for so many seconds starts again with the first backoff."""

_PROBE_INTERVAL = 0.05
_LOG_WINDOW = 256 * 1024
"""Octets of a log that are searched for the line that tells readiness."""


class Program:
    """One supervised program.

    ``ready`` is set once it has been ready for the first time and stays set: programs after it need not wait
    again when it restarts.
    """

    def __init__(self, spec: ProcessSpec, log_file: Path, changed: Callable[[], None]) -> None:
        self.spec = spec
        self.state = ProcessState()
        self.ready = asyncio.Event()
        self.stopped = asyncio.Event()
        self._log_file = log_file
        self._changed = changed
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self._wake = asyncio.Event()

    async def run(self, dependencies: list[Program]) -> None:
        """Wait for ``dependencies``, then keep the program running until ``stop``."""
        try:
            for dependency in dependencies:
                await self._unless_stopped(dependency.ready)
            await self._keep_running()
        finally:
            self._set(Phase.STOPPED if self.state.phase is not Phase.DONE else Phase.DONE)
            self.stopped.set()

    async def _keep_running(self) -> None:
        backoff = FIRST_BACKOFF
        while not self._stopping:
            began = time.monotonic()
            code = await self._live_once()
            if self.spec.oneshot and code == 0:
                self._set(Phase.DONE)
                self.ready.set()
                return
            if self._stopping:
                return
            log.warning("supervisor.died", program=self.spec.name, exit=self.state.exit, again_in=backoff)
            self.state.restarts += 1
            self._set(Phase.BACKOFF)
            if time.monotonic() - began > STABLE_AFTER:
                backoff = FIRST_BACKOFF
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), backoff)
            backoff = min(backoff * 2, LAST_BACKOFF)

    async def _live_once(self) -> int | None:
        """Start it, watch it become ready, wait for its end; returns its exit code."""
        offset = self._log_file.stat().st_size if self._log_file.exists() else 0
        environment = os.environ | {"PYTHONUNBUFFERED": "1"} | self.spec.environment
        self._log_file.touch(mode=0o600)  # programs write secrets into their logs
        with self._log_file.open("ab") as output:
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *self.spec.command(),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=environment,
                    start_new_session=True,
                )
            except OSError as error:
                self.state.exit = f"cannot start: {error.strerror}"
                return None
        self.state.pid = self._process.pid
        self._set(Phase.STARTING)
        if self._stopping:
            self._signal(signal.Signals[self.spec.stop_signal])
        watcher = asyncio.create_task(self._watch_readiness(offset))
        try:
            code = await self._process.wait()
        finally:
            watcher.cancel()
        self.state.pid = None
        self.state.exit = signal.Signals(-code).name if code < 0 else f"exit {code}"
        return code

    async def _watch_readiness(self, offset: int) -> None:
        if self.spec.oneshot:
            return
        while not await self._is_ready(offset):  # noqa: ASYNC110
            await asyncio.sleep(_PROBE_INTERVAL)
        self._set(Phase.READY)
        self.ready.set()

    async def _is_ready(self, offset: int) -> bool:
        probe = self.spec.ready
        if probe.log and not await asyncio.to_thread(self._log_matches, probe.log, offset):
            return False
        return all([await self._accepts(probe.address, port) for port in probe.tcp])

    def _log_matches(self, pattern: str, offset: int) -> bool:
        try:
            with self._log_file.open("rb") as file:
                file.seek(offset)
                return re.search(pattern.encode(), file.read(_LOG_WINDOW)) is not None
        except OSError:
            return False

    async def _accepts(self, address: str, port: int) -> bool:
        try:
            sock = await asyncio.to_thread(tcp_socket, self.spec.namespace)
        except OSError:
            return False
        with sock:
            try:
                loop = asyncio.get_running_loop()
                await asyncio.wait_for(loop.sock_connect(sock, (address, port)), 1.0)
            except (OSError, TimeoutError):
                return False
        return True

    async def _unless_stopped(self, event: asyncio.Event) -> None:
        waiters = [asyncio.create_task(event.wait()), asyncio.create_task(self._wake.wait())]
        await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
        for waiter in waiters:
            waiter.cancel()

    async def stop(self) -> None:
        """End the program: its signal, its patience, then SIGKILL. Returns when it is gone."""
        self._stopping = True
        self._wake.set()
        self._signal(signal.Signals[self.spec.stop_signal])
        try:
            await asyncio.wait_for(self.stopped.wait(), self.spec.stop_timeout)
        except TimeoutError:
            log.warning("supervisor.killed", program=self.spec.name, after=self.spec.stop_timeout)
            self._signal(signal.SIGKILL)
        await self.stopped.wait()

    def _signal(self, number: signal.Signals) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            if number is signal.SIGKILL:
                os.killpg(process.pid, number)  # it leads a session: its children must not outlive it
            else:
                process.send_signal(number)

    def _set(self, phase: Phase) -> None:
        if self.state.phase is not phase:
            self.state.phase = phase
            log.info("supervisor.phase", program=self.spec.name, phase=str(phase), pid=self.state.pid)
        self._changed()
