"""Addresses between octets and text."""

from __future__ import annotations

from functools import lru_cache

from bng.codec.errors import DecodeError

BROADCAST_MAC = "ff:ff:ff:ff:ff:ff"
BROADCAST_IP = "255.255.255.255"
NO_IP = "0.0.0.0"  # noqa: S104 - an address in packets, not one to listen on


def ip_text(octets: bytes) -> str:
    """Dotted text of four octets."""
    a, b, c, d = octets
    return f"{a}.{b}.{c}.{d}"


@lru_cache(maxsize=8192)
def ip_octets(text: str) -> bytes:
    """Four octets of dotted text.

    Raises:
        DecodeError: it is not an IPv4 address.
    """
    parts = text.split(".")
    if len(parts) == 4 and text.isascii() and all(map(str.isdigit, parts)) and max(map(len, parts)) <= 3:
        try:
            return bytes(map(int, parts))
        except ValueError:
            pass  # a number above 255
    raise DecodeError("not an IPv4 address")


def mac_text(octets: bytes) -> str:
    """Lower-case colon text of six octets."""
    return octets.hex(":")


def mac_octets(text: str) -> bytes:
    """Six octets of colon text.

    Raises:
        DecodeError: it is not a hardware address.
    """
    if len(text) == 17 and text[2::3] == ":::::":
        try:
            octets = bytes.fromhex(text.replace(":", ""))
        except ValueError:
            pass
        else:
            if len(octets) == 6:
                return octets
    raise DecodeError("not a hardware address")
