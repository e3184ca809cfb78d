"""Public addresses and port blocks: who gets which, and that nobody gets another's."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bng.session.nat import FIRST_PORT, LAST_PORT, NatAllocator, NatBinding, NatPool

INSIDE = ("100.64.0.0/10",)
TWO = (("203.0.113.1", "203.0.113.2"),)
BLOCKS = NatPool(TWO, INSIDE, 16384)
WHOLE = NatPool((("203.0.113.9", "203.0.113.9"), ("198.51.100.1", "198.51.100.2")), INSIDE)


def all_of(allocator: NatAllocator) -> list[NatBinding]:
    return [allocator.take() for _ in range(allocator.size)]


def test_addresses_are_shared_only_when_there_are_no_more() -> None:
    assert all_of(NatAllocator(BLOCKS)) == [
        NatBinding("203.0.113.1", 1024, 17407),
        NatBinding("203.0.113.2", 1024, 17407),
        NatBinding("203.0.113.1", 17408, 33791),
        NatBinding("203.0.113.2", 17408, 33791),
        NatBinding("203.0.113.1", 33792, 50175),
        NatBinding("203.0.113.2", 33792, 50175),
    ]


def test_a_whole_address_has_all_ports() -> None:
    assert all_of(NatAllocator(WHOLE)) == [
        NatBinding(address, 0, 65535) for address in ("203.0.113.9", "198.51.100.1", "198.51.100.2")
    ]


def test_an_exhausted_pool_says_so_and_recovers() -> None:
    allocator = NatAllocator(WHOLE)
    held = all_of(allocator)
    with pytest.raises(LookupError, match="no public address or port block is free"):
        allocator.take()
    allocator.give_back(held[1])
    assert allocator.take() == held[1]


def test_what_has_been_free_for_longest_is_next() -> None:
    allocator = NatAllocator(WHOLE)
    first, second, third = all_of(allocator)
    for each in (second, third, first):
        allocator.give_back(each)
    assert [allocator.take() for _ in range(3)] == [second, third, first]


def test_without_a_pool_nobody_is_covered() -> None:
    allocator = NatAllocator(None)
    assert not allocator.covers("100.64.0.1")
    assert allocator.size == 0
    with pytest.raises(LookupError):
        allocator.take()
    allocator.adopt(NatBinding("203.0.113.1", 1024, 2047))
    allocator.give_back(NatBinding("203.0.113.1", 1024, 2047))


def test_who_is_translated_is_told_by_the_prefixes() -> None:
    allocator = NatAllocator(BLOCKS)
    assert allocator.covers("100.64.0.1")
    assert not allocator.covers("192.0.2.1")


def test_bindings_of_another_configuration_are_not_given_to_a_second() -> None:
    """Blocks were of another size, so that one may overlap several of now."""
    allocator = NatAllocator(NatPool(TWO, INSIDE, 1024))
    old = NatBinding("203.0.113.1", 1024, 1024 + 16383)
    elsewhere = NatBinding("192.0.2.1", 1024, 2047)
    allocator.adopt(old)
    allocator.adopt(elsewhere)
    taken = [allocator.take() for _ in range(allocator.size - 16)]
    assert not any(each.address == old.address and each.port_first <= old.port_last for each in taken)
    allocator.give_back(elsewhere)
    with pytest.raises(LookupError):
        allocator.take()
    allocator.give_back(old)
    assert len([allocator.take() for _ in range(16)]) == 16


@given(
    st.integers(64, 32256) | st.just(0),
    st.lists(st.tuples(st.integers(0, 9), st.integers(1, 4)), min_size=1, max_size=4),
    st.lists(st.booleans() | st.just("restart"), max_size=60),
)
def test_no_two_hold_the_same_port(size: int, gaps: list[tuple[int, int]], steps: list[object]) -> None:
    ranges, at = [], 0xCB007100
    for gap, length in gaps:
        ranges.append((_text(at + gap), _text(at + gap + length - 1)))
        at += gap + length
    pool = NatPool(tuple(ranges), INSIDE, size)
    allocator, held = NatAllocator(pool), []
    for step in steps:
        if step == "restart":
            allocator = NatAllocator(pool)
            for binding in held:
                allocator.adopt(binding)
        elif step and allocator.held < allocator.size:
            held.append(allocator.take())
        elif held:
            allocator.give_back(held.pop(0))
    assert allocator.held == len(held)
    for (address, _, last), (other, first, _) in pairwise(sorted(held)):
        assert address != other or last < first
    assert all(size == 0 or FIRST_PORT <= b.port_first <= b.port_last <= LAST_PORT for b in held)
    rest = [allocator.take() for _ in range(allocator.size - len(held))]
    assert len(set(rest + held)) == allocator.size


def _text(number: int) -> str:
    return ".".join(str(octet) for octet in number.to_bytes(4, "big"))


def test_a_block_that_two_overlap_is_free_when_both_have_left() -> None:
    """Of an earlier configuration with other sizes."""
    allocator = NatAllocator(NatPool((("203.0.113.1", "203.0.113.1"),), INSIDE, 64512))
    old = NatBinding("203.0.113.1", 1024, 2047), NatBinding("203.0.113.1", 2048, 3071)
    for binding in old:
        allocator.adopt(binding)
    for binding in old:
        assert allocator.held == 1
        with pytest.raises(LookupError):
            allocator.take()
        allocator.give_back(binding)
    assert allocator.held == 0
