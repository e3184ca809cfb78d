"""TCP sockets of this process, which gRPC does not give away.

A gRPC server stops listening only when it stops as a whole, and a call that arrives while it does ends
CANCELLED, which clients do not try again. By its sockets it can be made to listen no more and go on with the
connections that it has (gRPC notes that on stderr), and a connection can be ended from which no more calls
are wanted: that is UNAVAILABLE.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

_DESCRIPTORS: Final = Path("/proc/self/fd")

Connection = tuple[Any, Any]
"""Both addresses of a connection, this machine's first."""


def deafen(ports: Collection[int]) -> None:
    """Listen on these ports no more."""
    for found in _sockets(ports):
        if found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            with suppress(OSError):
                found.shutdown(socket.SHUT_RDWR)


def connections(ports: Collection[int]) -> frozenset[Connection]:
    """Connections that others made to these ports."""
    return frozenset(connection for _, connection in _connected(ports))


def cut(ports: Collection[int], which: Collection[Connection]) -> None:
    """End these connections to these ports."""
    for found, connection in _connected(ports):
        if connection in which:
            with suppress(OSError):
                found.shutdown(socket.SHUT_RDWR)


def _connected(ports: Collection[int]) -> Iterator[tuple[socket.socket, Connection]]:
    for found in _sockets(ports):
        with suppress(OSError):  # it listens, or has ended
            yield found, (found.getsockname(), found.getpeername())


def _sockets(ports: Collection[int]) -> Iterator[socket.socket]:
    """Sockets with such a local port, each until the next is asked for."""
    for path in list(_DESCRIPTORS.iterdir()):
        try:
            descriptor = os.dup(int(path.name))
        except OSError:  # closed meanwhile
            continue
        try:
            found = socket.socket(fileno=descriptor)
        except OSError:  # no socket
            os.close(descriptor)
            continue
        with found:
            if found.family in (socket.AF_INET, socket.AF_INET6) and found.type == socket.SOCK_STREAM:
                with suppress(OSError):
                    if found.getsockname()[1] in ports:
                        yield found
