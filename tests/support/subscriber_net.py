"""A subscriber side, a BNG and an Internet host, each in a network namespace of its own.

    sub ── acc0 │ bng │ wan0 ── up

The thread that enters `World` is in the BNG's namespace until it leaves.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import secrets
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

from bng.dataplane import offload

ACCESS_MAC, WAN_MAC, HOST_MAC = "02:bb:00:00:00:01", "02:bb:00:00:00:02", "02:cc:00:00:00:01"
GATEWAY, BNG_UPSTREAM, HOST = "100.64.0.1", "198.51.100.2", "198.51.100.1"
PORT = 5002

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def subscriber_ip(number: int) -> IPv4Address:
    """Address of subscriber 0, 1, 2 …"""
    return IPv4Address("100.64.1.0") + number


def subscriber_mac(number: int) -> bytes:
    """MAC address of subscriber 0, 1, 2 …"""
    return b"\x02\x00" + struct.pack(">I", number)


def mac_text(mac: bytes) -> str:
    return ":".join(f"{octet:02x}" for octet in mac)


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


class World:
    """Makes the namespaces; offloads are off so that a packet is a packet.

    Attributes:
        sub, bng, up: names of the namespaces.
    """

    def __init__(self, *, offloads: bool = False) -> None:
        prefix = f"ae{secrets.token_hex(3)}"
        self.sub, self.bng, self.up = f"{prefix}sub", f"{prefix}bng", f"{prefix}up"
        self._offloads = offloads
        self._home = -1
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> World:
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            self._build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        _enter(self._home)
        os.close(self._home)
        for process in self._processes:
            process.kill()
            process.wait()
        for name in (self.sub, self.bng, self.up):
            subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL, check=False)

    def run(self, namespace: str, command: str, *, check: bool = True) -> str:
        """Carry a command out in a namespace; its output."""
        done = subprocess.run(
            ["ip", "netns", "exec", namespace, *command.split()], capture_output=True, text=True, check=False
        )
        if check and done.returncode:
            raise RuntimeError(f"{command}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def spawn(self, namespace: str, command: str) -> subprocess.Popen[bytes]:
        """Start a process in a namespace; it ends with the world."""
        process = subprocess.Popen(
            ["ip", "netns", "exec", namespace, *command.split()],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._processes.append(process)
        return process

    @contextlib.contextmanager
    def inside(self, namespace: str) -> Iterator[None]:
        """This thread in another namespace for a while."""
        back = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
        try:
            _enter(there)
            yield
        finally:
            _enter(back)
            os.close(back)
            os.close(there)

    def _build(self) -> None:
        for name in (self.sub, self.bng, self.up):
            subprocess.run(["ip", "netns", "add", name], check=True)
            self.run(name, "ip link set lo up")
        self.make_access()
        subprocess.run(
            f"ip link add wan0 netns {self.bng} address {WAN_MAC} type veth "
            f"peer name u0 netns {self.up} address {HOST_MAC}".split(),
            check=True,
        )
        self._finish_link(self.bng, "wan0", f"{BNG_UPSTREAM}/24")
        self._finish_link(self.up, "u0", f"{HOST}/24")
        self.run(self.up, f"ip route add 100.64.0.0/10 via {BNG_UPSTREAM}")
        self.run(self.up, f"ip neigh replace {BNG_UPSTREAM} lladdr {WAN_MAC} dev u0 nud permanent")
        self.run(self.bng, f"ip neigh replace {HOST} lladdr {HOST_MAC} dev wan0 nud permanent")
        self.run(self.bng, f"ip route add default via {HOST}")
        _enter(os.open(f"/run/netns/{self.bng}", os.O_RDONLY | os.O_CLOEXEC))

    def make_access(self) -> None:
        """The access line, whose subscriber end has the addresses of subscriber 0."""
        subprocess.run(
            f"ip link add acc0 netns {self.bng} address {ACCESS_MAC} type veth "
            f"peer name s0 netns {self.sub} address {mac_text(subscriber_mac(0))}".split(),
            check=True,
        )
        self._finish_link(self.bng, "acc0", f"{GATEWAY}/10")
        self._finish_link(self.sub, "s0", f"{subscriber_ip(0)}/10")
        self.run(self.sub, f"ip neigh replace {GATEWAY} lladdr {ACCESS_MAC} dev s0 nud permanent")
        self.run(self.sub, f"ip route add default via {GATEWAY}")

    def _finish_link(self, namespace: str, name: str, address: str) -> None:
        if not self._offloads:
            with self.inside(namespace):
                offload.disable(name)
        if namespace != self.bng:
            # Taps see a test's datagrams; the host's stack must not answer them with ICMP.
            self.run(namespace, "nft add table ip silent")
            self.run(namespace, "nft add chain ip silent in { type filter hook input priority 0 ; }")
            self.run(namespace, f"nft add rule ip silent in udp dport {PORT} drop")
        self.run(namespace, f"ip addr add {address} dev {name}")
        self.run(namespace, f"ip link set {name} up")


class Wire:
    """A packet socket at one end of a link: sends frames and counts those that arrive."""

    def __init__(self, world: World, namespace: str, interface: str) -> None:
        with world.inside(namespace):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
            self._socket.bind((interface, 0x0800))
        self._socket.setsockopt(263, 23, 1)  # PACKET_IGNORE_OUTGOING
        self._socket.setsockopt(socket.SOL_SOCKET, 33, 32 << 20)
        self._socket.setblocking(False)

    def send(self, frame: bytes, count: int = 1) -> None:
        for _ in range(count):
            self._socket.send(frame)

    def raw(self, *, wait: float = 0.1) -> list[bytes]:
        """All IPv4 frames that came, until none has come for `wait` seconds."""
        frames: list[bytes] = []
        last = time.monotonic()
        while time.monotonic() - last < wait:
            try:
                frames.append(self._socket.recv(65536))
            except BlockingIOError:
                time.sleep(0.005)
                continue
            last = time.monotonic()
        return frames

    def arrived(self, *, port: int = PORT, wait: float = 0.1) -> list[bytes]:
        """The UDP frames to this port among them."""
        wanted = struct.pack(">H", port)
        return [
            frame
            for frame in self.raw(wait=wait)
            if len(frame) >= 42 and frame[23] == 17 and frame[36:38] == wanted
        ]

    def close(self) -> None:
        self._socket.close()


def checksum(header: bytes) -> int:
    total = sum(struct.unpack(f">{len(header) // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def udp_frame(
    source_mac: bytes,
    source: IPv4Address | str,
    destination: IPv4Address | str = HOST,
    *,
    destination_mac: str = ACCESS_MAC,
    port: int = PORT,
    source_port: int = 5001,
    size: int = 100,
) -> bytes:
    """An Ethernet frame whose IP packet has `size` octets."""
    body = bytes(size - 28)
    ip = struct.pack(">BBHHHBBH", 0x45, 0, size, 0, 0, 64, 17, 0)
    addresses = IPv4Address(source).packed + IPv4Address(destination).packed
    ip = ip[:10] + struct.pack(">H", checksum(ip + addresses)) + addresses
    udp = struct.pack(">HHHH", source_port, port, 8 + len(body), 0)
    ethernet = bytes.fromhex(destination_mac.replace(":", "")) + source_mac + b"\x08\x00"
    return ethernet + ip + udp + body


def upload(number: int, **kwargs: object) -> bytes:
    """A frame from subscriber `number`."""
    return udp_frame(subscriber_mac(number), subscriber_ip(number), **kwargs)  # type: ignore[arg-type]


def download(number: int, **kwargs: object) -> bytes:
    """A frame from the Internet host to subscriber `number`."""
    return udp_frame(
        bytes.fromhex(HOST_MAC.replace(":", "")),
        HOST,
        subscriber_ip(number),
        destination_mac=WAN_MAC,
        **kwargs,  # type: ignore[arg-type]
    )


def iperf3(world: World, *, reverse: bool, seconds: int, port: int = 5201) -> float:
    """TCP goodput in bits per second between subscriber 0 and the host, as the receiver measured it; the
    first second does not count."""
    server = world.spawn(world.up, f"iperf3 -s -1 -p {port}")
    time.sleep(0.3)
    way = "-R" if reverse else ""
    text = world.run(world.sub, f"iperf3 -c {HOST} -p {port} -t {seconds} -O 1 -J {way}")
    server.wait(timeout=10)
    return float(json.loads(text)["end"]["sum_received"]["bits_per_second"])


def namespaces_available() -> bool:
    """Whether this user may make network namespaces."""
    return os.geteuid() == 0 and Path("/proc/self/ns/net").exists()
