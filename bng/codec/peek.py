"""A look at a captured frame before anything of it is decoded: whose packet it is, for a limit that must cost
less than what it keeps away."""

from __future__ import annotations

_ETHERNET, _UDP, _BOOTP = 14, 8, 240
_SHORTEST = _ETHERNET + 20 + _UDP + _BOOTP
_PAD, _RELAY_AGENT, _END = 0, 82, 255
_MAX_STEPS = 96
"""Options and pads that are looked at. A client has about ten; a frame made of pads must not cost more."""


def relay_agent(frame: bytes) -> bytes | None:
    """The value of the first option 82 of a DHCP packet in an Ethernet frame, as it stands there.

    Nothing is verified. Empty when there is no such option among the first ones (`bng.codec.dhcp` finds it
    wherever it is); None when the frame is too short for DHCP, or ends inside of the datagram or the option.
    """
    if len(frame) < _SHORTEST:
        return None
    udp = _ETHERNET + (frame[_ETHERNET] & 15) * 4
    end = udp + (frame[udp + 4] << 8 | frame[udp + 5])  # what is behind it is padding, whatever it says
    if end > len(frame):
        return None
    at = udp + _UDP + _BOOTP
    last = end - 1
    for _ in range(_MAX_STEPS):
        if at >= last:
            return b""
        code = frame[at]
        if code == _RELAY_AGENT:
            stop = at + 2 + frame[at + 1]
            return frame[at + 2 : stop] if stop <= end else None
        if code == _END:
            return b""
        at += 1 if code == _PAD else 2 + frame[at + 1]
    return b""


def source_mac(frame: bytes) -> bytes:
    """The Ethernet source of a frame that `relay_agent` did not find too short."""
    return frame[6:12]
