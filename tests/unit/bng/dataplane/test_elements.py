"""Map elements: keys, and messages that stay within what an attribute can hold."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

import pytest

from bng.dataplane import elements
from bng.dataplane.elements import Gate
from bng.dataplane.netlink import Message, attribute_map, attributes

MAC = bytes.fromhex("020000000102")
IP = IPv4Address("100.64.1.2")
BRIDGED = Gate("0123456789abcdef", 5, MAC, IP, 0x10010)
ROUTED = Gate("0123456789abcdef", 5, None, IP, 0x10010)


def listed(message: Message) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Name of the map, and (key, whole element) of each element."""
    payload = message.payload
    parts = attribute_map(payload, 4)
    name = payload[slice(*parts[2])]
    found = []
    for _, start, end in attributes(payload, *parts[3]):
        element = attribute_map(payload, start, end)
        key_start, key_end = attribute_map(payload, *element[1])[1]
        found.append((payload[key_start:key_end], payload[start:end]))
    return name, found


def test_a_bridged_session_is_found_by_interface_mac_and_address() -> None:
    up, down = elements.add([BRIDGED])
    assert listed(up)[0] == b"up\0"
    assert [key for key, _ in listed(up)[1]] == [struct.pack("=I", 5) + MAC + b"\0\0" + IP.packed]
    assert listed(down)[0] == b"dn\0"
    assert [key for key, _ in listed(down)[1]] == [IP.packed]


def test_a_routed_session_is_found_by_interface_and_address() -> None:
    up, _ = elements.add([ROUTED])
    assert listed(up)[0] == b"up_routed\0"
    assert [key for key, _ in listed(up)[1]] == [struct.pack("=I", 5) + IP.packed]


def test_the_session_id_is_a_comment_as_nft_writes_it() -> None:
    ((_, element),) = listed(elements.add([BRIDGED])[0])[1]
    assert b"\x00\x110123456789abcdef\0" in element


def test_each_kind_is_closed_in_its_own_map() -> None:
    names = [listed(message)[0] for message in elements.remove([BRIDGED, ROUTED])]
    assert names == [b"up\0", b"up_routed\0", b"dn\0"]


@pytest.mark.parametrize("count", [0, 1, 5000])
def test_no_attribute_outgrows_its_length_field(count: int) -> None:
    gates = [Gate(f"{n:016x}", 5, MAC, IP + n, 0x10010 + n) for n in range(count)]
    messages = elements.add(gates)
    assert all(len(message.payload) < 65_000 for message in messages)
    keys = [key for message in messages for key, _ in listed(message)[1]]
    assert len(keys) == len(set(keys)) == 2 * count


@pytest.mark.parametrize("userdata", [b"", b"\0", b"\1\5abcd\0", b"\0\xff"])
def test_foreign_comments_are_no_session(userdata: bytes) -> None:
    assert elements._comment(userdata) == ""
