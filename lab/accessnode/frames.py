"""Ethernet, IPv4 and UDP around a DHCP message: octets to values and back."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address

BROADCAST_MAC = b"\xff" * 6
BROADCAST = IPv4Address("255.255.255.255")

_ETHERTYPE_IPV4 = 0x0800
_UDP = 17
_FRAGMENT_MASK = 0x3FFF  # offset and "more fragments"


class NotUdp(Exception):
    """The frame is not one whole UDP datagram over IPv4; the text says why."""


@dataclass(frozen=True)
class Datagram:
    """A UDP datagram with the addresses of all its layers. MAC addresses are six octets."""

    source_mac: bytes
    destination_mac: bytes
    source: IPv4Address
    destination: IPv4Address
    source_port: int
    destination_port: int
    payload: bytes


def decode(frame: bytes) -> Datagram:
    """Read a frame; raises NotUdp. Checksums are verified: this is where frames enter the network."""
    if len(frame) < 42 or struct.unpack_from("!H", frame, 12)[0] != _ETHERTYPE_IPV4:
        raise NotUdp("not IPv4")
    packet = frame[14:]
    header_length = (packet[0] & 0x0F) * 4
    total_length, _, fragment, _, protocol = struct.unpack_from("!HHHBB", packet, 2)
    if packet[0] >> 4 != 4 or header_length < 20 or not header_length + 8 <= total_length <= len(packet):
        raise NotUdp("lengths of the IP header do not agree with the frame")
    if protocol != _UDP or fragment & _FRAGMENT_MASK:
        raise NotUdp("not a whole UDP datagram")
    if checksum(packet[:header_length]) != 0:
        raise NotUdp("wrong IP checksum")
    udp = packet[header_length:total_length]
    source_port, destination_port, length, udp_checksum = struct.unpack_from("!HHHH", udp)
    if not 8 <= length <= len(udp):
        raise NotUdp("length of the UDP header does not agree with the packet")
    udp = udp[:length]
    pseudo = packet[12:20] + struct.pack("!BBH", 0, _UDP, length)
    if udp_checksum and checksum(pseudo + udp) != 0:
        raise NotUdp("wrong UDP checksum")
    return Datagram(
        source_mac=frame[6:12],
        destination_mac=frame[:6],
        source=IPv4Address(packet[12:16]),
        destination=IPv4Address(packet[16:20]),
        source_port=source_port,
        destination_port=destination_port,
        payload=udp[8:],
    )


def encode(datagram: Datagram) -> bytes:
    """The frame of a datagram, with all checksums."""
    length = 8 + len(datagram.payload)
    addresses = datagram.source.packed + datagram.destination.packed
    ports = struct.pack("!HHH", datagram.source_port, datagram.destination_port, length)
    pseudo = addresses + struct.pack("!BBH", 0, _UDP, length)
    udp_checksum = checksum(pseudo + ports + b"\0\0" + datagram.payload) or 0xFFFF
    header = struct.pack("!BBHHHBBH", 0x45, 0x10, 20 + length, 0, 0, 64, _UDP, 0) + addresses
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    ethernet = datagram.destination_mac + datagram.source_mac + struct.pack("!H", _ETHERTYPE_IPV4)
    return ethernet + header + ports + struct.pack("!H", udp_checksum) + datagram.payload


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071): 0 over data that holds its own correct checksum."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
