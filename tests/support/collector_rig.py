"""Targets and collectors as processes, and what is in their database."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg

from tests.support import certificates
from tests.support.ports import free_port
from tests.support.waiting import PATIENCE, wait_for

ROOT = Path(__file__).parents[2]


class Rig:
    """A target and any number of collectors, as processes."""

    free_port = staticmethod(free_port)

    def __init__(self, folder: Path, database: str) -> None:
        self.folder, self.database = folder, database
        certificates.write(folder)
        self.port = self.free_port()
        self._running: list[subprocess.Popen[bytes]] = []
        self._others: list[Rig] = []

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        return self.spawn([sys.executable, "-m", *command])

    def spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        self._running.append(process)
        return process

    def subfolder(self, name: str) -> Path:
        made = self.folder / name
        made.mkdir()
        return made

    def adopt(self, other: Rig) -> None:
        """End what another one started when this one ends."""
        self._others.append(other)

    def entry(self, bng_id: str = "bng-01") -> dict[str, str]:
        """The target's entry in a collector's configuration."""
        login = {"username": "u", "password": "p", "ca": str(self.folder / "cert.pem")}
        return {"bng_id": bng_id, "address": f"127.0.0.1:{self.port}", **login}

    def target(self, events: int, oldest: int = 1, **options: int) -> subprocess.Popen[bytes]:
        arguments = (str(self.port), str(self.folder), str(events), str(oldest), json.dumps(options))
        return self.start("tests.support.journal_target", *arguments)

    def last_event(self) -> int:
        """End the making of events; the number of the last one."""
        (self.folder / "control.json").write_text('{"most": 1}')
        return int(wait_for("the last event", lambda: _text(self.folder / "made"), 20))

    def configure(self, owner: str = "one", lease_ttl: float = 3, **more: object) -> Path:
        config = {
            "database": self.database,
            "sample_interval": 1,
            "owner": owner,
            "lease_ttl": lease_ttl,
            "targets": [self.entry()],
            **more,
        }
        file = self.folder / f"{owner}.json"
        file.with_suffix(".new").write_text(json.dumps(config))
        file.with_suffix(".new").rename(file)
        return file

    def collector(self, owner: str = "one", lease_ttl: float = 3, **more: object) -> subprocess.Popen[bytes]:
        return self.start("collector", "run", "--config", str(self.configure(owner, lease_ttl, **more)))

    def ask(self, *words: str) -> tuple[int, Any]:
        """Exit status and JSON of a verb of `aether collector`."""
        command = [sys.executable, "-m", "collector", *words, "--config", str(self.folder / "one.json")]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert not done.stderr, done.stderr
        return done.returncode, json.loads(done.stdout)

    def execute(self, sql: str, *args: object) -> None:
        """Change the database; what is no text goes as JSON."""

        async def do() -> None:
            connection = await asyncpg.connect(self.database)
            await connection.execute(sql, *(arg if isinstance(arg, str) else json.dumps(arg) for arg in args))
            await connection.close()

        asyncio.run(do())

    def until_log(self, text: str, seconds: float = 20) -> None:
        log = self.folder / "log"
        wait_for(f"{text} in {log}", lambda: text in log.read_text(), seconds, 0.1)

    def end(self) -> None:
        for other in self._others:
            other.end()
        for process in self._running:
            process.kill()
            process.wait()

    def until(self, sql: str, check: Callable[[object], bool], seconds: float = 30) -> object:
        """Ask the database until the answer satisfies; its last answer is the failure's text."""

        async def ask() -> object:
            connection = await asyncpg.connect(self.database)
            try:
                return await connection.fetchval(sql)
            finally:
                await connection.close()

        deadline = time.monotonic() + PATIENCE * seconds
        answer: object = None
        while time.monotonic() < deadline:
            try:
                answer = asyncio.run(ask())
                if check(answer):
                    return answer
            except (OSError, asyncpg.PostgresError) as error:
                answer = error
            time.sleep(0.1)
        raise AssertionError(f"{sql}: {answer!r}\n{(self.folder / 'log').read_text()[-3000:]}")


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def rows(database: str, sql: str) -> list[asyncpg.Record]:
    async def ask() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(database)
        try:
            return await connection.fetch(sql)
        finally:
            await connection.close()

    return asyncio.run(ask())
