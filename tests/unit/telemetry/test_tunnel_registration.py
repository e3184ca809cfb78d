"""What a target says to a tunnel server; no I/O."""

from __future__ import annotations

from typing import Any

import pytest

from telemetry.protocol import tunnel_pb2 as pb
from telemetry.tunnel.registration import Answer, End, Open, Registration, TunnelError

TARGET = {"target": "bng-01", "target_type": "GNMI_GNOI"}


@pytest.fixture
def registration() -> Registration:
    return Registration("bng-01", "GNMI_GNOI", 2)


def target(**fields: Any) -> bytes:
    return pb.RegisterOp(target=pb.Target(**{**TARGET, **fields})).SerializeToString()


def session(tag: int, **fields: Any) -> bytes:
    return pb.RegisterOp(
        session=pb.Session(**{**TARGET, "accept": True, "tag": tag, **fields})
    ).SerializeToString()


def refusal(action: Any) -> pb.Session:
    """The session of an answer that refuses it."""
    assert isinstance(action, Answer)
    found = pb.RegisterOp.FromString(action.octets).session
    assert not found.accept
    assert found.error
    return found


def test_octets_are_those_of_the_protocol(registration):
    """Written by hand from the field numbers, so that a number that changes is seen."""
    assert registration.begin() == b"\x0a\x15\x08\x01\x1a\x06bng-01\x22\x09GNMI_GNOI"
    assert registration.receive(b"\x12\x17\x08\x07\x10\x01\x1a\x06bng-01\x22\x09GNMI_GNOI\x2a\x00") == Open(7)
    assert pb.Data(tag=7, data=b"x", close=True).SerializeToString() == b"\x08\x07\x12\x01x\x18\x01"
    assert pb.TargetType.Name(9339) == "GNMI_GNOI"


def test_the_target_is_taken(registration):
    assert not registration.accepted
    assert registration.receive(target(accept=True)) is None
    assert registration.accepted


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"error": "it is registered"}, "bng-01: it is registered"),
        ({"error": "x" * 10_000}, "x{200}$"),
        ({"accept": True, "error": "and yet not"}, "and yet not"),
        ({}, "does not say why"),
    ],
)
def test_the_target_is_not_taken(registration, fields, reason):
    with pytest.raises(TunnelError, match=reason):
        registration.receive(target(**fields))


def test_the_target_is_taken_away_again(registration):
    registration.receive(target(accept=True))
    with pytest.raises(TunnelError, match="moved"):
        registration.receive(target(error="moved"))


@pytest.mark.parametrize(
    "message",
    [
        b"",
        target(op=pb.Target.ADD),
        target(op=pb.Target.REMOVE),
        target(target="bng-02", error="not that one"),
        pb.RegisterOp(subscription=pb.Subscription(accept=True)).SerializeToString(),
        b"\x22\x00",  # a fourth kind
        session(5, error="never mind"),
        session(5, accept=False),
    ],
)
def test_what_is_not_for_this_target_changes_nothing(registration, message):
    assert registration.receive(message) is None
    assert (registration.accepted, registration.sessions) == (False, set())


@pytest.mark.parametrize("octets", [b"\xff", b"\x0a\x05", b"GET / HTTP/1.1\r\n", b"\x12\x02\x2a\xff"])
def test_what_is_no_message(registration, octets):
    with pytest.raises(TunnelError, match="no message"):
        registration.receive(octets)


def test_sessions_until_there_are_too_many(registration):
    assert registration.receive(session(1)) == Open(1)
    assert registration.receive(session(2)) == Open(2)
    refused = refusal(registration.receive(session(3)))
    assert (refused.tag, refused.target, refused.target_type) == (3, "bng-01", "GNMI_GNOI")
    assert "2 connections" in refused.error
    registration.ended(1)
    assert registration.receive(session(3)) == Open(3)
    assert registration.sessions == {2, 3}
    assert (registration.opened, registration.refused) == (4, 1)


@pytest.mark.parametrize("tag", [0, -1, -(2**31)])
def test_a_server_has_positive_tags(registration, tag):
    assert refusal(registration.receive(session(tag))).tag == tag


def test_a_tag_is_used_once_at_a_time(registration):
    registration.receive(session(1))
    assert "in use" in refusal(registration.receive(session(1))).error
    assert registration.sessions == {1}
    registration.ended(1)
    assert registration.receive(session(1)) == Open(1)


@pytest.mark.parametrize("fields", [{"target": "bng-02"}, {"target_type": "SSH"}, {"target": ""}])
def test_another_target_is_not_here(registration, fields):
    assert "bng-01" in refusal(registration.receive(session(1, **fields))).error
    assert registration.sessions == set()


def test_a_session_that_the_server_gives_up(registration):
    registration.receive(session(1))
    assert registration.receive(session(1, accept=False, error="too late")) == End(1)
    assert registration.sessions == {1}, "it counts until it has ended"


def test_a_session_that_cannot_be_opened(registration):
    registration.receive(session(1))
    answer = registration.unable(1, "no way")
    assert refusal(Answer(answer)).error == "no way"
    assert isinstance(registration.receive(session(1)), Answer), "the tag is in use until it has ended"
    registration.ended(1)
    assert (registration.sessions, registration.refused) == (set(), 2)
