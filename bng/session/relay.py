"""The DHCP relay: what becomes of a packet, apart from what it means for a session.

Pure: decides, rewrites and remembers exchanges under way (`Exchange`), which are neither journaled nor
visible. `machine` asks it for both directions. RFC 2131, RFC 1542 (hops, giaddr, broadcast flag), RFC 3046.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple

from bng.codec import dhcp, option82
from bng.codec.address import BROADCAST_IP, BROADCAST_MAC, NO_IP
from bng.codec.dhcp import BOOTREPLY, BOOTREQUEST, DhcpPacket, MessageType, Option
from bng.codec.errors import DecodeError
from bng.seam.clock import NS
from bng.session.admission import Admission
from bng.session.effects import SendToServer, SendToSubscriber
from bng.session.events import DhcpFromServer, DhcpFromSubscriber
from bng.session.limits import Buckets, Devices
from bng.session.records import AccessLine, Session
from bng.session.settings import AccessRouter, Settings
from bng.session.states import State

MAX_EXCHANGES = 65536
MAX_EXPIRED = 256
"""Exchanges that are dropped at one go when they are too old."""
SILENT_AFTER = 5
"""A server is counted as down when so many packets in a row went to it without a reply."""

_FROM_CLIENTS = frozenset(
    {
        MessageType.DISCOVER,
        MessageType.REQUEST,
        MessageType.DECLINE,
        MessageType.RELEASE,
        MessageType.INFORM,
    }
)
_FROM_SERVERS = frozenset({MessageType.OFFER, MessageType.ACK, MessageType.NAK})


class Drop(Exception):
    """A packet is not relayed. The text is a stable word for statistics and the log."""


class Origin(NamedTuple):
    """Where a request came from.

    Attributes:
        line: its access line.
        relay_agent: option 82 for the servers: as the access node wrote it, or the line's own.
        marked: the access node wrote it; without that, the answer must not carry one.
        link: address that tells the servers which subnet it is (RFC 3527).
        direct: address of a client behind a routed node that spoke without its relay, else empty.
    """

    line: AccessLine
    relay_agent: bytes
    marked: bool
    link: str
    direct: str = ""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request that a server may still answer.

    Attributes:
        line: where it came from.
        request: its message type.
        interface, source_mac, giaddr: how to reach the client, or its access node.
        relay_agent: option 82 as the access node wrote it; None when it wrote none.
        time: when it was relayed, nanoseconds.
        client_id: the client identifier, empty when it has none.
        direct: as in `Origin`.
    """

    line: AccessLine
    request: int
    interface: str
    source_mac: str
    giaddr: str
    relay_agent: bytes | None
    time: int
    client_id: bytes = b""
    direct: str = ""


@dataclass(slots=True)
class ServerStatistics:
    """A DHCP server as aether-health:dhcp-server shows it. latency: microseconds, 0 before the first."""

    requests: int = 0
    replies: int = 0
    latency: int = 0
    unanswered: int = 0

    @property
    def up(self) -> bool:
        return self.unanswered < SILENT_AFTER


