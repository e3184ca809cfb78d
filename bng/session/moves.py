"""What a session has and another access line asks for: its hardware address, client identifier, or address.

A DHCP server knows clients, not access lines: it gives the address of a client to whoever says that it is
this client, on any line. What then becomes of the session is the operator's choice (`Settings.port_move`),
made before the server is asked. `Settings.second_device` is the same for two devices on one line.
"""

from __future__ import annotations

from bng.codec.address import NO_IP
from bng.codec.dhcp import DhcpPacket, MessageType
from bng.session import effects as fx
from bng.session.base import Base, Ending
from bng.session.records import AccessLine, Session, to_event
from bng.session.relay import Drop, Exchange
from bng.session.states import Input, State


class Moves(Base):
    """Who may have what a session has."""

    def elsewhere(self, line: AccessLine, mac_address: str, client_id: bytes) -> list[Session]:
        """Live sessions of a device on other access lines."""
        by_client = self.store.with_client(client_id) if client_id else None
        if by_client is None and not self.store.has_mac(mac_address):
            return []
        found = {s.id: s for s in (*self.store.with_mac(mac_address), by_client) if s is not None}
        return [s for s in found.values() if s.line != line and s.state is not State.TERMINATING]

    def held_elsewhere(self, line: AccessLine, ip_address: str) -> Session | None:
        """The live session on another access line that has an address."""
        session = self.store.with_ip(ip_address)
        if session is None or session.line == line or session.state is State.TERMINATING:
            return None
        return session

    def keeper(self, *sessions: Session | None) -> Session | None:
        """The first of these sessions that keeps what it has where moves are denied. One that RADIUS refused
        does not: else a line without service could shut out a device by copying its hardware address."""
        return next((s for s in sessions if s is not None and s.state is not State.REJECTED), None)

    def judge_request(self, packet: DhcpPacket, line: AccessLine) -> None:
        """A DISCOVER or REQUEST, before a server sees it. Raises Drop when it must not."""
        own = self._own(line)
        if own is not None and own.mac_address != packet.mac_address:
            self._judge_second()
        if own is not None and (own.mac_address, own.client_id) == (packet.mac_address, packet.client_id):
            others = []
        else:
            others = self.elsewhere(line, packet.mac_address, packet.client_id)
        if self.settings.port_move == "deny":
            holder = self.keeper(*others, self._asked_for(packet, line))
            if holder is not None:
                self.deny_move(holder, line, packet.mac_address)
                raise Drop("move-denied")
        elif self.settings.port_move == "replace":
            for other in others:
                self.move(other, line, "asks")

    def judge_grant(self, packet: DhcpPacket, exchange: Exchange) -> None:
        """An OFFER or ACK, before the client sees it: much may have happened since it asked. Raises Drop."""
        line = exchange.line
        own = self._own(line)
        if own is not None and own.mac_address != packet.mac_address:
            self._judge_second()
        if self.settings.port_move != "deny":
            return
        holder = self.keeper(self.held_elsewhere(line, packet.yiaddr))
        if holder is None and (own is None or own.mac_address != packet.mac_address):
            holder = self.keeper(*self.elsewhere(line, packet.mac_address, exchange.client_id))
        if holder is not None:
            self.deny_move(holder, line, packet.mac_address)
            raise Drop("move-denied")

    def _own(self, line: AccessLine) -> Session | None:
        session = self.store.on_line(line)
        return session if session is not None and session.state is not State.TERMINATING else None

    def _judge_second(self) -> None:
        if self.settings.second_device == "deny":
            raise Drop("second-device")

    def _asked_for(self, packet: DhcpPacket, line: AccessLine) -> Session | None:
        """The session on another line whose address a device wants to have, or says that it has.

        A device that starts with an address it remembers (INIT-REBOOT) may be an honest one that was away:
        the server tells it by a NAK, which it must not wait for in vain.
        """
        if packet.message_type != MessageType.REQUEST:
            return None
        if packet.ciaddr != NO_IP:
            return self.held_elsewhere(line, packet.ciaddr)
        return self.held_elsewhere(line, packet.requested_address) if packet.server_id != NO_IP else None

    def deny_move(self, holder: Session, line: AccessLine, mac_address: str) -> None:
        """Tell that a line did not get what a session has."""
        times = self._told.again("session-move-denied", line, self._now)
        if times:
            reason = f"asked for by {mac_address} on {line.remote_id} {line.circuit_id}"
            if times > 1:
                reason += f", {times} times"
            self._tell(holder, "session-move-denied", line, reason)
            self._warn(holder, mac_address)

    def move(self, session: Session, line: AccessLine, how: str) -> None:
        """End a session because its device, or its address, is on another line now."""
        reason = f"{how} on {line.remote_id} {line.circuit_id}"
        if self._told.again("session-moved", line, self._now):
            self._tell(session, "session-moved", line, reason)
        self.fire(session, Input.REPLACED, Ending("NAS-Request", reason))

    def _tell(self, session: Session, event_type: str, line: AccessLine, reason: str) -> None:
        event = to_event(session, event_type, reason)
        event["new-access-line"] = {"remote-id": line.remote_id, "circuit-id": line.circuit_id}
        self._out.append(fx.Journal(event))

    def _warn(self, other: Session, mac_address: str) -> None:
        if other.mac_address == mac_address:
            self._log("warning", "session.duplicate-mac", mac=mac_address, other=other.id)
