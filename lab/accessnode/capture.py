"""Packet sockets that see one UDP port and nothing else."""

from __future__ import annotations

import ctypes
import socket
import struct

_ETH_P_ALL = 0x0003
_SOL_PACKET = 263
_PACKET_IGNORE_OUTGOING = 23
_SO_ATTACH_FILTER = 26

Instruction = tuple[int, int, int, int]
"""A classic BPF instruction: code, jump if true, jump if false, constant."""


def bound_for(port: int) -> list[Instruction]:
    """A filter for untagged IPv4 UDP, first or only fragment, to a port."""
    return [
        (0x28, 0, 0, 12),  # ldh [12]: Ethernet type
        (0x15, 0, 8, 0x0800),
        (0x30, 0, 0, 23),  # ldb [23]: IP protocol
        (0x15, 0, 6, 17),
        (0x28, 0, 0, 20),  # ldh [20]: fragment offset
        (0x45, 4, 0, 0x1FFF),
        (0xB1, 0, 0, 14),  # ldxb 4*([14]&0xf): length of the IP header
        (0x48, 0, 0, 16),  # ldh [x+16]: destination port
        (0x15, 0, 1, port),
        (0x06, 0, 0, 0xFFFF),  # the frame
        (0x06, 0, 0, 0),  # nothing
    ]


def packet_socket(interface: str, instructions: list[Instruction]) -> socket.socket:
    """A non-blocking packet socket on one interface: receives what the filter passes, sends whole frames."""
    # protocol 0 first: nothing is queued before the filter stands
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    try:
        sock.setblocking(False)
        program = b"".join(struct.pack("HBBI", *instruction) for instruction in instructions)
        buffer = ctypes.create_string_buffer(program)
        filter_ = struct.pack("HxxxxxxP", len(instructions), ctypes.addressof(buffer))
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filter_)
        sock.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        sock.bind((interface, _ETH_P_ALL))
    except OSError:
        sock.close()
        raise
    return sock


def sending_socket(interface: str) -> socket.socket:
    """A packet socket that receives nothing."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    try:
        sock.bind((interface, 0))
    except OSError:
        sock.close()
        raise
    return sock
