"""DHCPv4 packets (RFC 2131, RFC 2132, RFC 3396)."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum

from bng.codec.address import NO_IP, ip_octets, ip_text, mac_octets, mac_text
from bng.codec.errors import DecodeError

HEADER = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s4s")
COOKIE = b"\x63\x82\x53\x63"
MIN_LENGTH = HEADER.size
MIN_SENT = 300
"""BOOTP's packet length; relays and clients of old drop shorter ones (RFC 1542, 2.1)."""
MAX_LENGTH = 9000
BOOTREQUEST, BOOTREPLY = 1, 2
ETHERNET = 1
BROADCAST = 0x8000
INFINITE = 0xFFFFFFFF
_RELAYED = frozenset({"giaddr", "hops"})


class MessageType(IntEnum):
    """Values of option 53 that clients and servers use (RFC 2132, 9.6)."""

    DISCOVER = 1
    OFFER = 2
    REQUEST = 3
    DECLINE = 4
    ACK = 5
    NAK = 6
    RELEASE = 7
    INFORM = 8


class Option(IntEnum):
    """Codes of the options that the relay looks at."""

    PAD = 0
    REQUESTED_ADDRESS = 50
    LEASE_TIME = 51
    OVERLOAD = 52
    MESSAGE_TYPE = 53
    SERVER_ID = 54
    CLIENT_ID = 61
    RELAY_AGENT = 82
    END = 255


@dataclass(frozen=True, slots=True)
class DhcpPacket:
    """A DHCP packet.

    Attributes:
        op: BOOTREQUEST or BOOTREPLY.
        hops: relays passed.
        xid: transaction, chosen by the client.
        secs: seconds since the client began.
        flags: BROADCAST or 0; other bits are kept.
        ciaddr, yiaddr, siaddr, giaddr: dotted text.
        mac_address: chaddr as colon text; hlen is 6, htype Ethernet.
        options: code → value. Values that were split over several options of the same code, or
            over the sname and file fields, are joined (RFC 3396); PAD, END and OVERLOAD are not here.
        sname, file: what they hold when they do not hold options; trailing zeros stripped.
    """

    op: int
    xid: int
    mac_address: str
    options: Mapping[int, bytes]
    hops: int = 0
    secs: int = 0
    flags: int = 0
    ciaddr: str = NO_IP
    yiaddr: str = NO_IP
    siaddr: str = NO_IP
    giaddr: str = NO_IP
    sname: bytes = field(default=b"")
    file: bytes = field(default=b"")

    @property
    def message_type(self) -> int:
        """Value of option 53; 0 when it is absent or not one octet."""
        value = self.options.get(Option.MESSAGE_TYPE, b"")
        return value[0] if len(value) == 1 else 0

    @property
    def requested_address(self) -> str:
        """Option 50 as dotted text; ``0.0.0.0`` when it is absent."""
        return self._address(Option.REQUESTED_ADDRESS)

    @property
    def asks_for(self) -> str:
        """The address that a REQUEST is for: ciaddr, else option 50; ``0.0.0.0`` when it names none."""
        return self.ciaddr if self.ciaddr != NO_IP else self.requested_address

    @property
    def server_id(self) -> str:
        """Option 54 as dotted text; ``0.0.0.0`` when it is absent."""
        return self._address(Option.SERVER_ID)

    @property
    def client_id(self) -> bytes:
        """Option 61, by which a server knows the client before it looks at its hardware address (RFC 2131,
        4.2); empty when it is absent. At most 255 octets of it."""
        return self.options.get(Option.CLIENT_ID, b"")[:255]

    @property
    def lease_time(self) -> int | None:
        """Option 51 in seconds, `INFINITE` for ever; None when it is absent."""
        value = self.options.get(Option.LEASE_TIME, b"")
        return int.from_bytes(value, "big") if len(value) == 4 else None

    @property
    def broadcast(self) -> bool:
        """Whether the client cannot receive unicast before it has its address."""
        return bool(self.flags & BROADCAST)

    def with_option(self, code: int, value: bytes | None, **fields: object) -> DhcpPacket:
        """A copy with one option set, or (None) removed, and other fields replaced.

        The relay agent option comes last, as RFC 3046, 2.1 wants it.
        """
        options = {c: v for c, v in self.options.items() if c != code}
        if value is not None:
            options[code] = value
        if not fields.keys() <= _RELAYED:
            return replace(self, options=options, **fields)  # type: ignore[arg-type]
        # what a relay does with every packet, in a third of the time
        return DhcpPacket(
            self.op,
            self.xid,
            self.mac_address,
            options,
            fields.get("hops", self.hops),  # type: ignore[arg-type]
            self.secs,
            self.flags,
            self.ciaddr,
            self.yiaddr,
            self.siaddr,
            fields.get("giaddr", self.giaddr),  # type: ignore[arg-type]
            self.sname,
            self.file,
        )

    def _address(self, code: int) -> str:
        value = self.options.get(code, b"")
        return ip_text(value) if len(value) == 4 else NO_IP


