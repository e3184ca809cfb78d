"""Subscribers behind a bridged access node, as few lines as possible: frames with option 82 already in.

One packet socket carries any number of them. `Subscribers.exchange` runs DISCOVER → OFFER → REQUEST → ACK for
many at once with a bounded window; it is cheap enough to drive a benchmark.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

_ETH_P_IP = 0x0800
_SOL_PACKET, _PACKET_IGNORE_OUTGOING = 263, 23
_BROADCAST = b"\xff" * 6
_MAGIC = b"\x63\x82\x53\x63"
DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE = range(1, 8)


def _checksum(data: bytes) -> int:
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@dataclass
class Subscriber:
    """One subscriber.

    Attributes:
        address, server, router_mac: learnt by DHCP.
        began: when its last DISCOVER left; bound: when the ACK came (time.monotonic).
        marked: its access node inserts option 82.
        client_id: value of option 61; none when empty.
    """

    number: int
    remote_id: str = "node-1"
    address: str = ""
    server: str = ""
    began: float = 0.0
    bound: float = 0.0
    nak: int = 0
    marked: bool = True
    client_id: bytes = b""
    circuit_id: str = field(init=False)
    mac: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.circuit_id = f"1/0/{self.number}"
        self.mac = b"\x02\xae" + self.number.to_bytes(4, "big")

    @property
    def mac_text(self) -> str:
        return self.mac.hex(":")

    def payload(
        self,
        kind: int,
        *,
        ciaddr: str = "0.0.0.0",
        requested: str = "",
        server: str = "",
        xid: int = 0,
        relay: tuple[str, str] | None = None,
    ) -> bytes:
        """A DHCP request. xid 0: the subscriber's number; relay: giaddr and link-selection of an agent."""
        giaddr = socket.inet_aton(relay[0]) if relay else bytes(4)
        head = struct.pack(
            "!BBBBIHH4s4s4s4s16s64s128s",
            1, 1, 6, 0, xid or self.number + 1, 0, 0,
            socket.inet_aton(ciaddr), bytes(4), bytes(4), giaddr, self.mac, b"", b"",
        )  # fmt: skip
        options = bytes([53, 1, kind])
        if requested:
            options += b"\x32\x04" + socket.inet_aton(requested)
        if server:
            options += b"\x36\x04" + socket.inet_aton(server)
        circuit, remote = self.circuit_id.encode(), self.remote_id.encode()
        agent = bytes([1, len(circuit)]) + circuit + bytes([2, len(remote)]) + remote
        if relay:
            agent += b"\x05\x04" + socket.inet_aton(relay[1])
        if self.client_id:
            options += bytes([61, len(self.client_id)]) + self.client_id
        if self.marked:
            options += bytes([82, len(agent)]) + agent
        return head + _MAGIC + options + b"\xff"

    def frame(
        self, kind: int, *, ciaddr: str = "0.0.0.0", requested: str = "", server: str = "", xid: int = 0
    ) -> bytes:
        """A DHCP request as it leaves the access node."""
        payload = self.payload(kind, ciaddr=ciaddr, requested=requested, server=server, xid=xid)
        udp = struct.pack("!HHHH", 68, 67, 8 + len(payload), 0) + payload
        source = socket.inet_aton(ciaddr)
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, source, b"\xff" * 4)
        ip = ip[:10] + struct.pack("!H", _checksum(ip)) + ip[12:]
        return _BROADCAST + self.mac + struct.pack("!H", _ETH_P_IP) + ip + udp


def parse_reply(frame: bytes) -> tuple[int, bytes, str, str, int] | None:
    """(xid, chaddr, yiaddr, server identifier, message type) of a DHCP reply in a frame, else None."""
    if len(frame) < 282 or frame[12:14] != b"\x08\x00" or frame[23] != 17:
        return None
    start = 14 + (frame[14] & 15) * 4
    if frame[start + 2 : start + 4] != b"\0\x44" or frame[start + 8] != 2:
        return None
    return parse_packet(frame[start + 8 :])


def parse_packet(packet: bytes) -> tuple[int, bytes, str, str, int]:
    """The same of a DHCP packet."""
    kind, server, at = 0, "", 240
    while at + 2 <= len(packet) and packet[at] != 255:
        if packet[at] == 0:
            at += 1
            continue
        value = packet[at + 2 : at + 2 + packet[at + 1]]
        if packet[at] == 53:
            kind = value[0]
        elif packet[at] == 54:
            server = socket.inet_ntoa(value)
        at += 2 + packet[at + 1]
    xid = struct.unpack_from("!I", packet, 4)[0]
    return xid, packet[28:34], socket.inet_ntoa(packet[16:20]), server, kind