class Relay:
    """Exchanges under way, limits, and statistics of the relay.

    Attributes:
        received: packets from subscribers.
        dropped: packets not relayed, by reason, both directions.
        servers: statistics by server address.
        admission: limits of the access lines.
        devices: who asked lately on each access line.
        line: that of the packet looked at last, None when it has none.
    """

    def __init__(self, settings: Settings) -> None:
        self.received = 0
        self.dropped: Counter[str] = Counter()
        self.servers: dict[str, ServerStatistics] = {}
        self.line: AccessLine | None = None
        self._exchanges: OrderedDict[tuple[AccessLine, int, str], Exchange] = OrderedDict()
        self._on_line: dict[AccessLine, OrderedDict[tuple[AccessLine, int, str], None]] = {}
        self.devices = Devices()
        self._of_devices: Buckets[tuple[AccessLine, str]] = Buckets()
        self.admission = Admission(settings.rate_limit)
        self.configure(settings)

    def __len__(self) -> int:
        return len(self._exchanges)

    def configure(self, settings: Settings) -> None:
        """Take over changed settings; statistics of servers that stay are kept."""
        self.settings = settings
        self.admission.rate = settings.rate_limit
        self.servers = {
            address: self.servers.get(address, ServerStatistics()) for address, _ in settings.servers
        }
        self._own = {settings.uplink_address, *(i.address for i in settings.interfaces.values())} - {NO_IP}

    # towards the servers

    def classify(
        self, event: DhcpFromSubscriber, holder: Callable[[str], Session | None], now: int
    ) -> Origin:
        """Where a packet from a subscriber came from.

        Args:
            holder: the session that has an address; asked for packets without option 82.

        Raises:
            Drop: the packet is none that a relay passes on, or too many came.
        """
        self.received += 1
        packet = event.packet
        if packet.op != BOOTREQUEST or packet.message_type not in _FROM_CLIENTS:
            raise Drop("not-a-request")
        if event.interface not in self.settings.interfaces:
            raise Drop("unknown-interface")
        if packet.hops >= self.settings.max_hops:
            raise Drop("too-many-hops")
        if Option.RELAY_AGENT in packet.options:
            origin = self._marked(event, packet.options[Option.RELAY_AGENT])
        else:
            origin = self._unmarked(event, holder)
        if not event.admitted and not self.admission.admit(origin.line, now):
            raise Drop("rate-limit")
        return origin

    def admit(self, line: AccessLine, packet: DhcpPacket, session: Session | None, now: int) -> None:
        """Let a device ask on an access line, whose session is given if it has one.

        Raises:
            Drop: too many devices ask there, or this one too often.
        """
        known = session is not None and session.mac_address == packet.mac_address
        if not known and not self.devices.admit(line, packet.mac_address, self.settings.max_devices, now):
            raise Drop("too-many-devices")
        if not self._of_devices.admit((line, packet.mac_address), self.settings.device_rate_limit, now):
            raise Drop("device-rate-limit")

    def _marked(self, event: DhcpFromSubscriber, relay_agent: bytes) -> Origin:
        try:
            self.line = line = AccessLine(*option82.access_line(relay_agent))
        except DecodeError:
            raise Drop("bad-option-82") from None
        giaddr = event.packet.giaddr
        self._check_giaddr(giaddr, line.remote_id, event.interface)
        link = giaddr if giaddr != NO_IP else self.settings.interfaces[event.interface].address
        return Origin(line, relay_agent, True, link)

    def _check_giaddr(self, giaddr: str, remote_id: str, interface: str) -> None:
        """Whether a remote-id may come from there: else somebody speaks in another's name."""
        if giaddr in self._own:
            raise Drop("spoofed-giaddr")
        router = self.settings.routers.get(remote_id)
        if router is None:
            if not self.settings.accept_unknown:
                raise Drop("unknown-access-router")
        elif router.interface not in (None, interface):
            raise Drop("wrong-access-router")
        elif not router.routed:
            if giaddr != NO_IP:
                raise Drop("spoofed-giaddr")
        elif giaddr == NO_IP or not _is_of(router, giaddr):
            raise Drop("wrong-access-router")

    def _unmarked(self, event: DhcpFromSubscriber, holder: Callable[[str], Session | None]) -> Origin:
        """A renewal or an INFORM that came past the relay agent of the access node: many insert option 82
        into broadcasts only. Its session tells the line. What could end a session is not let through."""
        packet = event.packet
        lives_on = packet.message_type in (MessageType.REQUEST, MessageType.INFORM)
        session = holder(packet.ciaddr) if lives_on and packet.ciaddr != NO_IP else None
        if (
            session is None
            or session.state is State.TERMINATING
            or (session.interface, session.mac_address) != (event.interface, packet.mac_address)
            or packet.giaddr not in (NO_IP, session.gateway)
        ):
            raise Drop("no-option-82")
        try:
            relay_agent = session.relay_agent or option82.of_line(*session.line)
        except DecodeError:  # known from a lease only, and the ids are too long for their text
            raise Drop("no-option-82") from None
        self.line = session.line
        if session.gateway == NO_IP:
            link = self.settings.interfaces[event.interface].address
            return Origin(session.line, relay_agent, False, link)
        return Origin(session.line, relay_agent, False, session.gateway, packet.ciaddr)

    def forward(self, event: DhcpFromSubscriber, origin: Origin, now: int) -> list[SendToServer]:
        """Rewrite a request for the servers and remember it, if it will be answered.

        Raises:
            Drop: no server is configured.
        """
        settings, packet = self.settings, event.packet
        if not settings.servers:
            raise Drop("no-server")
        onward = packet.with_option(
            Option.RELAY_AGENT,
            option82.add(origin.relay_agent, settings.relay_id, origin.link),
            giaddr=settings.uplink_address,
            hops=packet.hops + 1,
        )
        answered = packet.message_type not in (MessageType.RELEASE, MessageType.DECLINE)
        if answered:
            self._remember(event, origin, now)
        payload = dhcp.build(onward)
        for address, _ in settings.servers:
            self.servers[address].requests += 1
            self.servers[address].unanswered += answered
        return [SendToServer(address, port, payload) for address, port in settings.servers]

    # towards the subscribers

    def match(self, event: DhcpFromServer, now: int) -> Exchange:
        """The exchange that a packet from a server belongs to.

        Raises:
            Drop: it is none of our servers', not for us, or answers nothing that we relayed.
        """
        packet = event.packet
        server = self.servers.get(event.server)
        if server is None:
            raise Drop("unknown-server")
        if packet.op != BOOTREPLY or packet.message_type not in _FROM_SERVERS:
            raise Drop("not-a-reply")
        if packet.giaddr != self.settings.uplink_address:
            raise Drop("foreign-giaddr")
        try:
            relay_agent = packet.options.get(Option.RELAY_AGENT, b"")
            self.line = line = AccessLine(*option82.access_line(relay_agent))
        except DecodeError:
            raise Drop("reply-without-option-82") from None
        exchange = self._exchanges.get((line, packet.xid, packet.mac_address))
        # too old by its own time, whether or not another packet has swept it away meanwhile
        if exchange is None or exchange.time + self.settings.pending_timeout * NS <= now:
            raise Drop("unsolicited-reply")
        server.replies += 1
        server.unanswered = 0
        server.latency = max(0, now - exchange.time) // 1000
        return exchange

    def backward(self, packet: DhcpPacket, exchange: Exchange) -> SendToSubscriber:
        """Rewrite a reply as the access node expects it and address it (RFC 2131, 4.1)."""
        back = packet.with_option(Option.RELAY_AGENT, exchange.relay_agent, giaddr=exchange.giaddr)
        port = 68
        if exchange.giaddr != NO_IP:
            mac, ip, port = exchange.source_mac, exchange.giaddr, 67
        elif exchange.direct:
            mac, ip = exchange.source_mac, exchange.direct
        elif packet.message_type == MessageType.NAK:
            mac, ip = BROADCAST_MAC, BROADCAST_IP
        elif packet.ciaddr != NO_IP:
            mac, ip = packet.mac_address, packet.ciaddr
        elif packet.broadcast or packet.yiaddr == NO_IP:
            mac, ip = BROADCAST_MAC, BROADCAST_IP
        else:
            mac, ip = packet.mac_address, packet.yiaddr
        # an interface that lost its place in the configuration meanwhile: the server's id does as well
        interface = self.settings.interfaces.get(exchange.interface)
        source = interface.address if interface is not None else self.settings.uplink_address
        return SendToSubscriber(exchange.interface, mac, source, ip, port, dhcp.build(back))

    def done(self, packet: DhcpPacket, exchange: Exchange) -> None:
        """An exchange has come to its end."""
        self._forget((exchange.line, packet.xid, packet.mac_address))

    # what is remembered

    def forget(self, line: AccessLine) -> None:
        """Drop all exchanges of a line: answers that are still on their way find nobody."""
        for key in list(self._on_line.get(line, ())):
            self._forget(key)

    def expire(self, now: int) -> tuple[list[Exchange], int | None]:
        """Drop exchanges that are too old, not too many at once. Returns them, and when to look again, None
        when no exchange is left."""
        lifetime = self.settings.pending_timeout * NS
        expired: list[Exchange] = []
        while self._exchanges:
            key, exchange = next(iter(self._exchanges.items()))
            if exchange.time + lifetime > now or len(expired) >= MAX_EXPIRED:
                return expired, max(now, exchange.time + lifetime)
            self._forget(key)
            expired.append(exchange)
        return expired, None

    def _remember(self, event: DhcpFromSubscriber, origin: Origin, now: int) -> None:
        packet, line = event.packet, origin.line
        key = (line, packet.xid, packet.mac_address)
        self._forget(key)
        of_line = self._on_line.setdefault(line, OrderedDict())
        if len(of_line) >= self.settings.max_devices:
            self._forget(next(iter(of_line)))
        elif len(self._exchanges) >= MAX_EXCHANGES:
            self._forget(next(iter(self._exchanges)))
        self._exchanges[key] = Exchange(
            line,
            packet.message_type,
            event.interface,
            event.source_mac,
            packet.giaddr,
            origin.relay_agent if origin.marked else None,
            now,
            packet.client_id,
            origin.direct,
        )
        self._on_line.setdefault(line, of_line)[key] = None

    def _forget(self, key: tuple[AccessLine, int, str]) -> None:
        if self._exchanges.pop(key, None) is None:
            return
        of_line = self._on_line[key[0]]
        del of_line[key]
        if not of_line:
            del self._on_line[key[0]]


def _is_of(router: AccessRouter, giaddr: str) -> bool:
    """Whether a giaddr is one of a routed node's own; any is when none is configured."""
    if router.address is None and not router.subnets:
        return True
    return giaddr == router.address or _inside(giaddr, router.subnets)


@lru_cache(maxsize=4096)
def _inside(address: str, subnets: tuple[str, ...]) -> bool:
    return any(IPv4Address(address) in IPv4Network(subnet) for subnet in subnets)
