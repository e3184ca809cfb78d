"""The maps of translation: from a subscriber's address to its public address and ports.

``nat_block`` holds those that share an address: its data are the registers that the kernel's NAT expression
reads, least address . least port . greatest address . greatest port. ``nat_whole`` holds those that have an
address to themselves.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

from bng.dataplane.base import Binding

MAP_BLOCK, MAP_WHOLE = b"nat_block\0", b"nat_whole\0"

_BLOCK = struct.Struct(">4sHxx4sHxx")

MAPS = """
    map nat_block {{
        type ipv4_addr : interval ipv4_addr . inet_service
        size {size}
    }}
    map nat_whole {{
        type ipv4_addr : ipv4_addr
        size {size}
    }}
"""
"""For the ruleset; not `typeof`, which in nftables 1.0.6 has no way to say a range of ports."""


def rules(upstream: int, sources: str) -> list[str]:
    """What translates, in the chain of source NAT, which sees the first packet of each flow.

    ICMP queries have an identifier that is translated like a port. What has neither (GRE, ESP) cannot be
    told apart behind a shared address, and nobody could say later whose it was.

    Args:
        upstream: group of the upstream interface.
        sources: set of what is translated, in nft's words.
    """
    here = f"meta oifgroup {upstream} ip saddr {sources}"
    return [
        f"{here} snat to ip saddr map @nat_whole",
        f"{here} meta l4proto {{ icmp, tcp, udp }} snat ip addr . port to ip saddr map @nat_block",
        f'{here} counter drop comment "no public address, or a protocol that cannot share one"',
    ]


def map_of(binding: Binding) -> bytes:
    """The map that a binding belongs in."""
    return MAP_WHOLE if binding.whole else MAP_BLOCK


def encode(binding: Binding) -> bytes:
    """The data of its element."""
    address = binding.address.packed
    if binding.whole:
        return address
    return _BLOCK.pack(address, binding.port_first, address, binding.port_last)


def decode(name: bytes, data: bytes) -> Binding | None:
    """The binding of an element's data; None when it is not ours."""
    if name == MAP_WHOLE and len(data) == 4:
        return Binding(IPv4Address(data))
    if name == MAP_BLOCK and len(data) == _BLOCK.size:
        address, first, _, last = _BLOCK.unpack(data)
        return Binding(IPv4Address(address), first, last)
    return None