class Subscribers:
    """A packet socket on the subscribers' end of a link. Make it inside of their namespace.

    Attributes:
        repeated: packets that were sent again because nobody answered.
    """

    repeated = 0

    def __init__(self, interface: str) -> None:
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_IP))
        self.socket.bind((interface, _ETH_P_IP))
        self.socket.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.socket.setblocking(False)

    def close(self) -> None:
        self.socket.close()

    def send(self, frame: bytes) -> None:
        self.socket.send(frame)

    def message(self, subscriber: Subscriber, kind: int, **fields: str) -> bytes:
        """What is sent for a subscriber."""
        return subscriber.frame(kind, **fields)  # type: ignore[arg-type]

    def receive(self) -> tuple[int, bytes, str, str, int] | None:
        """The next reply, None for what is none. Raises BlockingIOError."""
        return parse_reply(self.socket.recv(2048))

    def exchange(
        self, subscribers: Iterable[Subscriber], *, window: int = 64, retry: float = 1.0, within: float = 30.0
    ) -> list[Subscriber]:
        """Bring subscribers up; returns those that got an address. Lost packets are sent again."""
        waiting = deque(subscribers)
        everyone = list(waiting)
        flying: dict[bytes, tuple[Subscriber, bytes, float]] = {}
        deadline = time.monotonic() + within
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        looked = time.monotonic()
        while (waiting or flying) and time.monotonic() < deadline:
            while waiting and len(flying) < window:
                subscriber = waiting.popleft()
                subscriber.began = time.monotonic()
                self._say(flying, subscriber, self.message(subscriber, DISCOVER))
            if poll.poll(50):
                self._drain(flying)
            if time.monotonic() - looked > retry / 4:
                looked = time.monotonic()
                self._repeat(flying, retry)
        return [subscriber for subscriber in everyone if subscriber.bound]

    def arrive(self, subscribers: Iterable[Subscriber], rate: float, within: float = 30.0) -> int:
        """Let subscribers come at a steady rate (per second), whether those before are served or not. Nothing
        is sent twice. `began` is when a subscriber was due, not when it was sent. Returns how many were
        bound."""
        everyone = list(subscribers)
        flying: dict[bytes, tuple[Subscriber, bytes, float]] = {}
        start = time.monotonic()
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        arrived = 0
        while arrived < len(everyone) or flying:
            now = time.monotonic()
            if now - start > len(everyone) / rate + within:
                break
            while arrived < len(everyone) and (due := start + arrived / rate) <= now:
                subscriber = everyone[arrived]
                subscriber.began = due
                self._say(flying, subscriber, self.message(subscriber, DISCOVER))
                arrived += 1
            if poll.poll(1):
                self._drain(flying)
        return sum(1 for subscriber in everyone if subscriber.bound)

    def _say(
        self, flying: dict[bytes, tuple[Subscriber, bytes, float]], subscriber: Subscriber, frame: bytes
    ) -> None:
        flying[subscriber.mac] = subscriber, frame, time.monotonic()
        self.send(frame)

    def _repeat(self, flying: dict[bytes, tuple[Subscriber, bytes, float]], retry: float) -> None:
        now = time.monotonic()
        for subscriber, frame, sent in list(flying.values()):
            if now - sent >= retry:
                self.repeated += 1
                self._say(flying, subscriber, frame)

    def _drain(self, flying: dict[bytes, tuple[Subscriber, bytes, float]]) -> None:
        for _ in range(256):
            try:
                reply = self.receive()
            except BlockingIOError:
                return
            if reply is None or reply[1] not in flying:
                continue
            _, mac, address, server, kind = reply
            subscriber = flying[mac][0]
            if kind == OFFER:
                request = self.message(subscriber, REQUEST, requested=address, server=server)
                self._say(flying, subscriber, request)
            elif kind == ACK:
                subscriber.address, subscriber.server = address, server
                subscriber.bound = time.monotonic()
                del flying[mac]
            elif kind == NAK:
                subscriber.nak += 1
                self._say(flying, subscriber, self.message(subscriber, DISCOVER))

    def renew(self, subscriber: Subscriber, within: float = 5.0) -> int:
        """Renew the lease; returns the type of the answer, 0 without one."""
        self.send(subscriber.frame(REQUEST, ciaddr=subscriber.address, xid=subscriber.number + 900_000))
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            ready, _, _ = select.select([self.socket], [], [], 0.1)
            if ready:
                reply = parse_reply(self.socket.recv(2048))
                if reply is not None and reply[1] == subscriber.mac:
                    return reply[4]
        return 0

    def release(self, subscriber: Subscriber) -> None:
        """Give the address back."""
        self.send(subscriber.frame(RELEASE, ciaddr=subscriber.address, server=subscriber.server))


class RelayedSubscribers(Subscribers):
    """The same subscribers without a BNG: a relay agent that speaks with the DHCP server itself."""

    def __init__(self, giaddr: str, link: str, server: str) -> None:
        self.relay = (giaddr, link)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.socket.bind((giaddr, 67))
        self.socket.connect((server, 67))
        self.socket.setblocking(False)

    def message(self, subscriber: Subscriber, kind: int, **fields: str) -> bytes:
        return subscriber.payload(kind, relay=self.relay, **fields)  # type: ignore[arg-type]

    def receive(self) -> tuple[int, bytes, str, str, int] | None:
        return parse_packet(self.socket.recv(2048))
