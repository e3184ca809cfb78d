"""Network namespaces for tests: made with a random prefix, always removed; and doing something inside."""

from __future__ import annotations

import ctypes
import json
import os
import secrets
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

Result = TypeVar("Result")

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def run(*command: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command; its output is in the error when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr or done.stdout}")
    return done


def enter(name: str) -> None:
    """Put this thread into a namespace. Sockets that it has stay where they were made."""
    descriptor = os.open(Path("/run/netns") / name, os.O_RDONLY)
    try:
        if _libc.setns(descriptor, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(descriptor)


class Namespaces:
    """Some namespaces, named by a key each, and the processes that were started in them."""

    def __init__(self, *keys: str) -> None:
        self.prefix = "ae" + secrets.token_hex(3)
        self._keys = keys
        self._processes: list[subprocess.Popen[Any]] = []

    def __enter__(self) -> Namespaces:
        try:
            for key in self._keys:
                run("ip", "netns", "add", self.name(key))
                self.ip(key, "link", "set", "lo", "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(8)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        for key in self._keys:
            run("ip", "netns", "delete", self.name(key), check=False)

    def name(self, key: str) -> str:
        """Full name of a namespace."""
        return f"{self.prefix}{key}"

    def ip(self, key: str, *arguments: str) -> None:
        """``ip`` in a namespace."""
        run("ip", "-n", self.name(key), *arguments)

    def mac(self, key: str, interface: str) -> str:
        """Hardware address of an interface."""
        text = run("ip", "-n", self.name(key), "-json", "link", "show", interface).stdout
        return str(json.loads(text)[0]["address"])

    def veth(self, key_a: str, name_a: str, key_b: str, name_b: str) -> None:
        """Join two namespaces; both ends are up and without offloads, so that frames are as on a wire."""
        self.ip(
            key_a, "link", "add", name_a, "type", "veth", "peer", "name", name_b, "netns", self.name(key_b)
        )
        for key, name in ((key_a, name_a), (key_b, name_b)):
            self.ip(key, "link", "set", name, "up")
            offloads = [word for kind in ("tx", "rx", "tso", "gso", "gro") for word in (kind, "off")]
            run("ip", "netns", "exec", self.name(key), "ethtool", "-K", name, *offloads, check=False)

    def start(self, key: str, *command: str, **options: Any) -> subprocess.Popen[Any]:
        """Start a process in a namespace; it is ended with the namespaces."""
        process = subprocess.Popen(["ip", "netns", "exec", self.name(key), *command], **options)
        self._processes.append(process)
        return process

    def inside(self, key: str, function: Callable[[], Result]) -> Result:
        """Call a function in a thread that is in a namespace. Sockets that it makes stay there."""
        outcome: list[Any] = []

        def body() -> None:
            try:
                enter(self.name(key))
                outcome.extend((function(), None))
            except BaseException as error:
                outcome.extend((None, error))

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        result, error = outcome
        if error is not None:
            raise error
        return result  # type: ignore[no-any-return]
