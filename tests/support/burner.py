"""CPU that is burnt as a server and its client burn it, while nothing else is done: a baseline.

Some requests are under way, as with clients that ask again as soon as they have the answer: each takes the
server and then the client so much of a CPU. They touch no file, no network and next to no memory.

    python tests/support/burner.py SERVER_SECONDS CLIENT_SECONDS REQUESTS NICE POLICY CLIENT_NICE
"""

from __future__ import annotations

import os
import socket
import sys
import time
from contextlib import suppress


def spin(seconds: float) -> None:
    """Use so much of a CPU."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def serve(requests: socket.socket, seconds: float) -> None:
    """Burn for each request, then pass it on, until the other side is gone."""
    with suppress(ConnectionError):
        while waiting := requests.recv(1):
            spin(seconds)
            requests.send(waiting)


def main() -> None:
    server_seconds, client_seconds = float(sys.argv[1]), float(sys.argv[2])
    under_way, nice, policy, client_nice = (int(each) for each in sys.argv[3:])
    server, client = socket.socketpair()
    if os.fork() == 0:
        client.close()
        os.sched_setscheduler(0, policy, os.sched_param(0))
        os.setpriority(os.PRIO_PROCESS, 0, nice)
        serve(server, server_seconds)
        os._exit(0)
    server.close()
    os.setpriority(os.PRIO_PROCESS, 0, client_nice)
    client.send(bytes(under_way))
    serve(client, client_seconds)


if __name__ == "__main__":
    main()
