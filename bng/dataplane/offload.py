"""Segmentation offloads of interfaces: with them, one packet that nftables counts may be dozens on the wire.

The counters of record come from HTB, which counts rightly either way. What the offloads do falsify is the
packet counts that nftables shows, and the number of packets that a class's queue holds.
"""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
from dataclasses import dataclass

_SIOCETHTOOL = 0x8946
_FEATURES = {"tso": (0x1E, 0x1F), "gso": (0x23, 0x24), "gro": (0x2B, 0x2C)}
"""Name → ethtool commands to read and to set it."""
_REQUEST = struct.Struct("16sP16x")


@dataclass(frozen=True, slots=True)
class Offloads:
    """Which offloads an interface has on; None when it does not tell."""

    tso: bool | None
    gso: bool | None
    gro: bool | None

    def active(self) -> list[str]:
        """Names of those that are on."""
        return [name for name in _FEATURES if getattr(self, name)]


def read(interface: str) -> Offloads:
    """The offloads of an interface."""
    return Offloads(**{name: _exchange(interface, get, 0) for name, (get, _) in _FEATURES.items()})


def disable(interface: str) -> list[str]:
    """Switch them off. Names of those that are still on."""
    for _, change in _FEATURES.values():
        _exchange(interface, change, 0)
    return read(interface).active()


def _exchange(interface: str, command: int, value: int) -> bool | None:
    buffer = ctypes.create_string_buffer(struct.pack("=II", command, value))
    request = _REQUEST.pack(interface.encode(), ctypes.addressof(buffer))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            fcntl.ioctl(any_socket, _SIOCETHTOOL, request)
        except OSError:
            return None
    return bool(struct.unpack_from("=I", buffer, 4)[0])
