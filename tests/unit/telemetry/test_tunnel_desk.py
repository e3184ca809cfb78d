"""What a tunnel server answers; no I/O."""

from __future__ import annotations

from typing import Any

import pytest

from telemetry.protocol import tunnel_pb2 as pb
from telemetry.tunnel.desk import MAXIMUM_OF_ALL, MAXIMUM_TARGETS, Added, Desk, Failed, Removed
from telemetry.tunnel.registration import Answer, Open, Registration, TunnelError


def target(name: str = "bng-01", op: int = pb.Target.ADD, target_type: str = "GNMI_GNOI") -> bytes:
    asked = pb.Target(op=op, target=name, target_type=target_type)
    return pb.RegisterOp(target=asked).SerializeToString()


def error(octets: bytes) -> str:
    message = pb.RegisterOp.FromString(octets)
    found: Any = getattr(message, message.WhichOneof("Registration"))
    assert found.accept != bool(found.error)
    return found.error


def test_both_sides_understand_each_other():
    desk, registration = Desk(()), Registration("bng-01", "GNMI_GNOI", 1)
    added = desk.receive(registration.begin())
    assert isinstance(added, Added)
    registration.receive(added.answer)
    assert registration.accepted
    assert registration.receive(desk.ask(1, "bng-01")) == Open(1)
    refused = registration.receive(desk.ask(2, "bng-01"))
    assert isinstance(refused, Answer)
    assert desk.receive(refused.octets) == Failed(2, "1 connections are open already")
    removed = desk.receive(target(op=pb.Target.REMOVE))
    assert isinstance(removed, Removed)
    assert (error(removed.answer), desk.targets) == ("", set())


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "/etc/passwd", "a/b", "a\0b", "a b", "-rf", "x" * 65, "bng-01\n", "ü"],
)
def test_names_that_are_no_names_of_files(name):
    answer = Desk(()).receive(target(name))
    assert isinstance(answer, Answer)
    assert "a name is" in error(answer.octets)


def test_what_is_not_taken():
    desk = Desk({"bng-02"})
    for message, reason in (
        (target(target_type="SSH"), "type GNMI_GNOI"),
        (target("bng-02"), "taken"),
        (target(op=pb.Target.REMOVE), "no such"),
        (pb.RegisterOp(session=pb.Session(tag=-1, target="bng-02")).SerializeToString(), "alone"),
        (pb.RegisterOp(subscription=pb.Subscription(op=1)).SerializeToString(), "alone"),
    ):
        answer = desk.receive(message)
        assert isinstance(answer, Answer)
        assert reason in error(answer.octets)
    for number in range(MAXIMUM_TARGETS):
        assert isinstance(desk.receive(target(f"b{number}")), Added)
    for name, reason in (("b0", "taken"), ("one-more", "16 targets")):
        answer = desk.receive(target(name))
        assert isinstance(answer, Answer)
        assert reason in error(answer.octets)
    assert desk.receive(b"") is None
    assert desk.receive(target(op=pb.Target.UNKNOWN)) is None
    with pytest.raises(TunnelError, match="no message"):
        desk.receive(b"\xff")


def test_targets_of_all_clients_are_bounded():
    taken = {f"bng-{number}" for number in range(MAXIMUM_OF_ALL - 1)}
    desk = Desk(taken)
    assert isinstance(desk.receive(target("last")), Added)
    taken.add("last")
    refused = desk.receive(target("one-more"))
    assert isinstance(refused, Answer)
    assert f"{MAXIMUM_OF_ALL} targets" in error(refused.octets)
