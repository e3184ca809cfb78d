"""The DHCP relay: what becomes of a packet, apart from what it means for a session.

Pure: decides, rewrites and remembers exchanges under way (`Exchange`), which are neither journaled nor
visible. `machine` asks it for both directions. RFC 2131, RFC 1542 (hops, giaddr, broadcast flag), RFC 3046.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass

from bng.codec import dhcp, option82
from bng.codec.address import BROADCAST_IP, BROADCAST_MAC, NO_IP
from bng.codec.dhcp import BOOTREPLY, BOOTREQUEST, DhcpPacket, MessageType, Option
from bng.codec.errors import DecodeError
from bng.seam.clock import NS
from bng.session.admission import Admission
from bng.session.effects import SendToServer, SendToSubscriber
from bng.session.events import DhcpFromServer, DhcpFromSubscriber
from bng.session.records import AccessLine
from bng.session.settings import Settings

MAX_EXCHANGES = 65536
MAX_EXCHANGES_PER_LINE = 8
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


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request that a server may still answer.

    Attributes:
        line: where it came from.
        request: its message type.
        interface, source_mac, giaddr: how to reach the client, or its access node.
        relay_agent: option 82 as the access node wrote it.
        time: when it was relayed, nanoseconds.
    """

    line: AccessLine
    request: int
    interface: str
    source_mac: str
    giaddr: str
    relay_agent: bytes
    time: int


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
    """

    def __init__(self, settings: Settings) -> None:
        self.received = 0
        self.dropped: Counter[str] = Counter()
        self.servers: dict[str, ServerStatistics] = {}
        self._exchanges: OrderedDict[tuple[AccessLine, int, str], Exchange] = OrderedDict()
        self._on_line: dict[AccessLine, OrderedDict[tuple[AccessLine, int, str], None]] = {}
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

    # towards the servers

    def classify(self, event: DhcpFromSubscriber, now: int) -> tuple[AccessLine, bytes]:
        """The access line of a packet from a subscriber, and its option 82.

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
        relay_agent = packet.options.get(Option.RELAY_AGENT)
        if relay_agent is None:
            raise Drop("no-option-82")
        try:
            line = AccessLine(*option82.access_line(relay_agent))
        except DecodeError:
            raise Drop("bad-option-82") from None
        if not event.admitted and not self.admission.admit(line, now):
            raise Drop("rate-limit")
        return line, relay_agent

    def forward(
        self, event: DhcpFromSubscriber, line: AccessLine, relay_agent: bytes, now: int
    ) -> list[SendToServer]:
        """Rewrite a request for the servers and remember it, if it will be answered.

        Raises:
            Drop: no server is configured.
        """
        settings, packet = self.settings, event.packet
        if not settings.servers:
            raise Drop("no-server")
        link = packet.giaddr if packet.giaddr != NO_IP else settings.interfaces[event.interface].address
        onward = packet.with_option(
            Option.RELAY_AGENT,
            option82.add(relay_agent, settings.relay_id, link),
            giaddr=settings.uplink_address,
            hops=packet.hops + 1,
        )
        answered = packet.message_type not in (MessageType.RELEASE, MessageType.DECLINE)
        if answered:
            self._remember(event, line, relay_agent, now)
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
            line = AccessLine(*option82.access_line(packet.options.get(Option.RELAY_AGENT, b"")))
        except DecodeError:
            raise Drop("reply-without-option-82") from None
        exchange = self._exchanges.get((line, packet.xid, packet.mac_address))
        if exchange is None:
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

    def expire(self, now: int) -> int | None:
        """Drop exchanges that are too old. Returns when the next one will be, None if there is none."""
        lifetime = self.settings.pending_timeout * NS
        while self._exchanges:
            key, exchange = next(iter(self._exchanges.items()))
            if exchange.time + lifetime > now:
                return exchange.time + lifetime
            self._forget(key)
        return None

    def _remember(self, event: DhcpFromSubscriber, line: AccessLine, relay_agent: bytes, now: int) -> None:
        packet = event.packet
        key = (line, packet.xid, packet.mac_address)
        self._forget(key)
        of_line = self._on_line.setdefault(line, OrderedDict())
        if len(of_line) >= MAX_EXCHANGES_PER_LINE:
            self._forget(next(iter(of_line)))
        elif len(self._exchanges) >= MAX_EXCHANGES:
            self._forget(next(iter(self._exchanges)))
        self._exchanges[key] = Exchange(
            line, packet.message_type, event.interface, event.source_mac, packet.giaddr, relay_agent, now
        )
        self._on_line.setdefault(line, of_line)[key] = None

    def _forget(self, key: tuple[AccessLine, int, str]) -> None:
        if self._exchanges.pop(key, None) is None:
            return
        of_line = self._on_line[key[0]]
        del of_line[key]
        if not of_line:
            del self._on_line[key[0]]
