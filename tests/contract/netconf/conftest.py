"""An element behind a real SSH server, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import pytest

from nbi.client import NetconfClient, connect

ELEMENT = Path(__file__).with_name("element.py")
PASSWORDS = {"admin": "correct horse", "viewer": "only looking"}
STOP_TIMEOUT = 15


@dataclass
class Element:
    """A running element.

    Attributes:
        key: file of the private key that user admin may log in with.
    """

    port: int
    folder: Path
    key: Path
    process: subprocess.Popen[str]

    def connect(self, user: str = "admin", timeout: float = 30.0) -> NetconfClient:
        """The OSS's client."""
        return connect("127.0.0.1", self.port, username=user, password=PASSWORDS[user], timeout=timeout)

    def stop(self) -> int:
        """End it in good order; its exit status."""
        self.process.stdin.close()
        try:
            return self.process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


def start_element(folder: Path, *options: str) -> Element:
    key = asyncssh.generate_private_key("ssh-ed25519")
    key_file = folder / "id_ed25519"
    key.write_private_key(str(key_file))
    key_file.chmod(0o600)
    algorithm, data = key.export_public_key().decode().split()[:2]
    state = folder / "state"
    state.mkdir(mode=0o700)
    process = subprocess.Popen(
        [
            sys.executable,
            str(ELEMENT),
            "--state-dir",
            str(state),
            "--public-key",
            f"{algorithm} {data}",
            *options,
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=(folder / "log").open("w"),
        text=True,
    )
    line = process.stdout.readline()
    if not line:
        process.wait()
        raise AssertionError(f"the element did not start:\n{(folder / 'log').read_text()}")
    return Element(json.loads(line)["port"], folder, key_file, process)


@pytest.fixture(scope="module")
def element(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Element]:
    """One element for the tests of a module, with 2,000 sessions."""
    running = start_element(tmp_path_factory.mktemp("element"), "--sessions", "2000")
    yield running
    running.stop()


@pytest.fixture
def own_element(tmp_path: Path) -> Iterator[Callable[..., Element]]:
    """Start an element for this test alone."""
    started: list[Element] = []

    def start(*options: str) -> Element:
        started.append(start_element(tmp_path, *options))
        return started[-1]

    yield start
    for running in started:
        if running.process.poll() is None:
            running.stop()
