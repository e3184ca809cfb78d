"""Ethernet frames with IPv4 and UDP, as a packet socket gives and takes them (RFC 791, RFC 768)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from bng.codec.address import ip_octets, ip_text, mac_octets, mac_text
from bng.codec.errors import DecodeError

ETHERTYPE_IPV4 = 0x0800
PROTOCOL_UDP = 17
TTL = 64
MAX_PAYLOAD = 65507

_ETHERNET = struct.Struct("!6s6sH")
_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_UDP = struct.Struct("!HHHH")
_MORE_FRAGMENTS_OR_OFFSET = 0x3FFF


@dataclass(frozen=True, slots=True)
class UdpFrame:
    """A UDP datagram in an Ethernet frame; addresses as text."""

    source_mac: str
    destination_mac: str
    source_address: str
    destination_address: str
    source_port: int
    destination_port: int
    payload: bytes


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of some octets; 0 over octets that hold their own."""
    # 2^16 is 1 modulo 2^16 - 1: the number that all octets make leaves the same remainder as the sum of words
    total = int.from_bytes(data, "big") << (8 if len(data) % 2 else 0)
    remainder = total % 0xFFFF
    return 0xFFFF ^ (0xFFFF if total and not remainder else remainder)


def parse(data: bytes, *, checksum_ready: bool = True) -> UdpFrame:
    """Decode an untagged Ethernet frame that holds a whole UDP datagram.

    Args:
        data: the frame; padding after the IP packet is dropped.
        checksum_ready: False when the kernel says (TP_STATUS_CSUMNOTREADY) that the sender left the
            UDP checksum to hardware, as happens on veth; it is not verified then.

    Raises:
        DecodeError: it is something else, truncated, a fragment, or a checksum is wrong.
    """
    if len(data) < _ETHERNET.size + _IPV4.size:
        raise DecodeError(f"frame of {len(data)} octets")
    destination, source, ethertype = _ETHERNET.unpack_from(data)
    if ethertype != ETHERTYPE_IPV4:
        raise DecodeError(f"ethertype {ethertype:#06x}")
    packet = data[_ETHERNET.size :]
    version_ihl, _, total, _, fragment, _, protocol, _, src, dst = _IPV4.unpack_from(packet)
    header = (version_ihl & 0x0F) * 4
    if version_ihl >> 4 != 4 or header < _IPV4.size:
        raise DecodeError("not an IPv4 header")
    if not header + _UDP.size <= total <= len(packet):
        raise DecodeError(f"IPv4 length {total} in a frame with {len(packet)} octets")
    if checksum(packet[:header]):
        raise DecodeError("wrong IPv4 checksum")
    if protocol != PROTOCOL_UDP or fragment & _MORE_FRAGMENTS_OR_OFFSET:
        raise DecodeError("not a whole UDP datagram")
    source_port, destination_port, length, received = _UDP.unpack_from(packet, header)
    if not _UDP.size <= length <= total - header:
        raise DecodeError(f"UDP length {length} in {total - header} octets")
    datagram = packet[header : header + length]
    if received and checksum_ready and checksum(_pseudo_header(src, dst, length) + datagram):
        raise DecodeError("wrong UDP checksum")
    return UdpFrame(
        source_mac=mac_text(source),
        destination_mac=mac_text(destination),
        source_address=ip_text(src),
        destination_address=ip_text(dst),
        source_port=source_port,
        destination_port=destination_port,
        payload=datagram[_UDP.size :],
    )


def build(frame: UdpFrame) -> bytes:
    """Encode a frame: IPv4 without options, don't fragment, both checksums.

    Raises:
        DecodeError: an address is none, or the payload does not fit into a datagram.
    """
    if len(frame.payload) > MAX_PAYLOAD:
        raise DecodeError(f"payload of {len(frame.payload)} octets")
    src, dst = ip_octets(frame.source_address), ip_octets(frame.destination_address)
    length = _UDP.size + len(frame.payload)
    total = _IPV4.size + length
    ports = (frame.source_port, frame.destination_port, length)
    unsummed = _pseudo_header(src, dst, length) + _UDP.pack(*ports, 0) + frame.payload
    # 0 would say that there is no checksum (RFC 768)
    udp = _UDP.pack(*ports, checksum(unsummed) or 0xFFFF)
    fields = (0x45, 0, total, 0, 0x4000, TTL, PROTOCOL_UDP)
    ip = _IPV4.pack(*fields, checksum(_IPV4.pack(*fields, 0, src, dst)), src, dst)
    ethernet = _ETHERNET.pack(mac_octets(frame.destination_mac), mac_octets(frame.source_mac), ETHERTYPE_IPV4)
    return ethernet + ip + udp + frame.payload


def _pseudo_header(source: bytes, destination: bytes, length: int) -> bytes:
    return source + destination + struct.pack("!HH", PROTOCOL_UDP, length)
