"""RADIUS packets: bytes ↔ records, and the checks that make them worth believing.

RFC 2865 (packets, User-Password), RFC 2866 (accounting), RFC 2869 5.14 and RFC 3579 3.2
(Message-Authenticator), RFC 5176 (CoA and Disconnect). Attributes are numbers and octets here; what
they mean is `bng.aaa.dictionary`'s.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass
from enum import IntEnum

from bng.codec.errors import DecodeError

MAX_LENGTH = 4096
VENDOR_SPECIFIC = 26
MESSAGE_AUTHENTICATOR = 80
NO_AUTHENTICATOR = bytes(16)

_HEADER = struct.Struct("!BBH16s")


class Code(IntEnum):
    """Codes of the packets that a BNG sends or receives."""

    ACCESS_REQUEST = 1
    ACCESS_ACCEPT = 2
    ACCESS_REJECT = 3
    ACCOUNTING_REQUEST = 4
    ACCOUNTING_RESPONSE = 5
    ACCESS_CHALLENGE = 11
    STATUS_SERVER = 12
    DISCONNECT_REQUEST = 40
    DISCONNECT_ACK = 41
    DISCONNECT_NAK = 42
    COA_REQUEST = 43
    COA_ACK = 44
    COA_NAK = 45


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute: vendor 0 is the standard space. value: 0 to 253 octets (249 of a vendor's)."""

    vendor: int
    type: int
    value: bytes


@dataclass(frozen=True, slots=True)
class RadiusPacket:
    """A RADIUS packet.

    Attributes:
        code, identifier: 0 to 255.
        authenticator: 16 octets.
        attributes: in their order; vendor-specific ones are split. A vendor-specific attribute that
            does not follow RFC 2865, 5.26 is kept whole, as attribute 26 of vendor 0.
    """

    code: int
    identifier: int
    authenticator: bytes
    attributes: tuple[Attribute, ...]

    def values(self, type_: int, vendor: int = 0) -> list[bytes]:
        """Values of all attributes of a type, in order."""
        return [a.value for a in self.attributes if a.type == type_ and a.vendor == vendor]


def parse(data: bytes) -> RadiusPacket:
    """Decode a packet; octets beyond its length are padding. Nothing of it is verified.

    Raises:
        DecodeError: the packet or an attribute is shorter or longer than it says.
    """
    if len(data) < _HEADER.size:
        raise DecodeError(f"RADIUS packet of {len(data)} octets")
    code, identifier, length, authenticator = _HEADER.unpack_from(data)
    if not _HEADER.size <= length <= min(len(data), MAX_LENGTH):
        raise DecodeError(f"RADIUS length {length} in {len(data)} octets")
    return RadiusPacket(code, identifier, authenticator, parse_attributes(data[_HEADER.size : length]))


def parse_attributes(data: bytes) -> tuple[Attribute, ...]:
    """Decode attributes that follow each other; vendor-specific ones are split.

    Raises:
        DecodeError: one is shorter or longer than it says.
    """
    attributes: list[Attribute] = []
    position, length = 0, len(data)
    while position < length:
        if position + 2 > length:
            raise DecodeError("RADIUS attribute without length")
        type_, stop = data[position], position + data[position + 1]
        if stop < position + 2 or stop > length:
            raise DecodeError(f"RADIUS attribute {type_} has a wrong length")
        value = data[position + 2 : stop]
        if type_ == VENDOR_SPECIFIC:
            attributes.extend(_split_vendor(value))
        else:
            attributes.append(Attribute(0, type_, value))
        position = stop
    return tuple(attributes)


def _split_vendor(value: bytes) -> list[Attribute]:
    whole = [Attribute(0, VENDOR_SPECIFIC, value)]
    if len(value) < 6 or value[0]:
        return whole
    vendor = int.from_bytes(value[:4], "big")
    found: list[Attribute] = []
    position = 4
    while position < len(value):
        length = value[position + 1] if position + 1 < len(value) else 0
        if vendor == 0 or length < 2 or position + length > len(value):
            return whole
        found.append(Attribute(vendor, value[position], value[position + 2 : position + length]))
        position += length
    return found


def encode_attributes(attributes: tuple[Attribute, ...]) -> bytes:
    """Encode attributes.

    Raises:
        DecodeError: a value is too long.
    """
    parts = []
    for attribute in attributes:
        value, type_ = attribute.value, attribute.type
        if attribute.vendor:
            if len(value) > 247:
                raise DecodeError(f"RADIUS attribute {type_} of vendor {attribute.vendor} is too long")
            value = struct.pack("!IBB", attribute.vendor, type_, len(value) + 2) + value
            type_ = VENDOR_SPECIFIC
        if len(value) > 253:
            raise DecodeError(f"RADIUS attribute {type_} is too long")
        parts.append(bytes((type_, len(value) + 2)) + value)
    return b"".join(parts)


def build_request(
    code: int,
    identifier: int,
    attributes: tuple[Attribute, ...],
    secret: bytes,
    authenticator: bytes = NO_AUTHENTICATOR,
) -> bytes:
    """Encode and sign a request. A Message-Authenticator is put first, where it protects best.

    Args:
        authenticator: 16 random octets of an Access-Request or Status-Server; other requests get theirs
            from the secret (RFC 2866, 3; RFC 5176, 2.3).

    Raises:
        DecodeError: it does not fit into 4096 octets.
    """
    data = _sign(code, identifier, authenticator, attributes, secret)
    if code in (Code.ACCESS_REQUEST, Code.STATUS_SERVER):
        return data
    return data[:4] + _md5(data + secret) + data[20:]


