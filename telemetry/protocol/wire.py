"""Protobuf's wire format, as far as laying out messages by hand needs it."""

from __future__ import annotations

VARINT = 0
LENGTH_DELIMITED = 2
PADDED_64 = 10
"""Octets of a varint that can hold any uint64; a smaller number in it is padded with continuation bits."""

_ONE_OCTET = tuple(bytes([number]) for number in range(0x80))


def varint(number: int) -> bytes:
    """The shortest varint of a number from 0 to 2⁶⁴ − 1."""
    if 0 <= number < 0x80:
        return _ONE_OCTET[number]
    if not 0 <= number < 1 << 64:
        raise ValueError(f"{number} does not fit a varint")
    octets = bytearray()
    while number > 0x7F:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    octets.append(number)
    return bytes(octets)


def padded_varint(number: int, width: int) -> bytes:
    """A varint of exactly `width` octets (1 to 10): every octet but the last says that one follows."""
    if not 0 <= number < 1 << min(64, 7 * width):
        raise ValueError(f"{number} does not fit a varint of {width} octets")
    octets = bytearray(number >> 7 * place & 0x7F | 0x80 for place in range(width))
    octets[-1] &= 0x7F
    return bytes(octets)


def tag(field: int, wire_type: int) -> bytes:
    """What stands before the value of field number `field`."""
    return varint(field << 3 | wire_type)


def delimited(field: int, content: bytes) -> bytes:
    """A string, bytes or message field."""
    size = len(content)
    if size < 0x80 and field < 0x10:
        return _ONE_OCTET[field << 3 | LENGTH_DELIMITED] + _ONE_OCTET[size] + content
    return tag(field, LENGTH_DELIMITED) + varint(size) + content
