"""What sshd runs as its subsystem ``netconf``: carries octets between standard input and output and the
server's unix socket. Needs nothing but Python; the server learns who runs it from the kernel.

    Subsystem netconf /usr/bin/python3 -I -S …/nbi/subsystem.py /run/aether/netconf.sock
"""

from __future__ import annotations

import os
import socket
import sys
import threading

SIZE = 65536


def write_all(descriptor: int, data: bytes) -> None:
    """Write everything, waiting for the reader as long as it takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def main(arguments: list[str]) -> int:
    """Carry until the server closes. Returns the exit code."""
    if len(arguments) != 1:
        print("usage: subsystem.py SOCKET", file=sys.stderr)
        return 2
    server = socket.socket(socket.AF_UNIX)
    try:
        server.connect(arguments[0])
    except OSError as error:
        print(f"netconf: cannot reach the server at {arguments[0]}: {error.strerror}", file=sys.stderr)
        return 1
    # Each way for itself: a client that sends on while a long reply is under way must not hold it up.
    threading.Thread(target=_to_server, args=(server,), daemon=True).start()
    try:
        while data := server.recv(SIZE):
            write_all(1, data)
    except (BrokenPipeError, ConnectionResetError):
        pass
    return 0


def _to_server(server: socket.socket) -> None:
    try:
        while data := os.read(0, SIZE):
            server.sendall(data)
        server.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the server closed: the other way has seen it


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
