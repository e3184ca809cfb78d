"""A private Redis for tests: a unix socket in a temporary folder, no TCP; may be killed and started again."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import redis

from tests.support.waiting import PATIENCE


class RedisServer:
    """A server in a folder, which keeps what Redis writes there.

    Attributes:
        url: for clients.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder, self._options = folder, options
        self.url = f"unix://{folder / 'redis.sock'}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = ["redis-server", "--port", "0", "--unixsocket", str(self.folder / "redis.sock")]
        command += ["--dir", str(self.folder), "--save", "", *self._options]
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + 20 * PATIENCE
        while True:
            try:
                with self.client() as client:
                    client.ping()
                return
            except redis.RedisError:
                assert time.monotonic() < deadline, (self.folder / "redis.log").read_text()
                time.sleep(0.05)

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, decode_responses=True)
