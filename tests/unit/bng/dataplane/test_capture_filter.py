"""The kernel filter of the DHCP capture, run by a small interpreter of classic BPF."""

from __future__ import annotations

import struct

import pytest

from bng.dataplane.capture import _filter

HOST, OTHERHOST = 0, 3


def passes(frame: bytes, packet_type: int = HOST) -> bool:
    """Whether the filter keeps a frame. Loads beyond its end drop it, as in the kernel."""
    program = [struct.unpack_from("=HBBI", _filter(), at) for at in range(0, len(_filter()), 8)]
    a = x = at = 0
    while True:
        code, if_true, if_false, k = program[at]
        at += 1
        try:
            if code == 0x20:
                assert k == 0xFFFFF004
                a = packet_type
            elif code == 0x28:
                (a,) = struct.unpack_from(">H", frame, k)
            elif code == 0x30:
                a = frame[k]
            elif code == 0x48:
                (a,) = struct.unpack_from(">H", frame, x + k)
            elif code == 0xB1:
                x = 4 * (frame[k] & 0xF)
            elif code == 0x15:
                at += if_true if a == k else if_false
            elif code == 0x45:
                at += if_true if a & k else if_false
            elif code == 0x06:
                return k > 0
            else:
                raise AssertionError(f"unknown instruction {code:#x}")
        except (struct.error, IndexError):
            return False


def frame(
    *, ethertype: int = 0x0800, protocol: int = 17, port: int = 67, offset: int = 0, words: int = 5
) -> bytes:
    ip = struct.pack(">BBHHHBBH8x", 0x40 | words, 0, 300, 0, offset, 64, protocol, 0)
    udp = struct.pack(">HHHH", 68, port, 280, 0)
    return bytes(12) + struct.pack(">H", ethertype) + ip + bytes(4 * (words - 5)) + udp + bytes(272)


def test_dhcp_requests_pass() -> None:
    assert passes(frame())
    assert passes(frame(words=15))
    assert passes(frame(offset=0x4000))


@pytest.mark.parametrize(
    "wrong",
    [
        {"ethertype": 0x86DD},
        {"protocol": 6},
        {"port": 68},
        {"port": 53},
        {"offset": 0x2000},
        {"offset": 0x0010},
    ],
)
def test_everything_else_stays_in_the_kernel(wrong: dict[str, int]) -> None:
    assert not passes(frame(**wrong))


def test_frames_for_others_stay_in_the_kernel() -> None:
    assert not passes(frame(), OTHERHOST)


@pytest.mark.parametrize("length", [0, 13, 20, 30, 36])
def test_truncated_frames_stay_in_the_kernel(length: int) -> None:
    assert not passes(frame()[:length])
