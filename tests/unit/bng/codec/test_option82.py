"""The relay agent information option."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bng.codec import option82
from bng.codec.errors import DecodeError

sub_options = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=60)), max_size=6).map(tuple)
LINE = option82.build(((1, b"1/0/3"), (2, b"node-a")))


@given(sub_options)
def test_round_trip(pairs: option82.SubOptions) -> None:
    assert option82.parse(option82.build(pairs)) == pairs


@given(st.binary(max_size=255))
def test_garbage(value: bytes) -> None:
    for function in (option82.parse, option82.access_line, option82.strip):
        try:
            function(value)
        except DecodeError:
            continue


@given(sub_options)
def test_adding_keeps_every_foreign_sub_option_octet_for_octet(pairs: option82.SubOptions) -> None:
    theirs = tuple(pair for pair in pairs if pair[0] not in option82.OURS)
    added = option82.add(option82.build(pairs), "bng-01", "100.64.0.1")
    assert added.startswith(option82.build(theirs))
    assert option82.strip(added) == option82.build(theirs)


def test_what_a_subscribers_side_says_in_our_place_is_not_believed() -> None:
    spoofed = LINE + option82.build(((5, b"\x0a\0\0\1"), (11, b"\x0a\0\0\2"), (12, b"evil")))
    pairs = option82.parse(option82.add(spoofed, "bng-01", "100.64.0.1"))
    assert pairs[2:] == ((5, b"\x64\x40\0\1"), (11, b"\x64\x40\0\1"), (12, b"bng-01"))


def test_access_line() -> None:
    assert option82.access_line(LINE) == ("node-a", "1/0/3")


@pytest.mark.parametrize(
    "pairs",
    [
        ((1, b"a"),),
        ((2, b"a"),),
        ((1, b""), (2, b"a")),
        ((1, b"a"), (2, b"b"), (1, b"c")),
    ],
    ids=["no remote-id", "no circuit-id", "empty", "twice"],
)
def test_who_cannot_be_told_apart(pairs: option82.SubOptions) -> None:
    with pytest.raises(DecodeError):
        option82.access_line(option82.build(pairs))


@pytest.mark.parametrize("value", [b"\1", b"\1\5ab"])
def test_truncated(value: bytes) -> None:
    with pytest.raises(DecodeError):
        option82.parse(value)


def test_a_value_that_does_not_fit() -> None:
    with pytest.raises(DecodeError):
        option82.build(((1, bytes(256)),))
