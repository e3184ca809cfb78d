"""Counted UDP packets of many subscribers to the Internet and back, each with its own MAC and IP address.

As a script it is one end: ``send`` beside the subscribers, ``echo`` on the Internet host.
"""

from __future__ import annotations

import json
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.bng_world import World
    from tests.support.dhcp_client import Subscriber

PORT = 5005
OVERHEAD = 28
"""Octets of IP and UDP header."""
_ETH_P_IP = 0x0800
_STRAGGLERS = 2.0
"""Seconds that echoes are waited for at the end."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Packets of one subscriber: sent, and echoes that came back. `octets`: of IP, of those sent."""

    sent: int
    received: int
    octets: int


class Traffic:
    """Traffic from now until `end`, which tells by subscriber's number what came of it.

    Args:
        rate: packets per second of all together.
        size: octets of each IP packet.
    """

    def __init__(
        self, world: World, subscribers: Sequence[Subscriber], *, rate: int = 500, size: int = 500
    ) -> None:
        n = world.namespaces
        self._size = size
        self._echo = n.start("w", sys.executable, __file__, "echo", stdout=subprocess.PIPE)
        assert self._echo.stdout is not None
        self._echo.stdout.readline()  # it listens
        router = n.mac("b", "sub0")
        lines = [f"{s.number} {s.mac_text} {s.address}" for s in subscribers]
        self._sender = n.start(
            "s", sys.executable, __file__, "send", router, str(rate), str(size),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._sender.stdin is not None
        self._sender.stdin.write("\n".join(lines) + "\n\n")
        self._sender.stdin.flush()
        assert self._sender.stdout is not None
        self._sender.stdout.readline()  # the first packet leaves

    def end(self) -> dict[int, Counted]:
        """Stop, wait for what is still on its way."""
        self._sender.send_signal(signal.SIGINT)
        output, _ = self._sender.communicate(timeout=20)
        self._echo.kill()
        self._echo.wait()
        counts = json.loads(output)
        return {int(number): Counted(*pair, pair[0] * self._size) for number, pair in counts.items()}


def _echo() -> None:
    end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    end.bind(("0.0.0.0", PORT))
    print("ready", flush=True)
    while True:
        data, address = end.recvfrom(2048)
        end.sendto(data, address)


def _checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _frame(number: int, mac: str, address: str, router: str, size: int) -> bytes:
    payload = struct.pack("!I", number).ljust(size - OVERHEAD, b"\0")
    udp = struct.pack("!HHHH", PORT, PORT, 8 + len(payload), 0) + payload
    ends = socket.inet_aton(address), socket.inet_aton("198.51.100.2")
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, size, 0, 0, 64, 17, 0, *ends)
    ip = ip[:10] + struct.pack("!H", _checksum(ip)) + ip[12:]
    macs = bytes.fromhex(router.replace(":", "")) + bytes.fromhex(mac.replace(":", ""))
    return macs + struct.pack("!H", _ETH_P_IP) + ip + udp


class _Sender:
    def __init__(self, frames: dict[int, bytes], rate: int) -> None:
        self._frames = list(frames.items())
        self._pause = 1 / rate
        self.counts = {number: [0, 0] for number in frames}
        self._ending = 0.0
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_IP))
        self._socket.bind(("s0", _ETH_P_IP))
        self._socket.setsockopt(263, 23, 1)  # not what we send ourselves
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 20)
        self._socket.setblocking(False)
        signal.signal(signal.SIGINT, self._stop)

    def _stop(self, *_: Any) -> None:
        self._ending = time.monotonic() + _STRAGGLERS

    def run(self) -> None:
        due, turn = time.monotonic(), 0
        while not self._ending or time.monotonic() < self._ending:
            now = time.monotonic()
            if not self._ending and now >= due:
                number, frame = self._frames[turn % len(self._frames)]
                self._socket.send(frame)
                self.counts[number][0] += 1
                turn, due = turn + 1, max(due + self._pause, now - 0.1)
            select.select([self._socket], [], [], max(0.0, min(due - now, 0.05)))
            self._drain()

    def _drain(self) -> None:
        for _ in range(64):
            try:
                frame = self._socket.recv(2048)
            except BlockingIOError:
                return
            if len(frame) >= 46 and frame[23] == 17 and frame[34:36] == struct.pack("!H", PORT):
                (number,) = struct.unpack_from("!I", frame, 42)
                if number in self.counts:
                    self.counts[number][1] += 1


def _send(router: str, rate: str, size: str) -> None:
    frames = {}
    while line := sys.stdin.readline().strip():
        number, mac, address = line.split()
        frames[int(number)] = _frame(int(number), mac, address, router, int(size))
    sender = _Sender(frames, int(rate))
    print("ready", flush=True)
    sender.run()
    print(json.dumps(sender.counts))


if __name__ == "__main__":
    {"send": _send, "echo": _echo}[sys.argv[1]](*sys.argv[2:])
