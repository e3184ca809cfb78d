"""RADIUS packets: round trips, signatures, and what is not believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bng.codec import radius
from bng.codec.errors import DecodeError
from bng.codec.radius import Attribute, Code

SECRET = b"secret"
AUTHENTICATOR = bytes(range(16))
plain = st.builds(
    Attribute,
    st.just(0),
    st.integers(1, 255).filter(lambda t: t not in (radius.VENDOR_SPECIFIC, radius.MESSAGE_AUTHENTICATOR)),
    st.binary(max_size=100),
)
vendor = st.builds(Attribute, st.integers(1, 2**24 - 1), st.integers(0, 255), st.binary(max_size=100))
attributes = st.lists(st.one_of(plain, vendor), max_size=10).map(tuple)


def _answered(code: int = Code.ACCESS_ACCEPT, **options: bool) -> bytes:
    return radius.build_response(code, 7, AUTHENTICATOR, (Attribute(0, 11, b"gold"),), SECRET, **options)


@given(attributes, st.integers(0, 255), st.binary(max_size=30))
def test_request_round_trip(given_: tuple[Attribute, ...], identifier: int, padding: bytes) -> None:
    data = radius.build_request(Code.ACCESS_REQUEST, identifier, given_, SECRET, AUTHENTICATOR)
    packet = radius.verify_request(data + padding, SECRET)
    assert (packet.code, packet.identifier, packet.authenticator) == (1, identifier, AUTHENTICATOR)
    assert packet.attributes[0].type == radius.MESSAGE_AUTHENTICATOR
    assert packet.attributes[1:] == given_


@given(attributes)
def test_other_requests_and_their_responses(given_: tuple[Attribute, ...]) -> None:
    for code in (Code.ACCOUNTING_REQUEST, Code.COA_REQUEST, Code.DISCONNECT_REQUEST):
        data = radius.build_request(code, 1, given_, SECRET)
        request = radius.verify_request(data, SECRET)
        assert request.attributes[1:] == given_
        answer = radius.build_response(Code.COA_ACK, 1, request.authenticator, given_, SECRET)
        seen = radius.verify_response(answer, data[4:20], SECRET, demand_message_authenticator=True)
        assert seen.attributes[1:] == given_


@given(st.binary(max_size=300))
def test_garbage(data: bytes) -> None:
    framed = b"\2\7" + (20 + len(data)).to_bytes(2, "big") + bytes(16) + data
    for candidate in (data, framed):
        for check in (
            lambda d: radius.parse(d),
            lambda d: radius.verify_request(d, SECRET),
            lambda d: radius.verify_response(d, AUTHENTICATOR, SECRET, demand_message_authenticator=False),
        ):
            try:
                check(candidate)
            except DecodeError:
                continue


@given(st.integers(0, len(_answered()) - 1), st.integers(1, 255))
def test_every_flipped_octet_of_a_response_is_noticed(place: int, mask: int) -> None:
    data = bytearray(_answered())
    data[place] ^= mask
    with pytest.raises(DecodeError):
        radius.verify_response(bytes(data), AUTHENTICATOR, SECRET, demand_message_authenticator=True)


def test_a_response_without_message_authenticator() -> None:
    data = _answered(message_authenticator=False)
    seen = radius.verify_response(data, AUTHENTICATOR, SECRET, demand_message_authenticator=False)
    assert seen.values(11) == [b"gold"]
    with pytest.raises(DecodeError, match="no Message-Authenticator"):
        radius.verify_response(data, AUTHENTICATOR, SECRET, demand_message_authenticator=True)


def test_message_authenticators_that_are_not_one() -> None:
    for bad in (
        (Attribute(0, 80, bytes(16)),),
        (Attribute(0, 80, b"short"),),
        (Attribute(0, 80, bytes(16)),) * 2,
    ):
        data = radius.build_response(2, 7, AUTHENTICATOR, bad, SECRET, message_authenticator=False)
        with pytest.raises(DecodeError, match="Message-Authenticator"):
            radius.verify_response(data, AUTHENTICATOR, SECRET, demand_message_authenticator=False)


def test_requests_of_others() -> None:
    data = radius.build_request(Code.COA_REQUEST, 1, (), b"other")
    with pytest.raises(DecodeError, match="Request-Authenticator"):
        radius.verify_request(data, SECRET)
    data = radius.build_request(Code.ACCESS_REQUEST, 1, (), b"other", AUTHENTICATOR)
    with pytest.raises(DecodeError, match="Message-Authenticator"):
        radius.verify_request(data, SECRET)


@pytest.mark.parametrize(
    "value",
    [
        b"\0\0\0\x09",
        b"\0\0\0\x09\1\x09x",
        b"\0\0\0\x09\1\1x",
        b"\1\0\0\x09\1\3x",
        b"\0\0\0\x09\1\3xy",
        b"\0\0\0\0\1\3x",
    ],
)
def test_vendor_attributes_that_follow_another_form_are_kept_whole(value: bytes) -> None:
    data = radius.build_response(2, 1, AUTHENTICATOR, (Attribute(0, 26, value),), SECRET)
    assert radius.parse(data).values(26) == [value]


def test_several_attributes_in_one_vendor_specific() -> None:
    value = b"\0\0\xa8\xea" + b"\1\6\0\0\0\1" + b"\2\6\0\0\0\2"
    data = radius.build_response(2, 1, AUTHENTICATOR, (Attribute(0, 26, value),), SECRET)
    packet = radius.parse(data)
    assert (packet.values(1, 43242), packet.values(2, 43242)) == ([b"\0\0\0\1"], [b"\0\0\0\2"])


@pytest.mark.parametrize("body", [b"\1", b"\1\1", b"\1\x09abc"], ids=["no length", "too short", "too long"])
def test_malformed_attributes(body: bytes) -> None:
    with pytest.raises(DecodeError):
        radius.parse(b"\2\7" + (20 + len(body)).to_bytes(2, "big") + bytes(16) + body)


def test_impossible_lengths() -> None:
    for data in (
        bytes(19),
        b"\2\7\0\x13" + bytes(16),
        b"\2\7\0\x50" + bytes(16),
        b"\2\7\x10\x01" + bytes(4093),
    ):
        with pytest.raises(DecodeError):
            radius.parse(data)


def test_what_does_not_fit() -> None:
    with pytest.raises(DecodeError):
        radius.encode_attributes((Attribute(0, 1, bytes(254)),))
    with pytest.raises(DecodeError):
        radius.encode_attributes((Attribute(9, 1, bytes(248)),))
    with pytest.raises(DecodeError):
        radius.build_request(1, 1, (Attribute(0, 1, bytes(253)),) * 17, SECRET, AUTHENTICATOR)


@given(st.binary(max_size=128).map(lambda octets: octets.rstrip(b"\0")))
def test_password_round_trip(password: bytes) -> None:
    hidden = radius.hide_password(password, SECRET, AUTHENTICATOR)
    assert len(hidden) % 16 == 0
    assert radius.reveal_password(hidden, SECRET, AUTHENTICATOR) == password


def test_passwords_of_impossible_length() -> None:
    with pytest.raises(DecodeError):
        radius.hide_password(bytes(129), SECRET, AUTHENTICATOR)
    for hidden in (b"", bytes(15), bytes(144)):
        with pytest.raises(DecodeError):
            radius.reveal_password(hidden, SECRET, AUTHENTICATOR)


def test_agrees_with_the_example_of_the_rfc() -> None:
    """RFC 2865, 7.1: nemo logs in with arctangent."""
    secret = b"xyzzy5461"
    authenticator = bytes.fromhex("0f403f9473978057bd83d5cb98f4227a")
    hidden = radius.hide_password(b"arctangent", secret, authenticator)
    assert hidden.hex() == "0dbe708d93d413ce3196e43f782a0aee"
    response = bytes.fromhex("0200002686fe220e7624ba2a1005f6bf9b55e0b20606000000010f06000000000e06c0a80103")
    packet = radius.verify_response(response, authenticator, secret, demand_message_authenticator=False)
    assert packet.values(14) == [bytes([192, 168, 1, 3])]
