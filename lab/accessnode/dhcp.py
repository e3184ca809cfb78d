"""As much of DHCPv4 as a relay agent touches: the fixed header and option 82 (RFC 2131, RFC 3046).

A message is kept as octets; reading checks it, and the writers return new octets with everything that is not
theirs unchanged.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address

SERVER_PORT = 67
CLIENT_PORT = 68

REQUEST = 1
REPLY = 2

MAX_HOPS = 16
"""RFC 1542, section 4.1.1: a relay agent discards what passed more relays."""

_MAGIC = b"\x63\x82\x53\x63"
_OPTIONS = 240
_MINIMUM = 300
"""BOOTP messages are at least this long (RFC 1542, section 2.1); some clients drop shorter ones."""
_MAXIMUM = 1472

_PAD, _END, _RELAY_AGENT = 0, 255, 82
_CIRCUIT_ID, _REMOTE_ID = 1, 2


class Malformed(Exception):
    """The octets are not a DHCP message that can be relayed; the text says why."""


@dataclass(frozen=True)
class AgentInformation:
    """Option 82: the sub-options of an access node."""

    circuit_id: bytes
    remote_id: bytes

    def encode(self) -> bytes:
        """The option with its code and length."""
        body = bytes([_CIRCUIT_ID, len(self.circuit_id)]) + self.circuit_id
        body += bytes([_REMOTE_ID, len(self.remote_id)]) + self.remote_id
        return bytes([_RELAY_AGENT, len(body)]) + body


@dataclass(frozen=True)
class Message:
    """A DHCP message.

    Attributes:
        options: every option in order as (code, value), without pad and end, with 82 among them.
    """

    raw: bytes
    op: int
    hops: int
    transaction: int
    broadcast: bool
    client_address: IPv4Address
    your_address: IPv4Address
    gateway: IPv4Address
    hardware: bytes
    options: tuple[tuple[int, bytes], ...]

    @property
    def has_agent_information(self) -> bool:
        """Whether any option 82 is present."""
        return any(code == _RELAY_AGENT for code, _ in self.options)

    def agent_information(self) -> AgentInformation | None:
        """Circuit-id and remote-id of option 82, None when it is absent or lacks one of them."""
        body = b"".join(value for code, value in self.options if code == _RELAY_AGENT)
        found: dict[int, bytes] = {}
        position = 0
        while position + 2 <= len(body):
            code, length = body[position], body[position + 1]
            value = body[position + 2 : position + 2 + length]
            if len(value) < length:
                return None
            found.setdefault(code, value)
            position += 2 + length
        if _CIRCUIT_ID in found and _REMOTE_ID in found:
            return AgentInformation(found[_CIRCUIT_ID], found[_REMOTE_ID])
        return None


def decode(raw: bytes) -> Message:
    """Read a message; raises Malformed."""
    if len(raw) < _OPTIONS:
        raise Malformed("shorter than a DHCP message")
    if raw[236:240] != _MAGIC:
        raise Malformed("no DHCP magic cookie")
    op, hardware_type, hardware_length, hops, transaction, _, flags = struct.unpack_from("!BBBBIHH", raw)
    if op not in (REQUEST, REPLY):
        raise Malformed(f"op is {op}")
    if hardware_type != 1 or hardware_length != 6:
        raise Malformed("hardware address is not Ethernet's")
    return Message(
        raw=raw,
        op=op,
        hops=hops,
        transaction=transaction,
        broadcast=bool(flags & 0x8000),
        client_address=IPv4Address(raw[12:16]),
        your_address=IPv4Address(raw[16:20]),
        gateway=IPv4Address(raw[24:28]),
        hardware=raw[28:34],
        options=tuple(_options(raw)),
    )


def _options(raw: bytes) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    position = _OPTIONS
    while position < len(raw):
        code = raw[position]
        if code == _END:
            return found
        if code == _PAD:
            position += 1
            continue
        if position + 1 >= len(raw) or position + 2 + raw[position + 1] > len(raw):
            raise Malformed(f"option {code} is longer than the message")
        length = raw[position + 1]
        found.append((code, raw[position + 2 : position + 2 + length]))
        position += 2 + length
    raise Malformed("no end option")


def with_agent_information(
    message: Message, information: AgentInformation, *, gateway: IPv4Address | None = None
) -> bytes:
    """The message as an access node sends it on: its own option 82, last, and no other.

    ``gateway`` is the giaddr of a relay that routes, which also counts a hop; None leaves both alone.
    Raises Malformed when the result would not fit into one Ethernet frame.
    """
    header = bytearray(message.raw[:_OPTIONS])
    if gateway is not None:
        header[3] = message.hops + 1
        header[24:28] = gateway.packed
    return _assemble(header, message, information.encode())


def without_agent_information(message: Message) -> bytes:
    """The message as a subscriber gets it: no option 82, no trace of the relay."""
    header = bytearray(message.raw[:_OPTIONS])
    return _assemble(header, message, b"")


def _assemble(header: bytearray, message: Message, last: bytes) -> bytes:
    body = b"".join(
        bytes([code, len(value)]) + value for code, value in message.options if code != _RELAY_AGENT
    )
    result = bytes(header) + body + last + bytes([_END])
    if len(result) > _MAXIMUM:
        raise Malformed("does not fit into a frame")
    return result.ljust(_MINIMUM, b"\0")
