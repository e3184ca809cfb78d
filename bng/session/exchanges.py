"""DHCP between subscribers and servers: what is relayed and what dropped, what an answer binds."""

from __future__ import annotations

from bng.codec import option82
from bng.codec.address import NO_IP
from bng.codec.dhcp import DhcpPacket, MessageType
from bng.session import effects as fx
from bng.session import events as ev
from bng.session.base import Ending
from bng.session.commands import Commands
from bng.session.records import AccessLine, Binding, lease_deadline
from bng.session.relay import Drop, Exchange
from bng.session.states import Input

_FAILURES = frozenset(
    {
        "access-router-down",
        "max-sessions",
        "max-sessions-per-access-router",
        "move-denied",
        "second-device",
        "too-many-devices",
    }
)
"""Reasons to drop a packet that leave a subscriber without service."""


class Exchanges(Commands):
    """What passes between subscribers and DHCP servers."""

    def _from_subscriber(self, event: ev.DhcpFromSubscriber) -> None:
        packet = event.packet
        try:
            origin = self.relay.classify(event, self.store.with_ip, self._now)
            line = origin.line
            if origin.marked:
                seen = fx.RouterSeen(line.remote_id, packet.giaddr, event.interface, event.source_mac)
                self._out.append(seen)
            ending = self._judge(packet, line)
        except Drop as drop:
            self._dropped(str(drop))
            return
        try:
            self._out.extend(self.relay.forward(event, origin, self._now))
        except Drop as drop:
            self._dropped(str(drop))
        session = self.store.on_line(line)
        if ending is not None and session is not None:
            what = Input.RELEASED if ending.cause == "User-Request" else Input.DECLINED
            self.fire(session, what, ending)
        self._arm_pending()

    def _judge(self, packet: DhcpPacket, line: AccessLine) -> Ending | None:
        """Whether a request may go on (else Drop), and whether it ends the session."""
        session = self.store.on_line(line)
        self.relay.admit(line, packet, session, self._now)
        kind = packet.message_type
        if kind in (MessageType.RELEASE, MessageType.DECLINE):
            return self._judge_ending(packet, line)
        if session is None and line not in self._starting:
            router = self.settings.routers.get(line.remote_id)
            if router is not None and not router.in_service:
                raise Drop("access-router-down")
            self._judge_room(line)
        if line in self.tombstones:
            # only who begins anew comes back: a DISCOVER, and the REQUEST that selects an offer
            selecting = kind == MessageType.REQUEST and packet.server_id != NO_IP
            if kind != MessageType.DISCOVER and not selecting:
                raise Drop("tombstone")
        if kind == MessageType.INFORM:
            return None
        if kind == MessageType.REQUEST and packet.asks_for == NO_IP:
            # a server would take it for a request for whatever the client had (RFC 2131, 4.3.6, forbids it)
            raise Drop("request-without-address")
        self.judge_request(packet, line)
        self.tombstones.pop(line, None)
        return None

    def _judge_room(self, line: AccessLine) -> None:
        """Whether one more session may start there; else Drop."""
        reason = self.full(line)
        if reason:
            raise Drop(reason)

    def _judge_ending(self, packet: DhcpPacket, line: AccessLine) -> Ending | None:
        """RELEASE and DECLINE count only from the device that holds the address, on its own line."""
        release = packet.message_type == MessageType.RELEASE
        address = packet.ciaddr if release else packet.requested_address
        held = self._starting.get(line) or self.store.on_line(line) or self.tombstones.get(line)
        if held is None or (held.mac_address, held.ip_address) != (packet.mac_address, address):
            raise Drop("not-the-holder")
        self._starting.pop(line, None)
        if release:
            return Ending("User-Request", "released")
        return Ending("Lost-Service", "address declined: in use by another device")

    def _from_server(self, event: ev.DhcpFromServer) -> None:
        packet = event.packet
        try:
            exchange = self.relay.match(event, self._now)
            binding = self._binding_of(event, exchange)
        except Drop as drop:
            self._dropped(str(drop))
            return
        self._out.append(self.relay.backward(packet, exchange))
        if packet.message_type == MessageType.NAK:
            self._nak(exchange.line, packet)
        elif packet.message_type == MessageType.ACK:
            self.relay.done(packet, exchange)
            self._arm_pending()
            if binding is not None:
                self._acknowledged(binding)

    def _binding_of(self, event: ev.DhcpFromServer, exchange: Exchange) -> Binding | None:
        """What an ACK binds; None for other packets and for the answer to an INFORM."""
        packet = event.packet
        if packet.message_type == MessageType.NAK or exchange.request == MessageType.INFORM:
            return None
        self.judge_grant(packet, exchange)
        if packet.message_type != MessageType.ACK:
            return None
        if packet.yiaddr == NO_IP:
            raise Drop("ack-without-address")
        if self.store.on_line(exchange.line) is None:
            self._judge_room(exchange.line)
        binding = Binding(
            exchange.line,
            packet.mac_address,
            packet.yiaddr,
            exchange.interface,
            exchange.giaddr,
            event.server,
            lease_deadline(packet.lease_time, self._now),
        )
        binding.client_id = exchange.client_id
        binding.asked = True
        if exchange.relay_agent is not None:
            binding.relay_agent = option82.beyond_text(exchange.relay_agent, *exchange.line)
        return binding

    def _acknowledged(self, binding: Binding) -> None:
        if self._starting.pop(binding.line, None) is not None:
            self.bind(binding)  # the session before is still ending, and is waited for again
            return
        session = self.store.on_line(binding.line)
        if session is None or not binding.renews(session) or not self.fire(session, Input.RENEWED, binding):
            self.bind(binding)

    def _nak(self, line: AccessLine, packet: DhcpPacket) -> None:
        session = self.store.on_line(line)
        if session is None or session.mac_address != packet.mac_address:
            return
        naks = session.naks + 1
        if naks < self.settings.nak_threshold:
            self.fire(session, Input.NAKED)
        else:
            self.fire(session, Input.NAK_LIMIT, Ending("Lost-Service", f"{naks} DHCPNAKs in a row"))

    def _arm_pending(self) -> None:
        expired, deadline = self.relay.expire(self._now)
        for exchange in expired:
            self.fire_pending(Input.EXPIRED, exchange)
        if deadline != self._pending_deadline:
            self._pending_deadline = deadline
            if deadline is None:
                self._out.append(fx.CancelTimer(ev.Timer.PENDING, ""))
            else:
                self._out.append(fx.SetTimer(ev.Timer.PENDING, "", deadline))

    def _dropped(self, reason: str) -> None:
        self.relay.dropped[reason] += 1
        if reason in _FAILURES:
            self.failures[reason] += 1
        self.drop = reason
