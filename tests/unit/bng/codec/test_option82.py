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


ids = st.binary(min_size=1, max_size=80)


@given(ids, ids)
def test_a_line_of_whole_names_tells_its_option_82(circuit: bytes, remote: bytes) -> None:
    value = option82.build(((1, circuit), (2, remote)))
    remote_id, circuit_id = option82.access_line(value)
    try:
        made = option82.of_line(remote_id, circuit_id)
    except DecodeError:
        assert "%~" in remote_id + circuit_id, "only a name that was cut does not tell its octets"
        assert option82.beyond_text(value, remote_id, circuit_id) == value
        return
    assert made == value
    assert option82.beyond_text(value, remote_id, circuit_id) == b""


@given(ids, ids, sub_options)
def test_what_is_remembered_of_option_82_is_enough(
    circuit: bytes, remote: bytes, more: option82.SubOptions
) -> None:
    """With what is remembered the servers get what they got at first, in whatever order it was written."""
    others = tuple(pair for pair in more if pair[0] not in (1, 2))
    for pairs in (((1, circuit), (2, remote), *others), ((2, remote), *others, (1, circuit))):
        value = option82.build(pairs)
        remote_id, circuit_id = option82.access_line(value)
        kept = option82.beyond_text(value, remote_id, circuit_id)
        again = kept or option82.of_line(remote_id, circuit_id)
        theirs = option82.parse(option82.strip(value))
        assert sorted(option82.parse(again)) == sorted(theirs)
        assert option82.access_line(again) == (remote_id, circuit_id)
