"""Which elements ought to be in the maps."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

from bng.dataplane.audit import Gates
from bng.dataplane.base import Binding, Suspicions
from bng.dataplane.elements import MAP_DOWN, MAP_ROUTED, MAP_UP, Gate
from bng.dataplane.natmap import MAP_BLOCK, MAP_WHOLE

IP = IPv4Address("100.64.1.2")
BRIDGED = Gate("0" * 16, 5, bytes.fromhex("020000000102"), IP, 0x10010)
ROUTED = Gate("1" * 16, 5, None, IP + 1, 0x10011)


def test_each_session_has_an_element_in_each_direction() -> None:
    gates = Gates()
    gates.open(0, BRIDGED)
    gates.open(1, ROUTED)
    assert gates.keys[MAP_UP] == {BRIDGED.upload_key(): 0}
    assert gates.keys[MAP_ROUTED] == {ROUTED.upload_key(): 1}
    assert gates.keys[MAP_DOWN] == {IP.packed: 0, (IP + 1).packed: 1}
    assert gates.elements(1) == [(MAP_ROUTED, ROUTED.upload_key()), (MAP_DOWN, (IP + 1).packed)]


def test_a_translation_is_an_element_too() -> None:
    gates = Gates()
    block = Binding(IPv4Address("203.0.113.7"), 1024, 2047)
    gates.open(0, replace(BRIDGED, nat=block))
    gates.open(1, replace(ROUTED, nat=Binding(block.address)))
    assert (gates.keys[MAP_BLOCK], gates.keys[MAP_WHOLE]) == ({IP.packed: 0}, {(IP + 1).packed: 1})
    assert (MAP_BLOCK, IP.packed) in gates.elements(0)
    gates.open(0, replace(BRIDGED, nat=Binding(block.address)))
    assert (gates.keys[MAP_BLOCK], gates.keys[MAP_WHOLE]) == ({}, {IP.packed: 0, (IP + 1).packed: 1})
    gates.open(0, BRIDGED)
    gates.close(1)
    assert not gates.keys[MAP_BLOCK]
    assert not gates.keys[MAP_WHOLE]


def test_what_has_ended_is_not_looked_for() -> None:
    gates = Gates()
    gates.open(0, BRIDGED)
    gates.close(0)
    gates.close(0)
    assert not any(gates.keys.values())
    assert gates.elements(0) == []


def test_a_session_that_moves_to_another_interface_leaves_nothing_behind() -> None:
    gates = Gates()
    gates.open(0, BRIDGED)
    moved = Gate(BRIDGED.session_id, 9, BRIDGED.mac, IP, BRIDGED.class_id)
    gates.open(0, moved)
    assert gates.keys[MAP_UP] == {moved.upload_key(): 0}


def test_suspicions_come_in_slices() -> None:
    elements = tuple((MAP_UP, bytes([number])) for number in range(5))
    slices = list(Suspicions(elements, (1, 2, 3)).slices(2))
    assert [len(part.elements) + len(part.slots) for part in slices] == [2, 2, 1, 2, 1]
    assert sum((part.elements for part in slices), ()) == elements
    assert sum((part.slots for part in slices), ()) == (1, 2, 3)
    assert list(Suspicions().slices(2)) == []
