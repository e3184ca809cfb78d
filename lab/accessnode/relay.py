"""What an access node does with a DHCP packet, bridged or routed; without I/O.

``BridgedRelay`` is a layer 2 relay agent (TR-101, section 3.8.1): frames keep their addresses, requests gain
option 82, answers lose it. ``RoutedRelay`` is a relay agent of RFC 1542: it puts its address into giaddr and
speaks UDP with the BNG. Both trust nothing that a subscriber port says about access lines.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from lab.accessnode import dhcp, frames

MAX_TRANSACTIONS = 4096
"""Exchanges whose port is remembered for servers that do not echo option 82."""


class Refused(Exception):
    """A packet is dropped; the text is the reason, a few words that are also a counter's name."""


@dataclass(frozen=True)
class Identity:
    """How a node names its access lines: ``1/0/<port>`` under its remote-id."""

    remote_id: str
    ports: int

    def line(self, port: int) -> dhcp.AgentInformation:
        """Option 82 of a subscriber port, numbered from 1."""
        return dhcp.AgentInformation(f"1/0/{port}".encode(), self.remote_id.encode())

    def port(self, information: dhcp.AgentInformation) -> int | None:
        """The subscriber port of an option 82, None when it is not one of this node's."""
        if information.remote_id != self.remote_id.encode():
            return None
        prefix, _, port = information.circuit_id.rpartition(b"/")
        if prefix != b"1/0" or not port.isdigit() or len(port) > 5:
            return None
        number = int(port)
        return number if 1 <= number <= self.ports else None


class _Transactions:
    """(transaction, hardware address) → port, the oldest forgotten first."""

    def __init__(self) -> None:
        self._ports: OrderedDict[tuple[int, bytes], int] = OrderedDict()

    def remember(self, message: dhcp.Message, port: int) -> None:
        key = (message.transaction, message.hardware)
        self._ports[key] = port
        self._ports.move_to_end(key)
        if len(self._ports) > MAX_TRANSACTIONS:
            self._ports.popitem(last=False)

    def port(self, message: dhcp.Message) -> int | None:
        return self._ports.get((message.transaction, message.hardware))


class _Relay:
    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._transactions = _Transactions()

    def _request(self, frame: bytes, port: int) -> tuple[frames.Datagram, dhcp.Message]:
        """A request of a subscriber port, checked; raises Refused."""
        try:
            datagram = frames.decode(frame)
            if datagram.destination_port != dhcp.SERVER_PORT:
                raise Refused("not to a server")
            message = dhcp.decode(datagram.payload)
        except (frames.NotUdp, dhcp.Malformed) as error:
            raise Refused("malformed request") from error
        if message.op != dhcp.REQUEST:
            raise Refused("reply from a subscriber")
        if message.gateway != IPv4Address(0):
            raise Refused("relayed by a subscriber")
        if message.hops > dhcp.MAX_HOPS:
            raise Refused("too many hops")
        self._transactions.remember(message, port)
        return datagram, message

    def _answer(self, payload: bytes) -> tuple[dhcp.Message, int]:
        """An answer from the BNG and the port that it is for; raises Refused."""
        try:
            message = dhcp.decode(payload)
        except dhcp.Malformed as error:
            raise Refused("malformed answer") from error
        if message.op != dhcp.REPLY:
            raise Refused("request from the uplink")
        information = message.agent_information()
        if information is not None:
            port = self._identity.port(information)
        else:
            port = self._transactions.port(message)
        if port is None:
            raise Refused("answer for no port of this node")
        return message, port


class BridgedRelay(_Relay):
    """A transparent layer 2 relay agent."""

    def from_subscriber(self, frame: bytes, port: int) -> bytes:
        """The frame for the uplink; raises Refused."""
        datagram, message = self._request(frame, port)
        try:
            payload = dhcp.with_agent_information(message, self._identity.line(port))
        except dhcp.Malformed as error:
            raise Refused("request too large") from error
        return frames.encode(replace(datagram, payload=payload))

    def from_uplink(self, frame: bytes) -> tuple[int, bytes]:
        """The subscriber port and the frame for it; raises Refused."""
        try:
            datagram = frames.decode(frame)
        except frames.NotUdp as error:
            raise Refused("malformed answer") from error
        message, port = self._answer(datagram.payload)
        payload = dhcp.without_agent_information(message)
        return port, frames.encode(replace(datagram, payload=payload))


class RoutedRelay(_Relay):
    """A relay agent with an address of its own, the subscribers' gateway."""

    def __init__(self, identity: Identity, address: IPv4Address, mac: bytes) -> None:
        super().__init__(identity)
        self._address = address
        self._mac = mac

    def from_subscriber(self, frame: bytes, port: int) -> bytes:
        """The DHCP message to send from this node's address to the BNG; raises Refused."""
        _, message = self._request(frame, port)
        try:
            return dhcp.with_agent_information(message, self._identity.line(port), gateway=self._address)
        except dhcp.Malformed as error:
            raise Refused("request too large") from error

    def from_bng(self, payload: bytes) -> tuple[int, bytes]:
        """The subscriber port and the frame for it; raises Refused."""
        message, port = self._answer(payload)
        if message.gateway != self._address:
            raise Refused("answer for another relay")
        destination_mac, destination = _destination(message)
        datagram = frames.Datagram(
            source_mac=self._mac,
            destination_mac=destination_mac,
            source=self._address,
            destination=destination,
            source_port=dhcp.SERVER_PORT,
            destination_port=dhcp.CLIENT_PORT,
            payload=dhcp.without_agent_information(message),
        )
        return port, frames.encode(datagram)


def _destination(message: dhcp.Message) -> tuple[bytes, IPv4Address]:
    """Where RFC 2131, section 4.1, sends an answer on the client's own link."""
    if message.client_address != IPv4Address(0):
        return message.hardware, message.client_address
    if message.broadcast or message.your_address == IPv4Address(0):
        return frames.BROADCAST_MAC, frames.BROADCAST
    return message.hardware, message.your_address
