"""Between the writer and the network: effects become packets and questions, packets become events."""

from __future__ import annotations

import time

from bng.aaa.shell import AaaShell
from bng.access import Captures
from bng.codec import dhcp, frame, peek
from bng.codec.errors import DecodeError
from bng.inbox import Queue
from bng.loop import Writer
from bng.routers import RouterWatch
from bng.session import effects as fx
from bng.session import events as ev
from bng.session.admission import Verdict
from bng.uplink import Uplink

_SERVER_PORT = 67
_QUEUES = {Verdict.KNOWN: Queue.KNOWN, Verdict.STRANGER: Queue.STRANGER}


class NetworkOutlets:
    """The `Outlets` of a running BNG, and its inlets.

    Attributes:
        malformed: packets that could not be decoded.
        captures, uplink: set before the first packet.
    """

    captures: Captures
    uplink: Uplink

    def __init__(self, writer: Writer, aaa: AaaShell, routers: RouterWatch) -> None:
        self.malformed = 0
        self._writer = writer
        self._aaa = aaa
        self._routers = routers

    # in

    def from_subscriber(self, interface: str, data: bytes, checksum_ready: bool) -> None:
        """A frame was captured on a subscriber interface. What is over a limit is not even decoded."""
        relay_agent = peek.relay_agent(data)
        if relay_agent is None:
            self.malformed += 1
            return
        relay, now = self._writer.machine.relay, time.time_ns()
        verdict = relay.admission.judge(relay_agent, interface, peek.source_mac(data), now)
        queue = _QUEUES.get(verdict)
        if queue is None:
            relay.received += 1
            relay.dropped[verdict.value] += 1
            if relay.admission.line is not None and self._writer.witness is not None:
                self._writer.witness.shed(relay.admission.line, verdict.value, now)
            return
        try:
            udp = frame.parse(data, checksum_ready=checksum_ready)
            if udp.destination_port != _SERVER_PORT:
                return
            packet = dhcp.parse(udp.payload)
        except DecodeError:
            self.malformed += 1
            return
        self._writer.offer(ev.DhcpFromSubscriber(interface, udp.source_mac, packet, admitted=True), queue)

    def from_server(self, server: str, payload: bytes) -> None:
        """A datagram came to the relay's socket."""
        try:
            packet = dhcp.parse(payload)
        except DecodeError:
            self.malformed += 1
            return
        self._writer.offer(ev.DhcpFromServer(server, packet), Queue.OWN)

    # out

    def to_server(self, effect: fx.SendToServer) -> None:
        self.uplink.send(effect.address, effect.port, effect.payload)

    def to_subscriber(self, effect: fx.SendToSubscriber) -> None:
        self.captures.send(effect)

    def ask(self, effect: fx.AskRadius) -> None:
        self._aaa.authenticate(effect)

    def account(self, effect: fx.Account, seq: int) -> None:
        assert effect.counters is not None
        self._aaa.account(effect, effect.counters, seq)

    def router_seen(self, effect: fx.RouterSeen) -> None:
        self._routers.seen(effect.remote_id, effect.giaddr, effect.source_mac, effect.interface)
