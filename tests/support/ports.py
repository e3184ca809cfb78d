"""Ports of servers that tests start."""

from __future__ import annotations

import random
import socket
from contextlib import suppress

_RANGE = range(10_000, 32_000)
"""Below those that the kernel gives to whoever connects, and so may give to somebody else meanwhile."""
_random = random.SystemRandom()  # tests in several processes may be seeded alike


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    while True:
        port = _random.choice(_RANGE)
        with socket.socket(socket.AF_INET, kind) as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