def parse(data: bytes) -> DhcpPacket:
    """Decode a DHCP packet.

    Raises:
        DecodeError: it is too short or too long, not DHCP, not Ethernet, or an option runs past its
            field.
    """
    if not MIN_LENGTH <= len(data) <= MAX_LENGTH:
        raise DecodeError(f"DHCP packet of {len(data)} octets")
    op, htype, hlen, hops, xid, secs, flags, ci, yi, si, gi, chaddr, sname, file, cookie = HEADER.unpack_from(
        data
    )
    if op not in (BOOTREQUEST, BOOTREPLY):
        raise DecodeError(f"DHCP op {op}")
    if htype != ETHERNET or hlen != 6:
        raise DecodeError(f"DHCP hardware type {htype}, length {hlen}")
    if cookie != COOKIE:
        raise DecodeError("no DHCP magic cookie")
    options: dict[int, bytes] = {}
    _parse_options(data[HEADER.size :], options, "options")
    overload = options.pop(Option.OVERLOAD, b"\0")
    if len(overload) != 1 or overload[0] > 3:
        raise DecodeError("DHCP option 52 is not 1, 2 or 3")
    if overload[0] & 1:
        _parse_options(file, options, "file")
        file = b""
    if overload[0] & 2:
        _parse_options(sname, options, "sname")
        sname = b""
    options.pop(Option.OVERLOAD, None)
    return DhcpPacket(
        op=op,
        hops=hops,
        xid=xid,
        secs=secs,
        flags=flags,
        ciaddr=ip_text(ci),
        yiaddr=ip_text(yi),
        siaddr=ip_text(si),
        giaddr=ip_text(gi),
        mac_address=mac_text(chaddr[:6]),
        options=options,
        sname=sname.rstrip(b"\0"),
        file=file.rstrip(b"\0"),
    )


def _parse_options(area: bytes, options: dict[int, bytes], where: str) -> None:
    """Add the options of one area to `options`, joining those of the same code (RFC 3396, 7)."""
    position, end = 0, len(area)
    while position < end:
        code = area[position]
        position += 1
        if code == Option.PAD:
            continue
        if code == Option.END:
            return
        if position >= end:
            raise DecodeError(f"DHCP option {code} without length in {where}")
        stop = position + 1 + area[position]
        if stop > end:
            raise DecodeError(f"DHCP option {code} runs past the end of {where}")
        value = area[position + 1 : stop]
        options[code] = options[code] + value if code in options else value
        position = stop


def build(packet: DhcpPacket) -> bytes:
    """Encode a DHCP packet, at least 300 octets long; values over 255 octets are split (RFC 3396).

    Raises:
        DecodeError: a field does not fit: an address that is none, a name that is too long.
    """
    if len(packet.sname) > 64 or len(packet.file) > 128:
        raise DecodeError("sname or file too long")
    parts = [
        HEADER.pack(
            packet.op,
            ETHERNET,
            6,
            packet.hops,
            packet.xid,
            packet.secs,
            packet.flags,
            ip_octets(packet.ciaddr),
            ip_octets(packet.yiaddr),
            ip_octets(packet.siaddr),
            ip_octets(packet.giaddr),
            mac_octets(packet.mac_address),
            packet.sname,
            packet.file,
            COOKIE,
        )
    ]
    for code, value in packet.options.items():
        if len(value) <= 255:
            parts.append(bytes((code, len(value))) + value)
            continue
        for start in range(0, len(value), 255):
            chunk = value[start : start + 255]
            parts.append(bytes((code, len(chunk))) + chunk)
    parts.append(b"\xff")
    return b"".join(parts).ljust(MIN_SENT, b"\0")