def build_response(
    code: int,
    identifier: int,
    request_authenticator: bytes,
    attributes: tuple[Attribute, ...],
    secret: bytes,
    *,
    message_authenticator: bool = True,
) -> bytes:
    """Encode and sign a response to the request with this authenticator.

    Raises:
        DecodeError: it does not fit into 4096 octets.
    """
    if message_authenticator:
        data = _sign(code, identifier, request_authenticator, attributes, secret)
    else:
        data = _pack(code, identifier, request_authenticator, encode_attributes(attributes))
    return data[:4] + _md5(data + secret) + data[20:]


def verify_response(
    data: bytes, request_authenticator: bytes, secret: bytes, *, demand_message_authenticator: bool
) -> RadiusPacket:
    """Decode a response and verify that who sent it knows the secret and our request.

    Args:
        demand_message_authenticator: refuse a response without one: MD5 alone can be forged
            (CVE-2024-3596).

    Raises:
        DecodeError: malformed, or a check failed.
    """
    packet = parse(data)
    data = data[: int.from_bytes(data[2:4], "big")]
    expected = _md5(data[:4] + request_authenticator + data[20:] + secret)
    if not hmac.compare_digest(expected, packet.authenticator):
        raise DecodeError("wrong Response-Authenticator")
    signed = data[:4] + request_authenticator + data[20:]
    _verify_message_authenticator(signed, secret, demand=demand_message_authenticator)
    return packet


def verify_request(data: bytes, secret: bytes, *, demand_message_authenticator: bool = True) -> RadiusPacket:
    """Decode a request (accounting, CoA, Disconnect, Access or Status-Server) and verify who sent it.

    Raises:
        DecodeError: malformed, or a check failed.
    """
    packet = parse(data)
    data = data[: int.from_bytes(data[2:4], "big")]
    signed = data
    if packet.code not in (Code.ACCESS_REQUEST, Code.STATUS_SERVER):
        signed = data[:4] + NO_AUTHENTICATOR + data[20:]
        if not hmac.compare_digest(_md5(signed + secret), packet.authenticator):
            raise DecodeError("wrong Request-Authenticator")
    _verify_message_authenticator(signed, secret, demand=demand_message_authenticator)
    return packet


def hide_password(password: bytes, secret: bytes, authenticator: bytes) -> bytes:
    """User-Password as it is sent (RFC 2865, 5.2): 16 to 128 octets.

    Raises:
        DecodeError: the password is longer than 128 octets.
    """
    if len(password) > 128:
        raise DecodeError("User-Password of more than 128 octets")
    padded = password.ljust(max(16, -(-len(password) // 16) * 16), b"\0")
    hidden, last = b"", authenticator
    for start in range(0, len(padded), 16):
        mask = _md5(secret + last)
        last = bytes(a ^ b for a, b in zip(padded[start : start + 16], mask, strict=True))
        hidden += last
    return hidden


def reveal_password(hidden: bytes, secret: bytes, authenticator: bytes) -> bytes:
    """The password of a User-Password, without its padding.

    Raises:
        DecodeError: its length is impossible.
    """
    if not hidden or len(hidden) % 16 or len(hidden) > 128:
        raise DecodeError(f"User-Password of {len(hidden)} octets")
    password, last = b"", authenticator
    for start in range(0, len(hidden), 16):
        block = hidden[start : start + 16]
        password += bytes(a ^ b for a, b in zip(block, _md5(secret + last), strict=True))
        last = block
    return password.rstrip(b"\0")


def _pack(code: int, identifier: int, authenticator: bytes, attributes: bytes) -> bytes:
    length = _HEADER.size + len(attributes)
    if length > MAX_LENGTH:
        raise DecodeError(f"RADIUS packet of {length} octets")
    return _HEADER.pack(code, identifier, length, authenticator) + attributes


def _sign(
    code: int, identifier: int, authenticator: bytes, attributes: tuple[Attribute, ...], secret: bytes
) -> bytes:
    """The packet with its Message-Authenticator as first attribute."""
    rest = encode_attributes(attributes)
    first = bytes((MESSAGE_AUTHENTICATOR, 18))
    data = _pack(code, identifier, authenticator, first + bytes(16) + rest)
    return data[:22] + hmac.digest(secret, data, "md5") + rest


def _verify_message_authenticator(data: bytes, secret: bytes, *, demand: bool) -> None:
    """Check the Message-Authenticator of a well-formed packet (with the authenticator it is over)."""
    places = []
    position = _HEADER.size
    while position < len(data):
        if data[position] == MESSAGE_AUTHENTICATOR:
            places.append(position)
        position += data[position + 1]
    if not places:
        if demand:
            raise DecodeError("no Message-Authenticator")
        return
    place = places[0]
    if len(places) > 1 or data[place + 1] != 18:
        raise DecodeError("malformed Message-Authenticator")
    received = data[place + 2 : place + 18]
    zeroed = data[: place + 2] + bytes(16) + data[place + 18 :]
    if not hmac.compare_digest(hmac.digest(secret, zeroed, "md5"), received):
        raise DecodeError("wrong Message-Authenticator")


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()
