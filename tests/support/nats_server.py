"""A private nats-server with JetStream for tests, on the loopback; may be killed and started again."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from tests.support.ports import free_port
from tests.support.waiting import PATIENCE


class NatsServer:
    """A server in a folder, which keeps what JetStream writes there.

    Attributes:
        url: for clients.
    """

    def __init__(self, folder: Path, *, more: str = "", scheme: str = "nats") -> None:
        self.folder, self._more = folder, more
        self.port = free_port()
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when JetStream answers."""
        file = self.folder / "nats.conf"
        file.write_text(
            f'listen: "127.0.0.1:{self.port}"\n'
            f'jetstream {{ store_dir: "{self.folder / "jetstream"}", max_file_store: 2G }}\n'
            f"{self._more}\n"
        )
        with (self.folder / "nats.log").open("ab") as log:
            already = log.tell()
            self._process = subprocess.Popen(["nats-server", "-c", str(file)], stdout=log, stderr=log)
        deadline = time.monotonic() + 20 * PATIENCE
        while b"Server is ready" not in (self.folder / "nats.log").read_bytes()[already:]:
            assert time.monotonic() < deadline, (self.folder / "nats.log").read_text()
            assert self._process.poll() is None, (self.folder / "nats.log").read_text()
            time.sleep(0.02)

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None
