"""Addresses between octets and text."""

from __future__ import annotations

from bng.codec.errors import DecodeError

BROADCAST_MAC = "ff:ff:ff:ff:ff:ff"
BROADCAST_IP = "255.255.255.255"
NO_IP = "0.0.0.0"  # noqa: S104 - an address in packets, not one to listen on


def ip_text(octets: bytes) -> str:
    """Dotted text of four octets."""
    a, b, c, d = octets
    return f"{a}.{b}.{c}.{d}"


def ip_octets(text: str) -> bytes:
    """Four octets of dotted text.

    Raises:
        DecodeError: it is not an IPv4 address.
    """
    parts = text.split(".")
    if len(parts) == 4 and all(p.isascii() and p.isdigit() and len(p) <= 3 and int(p) <= 255 for p in parts):
        return bytes(map(int, parts))
    raise DecodeError("not an IPv4 address")


def mac_text(octets: bytes) -> str:
    """Lower-case colon text of six octets."""
    return octets.hex(":")


def mac_octets(text: str) -> bytes:
    """Six octets of colon text.

    Raises:
        DecodeError: it is not a hardware address.
    """
    parts = text.split(":")
    if len(parts) == 6 and all(len(p) == 2 for p in parts):
        try:
            return bytes.fromhex("".join(parts))
        except ValueError:
            pass
    raise DecodeError("not a hardware address")
