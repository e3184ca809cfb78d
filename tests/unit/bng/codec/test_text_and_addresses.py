"""Text from the network, and addresses."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bng.codec import address, text
from bng.codec.errors import DecodeError


@given(st.binary(min_size=1, max_size=255))
def test_agent_id_is_of_its_yang_type(octets: bytes) -> None:
    cleaned = text.clean_agent_id(octets)
    assert re.fullmatch(r"[!-~]{1,63}", cleaned)


@given(st.binary(min_size=1, max_size=20))
def test_short_agent_ids_can_be_had_back(octets: bytes) -> None:
    assert text.restore_agent_id(text.clean_agent_id(octets)) == octets


@given(st.binary(min_size=1, max_size=90), st.binary(min_size=1, max_size=90))
def test_different_octets_have_different_texts(one: bytes, other: bytes) -> None:
    assert (text.clean_agent_id(one) == text.clean_agent_id(other)) == (one == other)


def test_percent_is_escaped() -> None:
    assert text.clean_agent_id(b"%41") == "%2541"
    assert text.clean_agent_id(b"A b") == "A%20b"
    assert text.clean_agent_id(b"1/0/3") == "1/0/3"


def test_long_ids_that_differ_at_their_end() -> None:
    one, other = text.clean_agent_id(b"x" * 99 + b"1"), text.clean_agent_id(b"x" * 99 + b"2")
    assert one != other
    assert len(one) == len(other) == 63
    with pytest.raises(DecodeError):
        text.restore_agent_id(one)


@pytest.mark.parametrize("bad", ["a b", "%4", "%zz", "ä"])
def test_what_is_no_agent_id(bad: str) -> None:
    with pytest.raises(DecodeError):
        text.restore_agent_id(bad)


def test_empty_agent_id() -> None:
    with pytest.raises(DecodeError):
        text.clean_agent_id(b"")


@given(st.binary(max_size=300))
def test_messages_hold_nothing_that_xml_forbids(octets: bytes) -> None:
    cleaned = text.clean_message(octets)
    assert len(cleaned) <= 253
    assert not re.search("[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]", cleaned)


def test_messages_stay_readable() -> None:
    assert text.clean_message("Rückstand\n".encode()) == "Rückstand%0A"
    assert text.clean_message("\ufffe".encode()) == "�"


@given(st.binary(min_size=4, max_size=4))
def test_ip_round_trip(octets: bytes) -> None:
    assert address.ip_octets(address.ip_text(octets)) == octets


@given(st.binary(min_size=6, max_size=6))
def test_mac_round_trip(octets: bytes) -> None:
    assert address.mac_octets(address.mac_text(octets)) == octets


@pytest.mark.parametrize("bad", ["", "1.2.3", "1.2.3.256", "1.2.3.x", "1.2.3.4.5", "1.2.3.²", "1.2.3.0001"])
def test_what_is_no_ip_address(bad: str) -> None:
    with pytest.raises(DecodeError):
        address.ip_octets(bad)


@pytest.mark.parametrize(
    "bad", ["  :00:00:00:00:00", "", "02:00:00:00:00", "02:00:00:00:00:zz", "2:0:0:0:0:1"]
)
def test_what_is_no_hardware_address(bad: str) -> None:
    with pytest.raises(DecodeError):
        address.mac_octets(bad)
