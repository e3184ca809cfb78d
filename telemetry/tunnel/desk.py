"""What a tunnel server hears and answers in the Register RPC of one client; without I/O."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from google.protobuf.message import DecodeError

from telemetry.protocol import tunnel_pb2 as pb
from telemetry.tunnel.registration import Answer, TunnelError

GNMI: Final = "GNMI_GNOI"
MAXIMUM_TARGETS: Final = 16
"""Of one client."""
MAXIMUM_OF_ALL: Final = 512
"""Targets of all clients: each takes a file descriptor, of which a client that is hostile leaves some."""
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,63}")
_MAX_REASON: Final = 200


@dataclass(frozen=True, slots=True)
class Added:
    """A target can be connected to from now on; send the answer when it can."""

    name: str
    answer: bytes


@dataclass(frozen=True, slots=True)
class Removed:
    """A target is no more."""

    name: str
    answer: bytes


@dataclass(frozen=True, slots=True)
class Refused(Answer):
    """A target is not taken; send this."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The connection with this tag is not to be had."""

    tag: int
    reason: str


class Desk:
    """One client.

    Attributes:
        targets: names of those that it has, all of gNMI.

    Args:
        others: names that are taken already, of all clients.
        proven: names that the client may have, as its certificate has them; None for any.
    """

    def __init__(self, others: Collection[str], proven: Collection[str] | None = None) -> None:
        self.targets: set[str] = set()
        self._others = others
        self._proven = None if proven is None else {name.casefold() for name in proven}

    def receive(self, octets: bytes) -> Added | Removed | Failed | Answer | None:
        """What a message asks for. Raises TunnelError: it is none."""
        try:
            message = pb.RegisterOp.FromString(octets)
        except DecodeError:
            raise TunnelError("the client sent what is no message of Register") from None
        kind = message.WhichOneof("Registration")
        if kind == "target":
            return self._target(message.target)
        if kind == "session":
            return self._session(message.session)
        if kind == "subscription":
            return self._subscription(message.subscription)
        return None

    @staticmethod
    def ask(tag: int, name: str) -> bytes:
        """What asks for a connection to a target."""
        session = pb.Session(tag=tag, accept=True, target=name, target_type=GNMI)
        return bytes(pb.RegisterOp(session=session).SerializeToString())

    def _target(self, target: pb.Target) -> Added | Removed | Answer | None:
        name = target.target
        if target.op == pb.Target.ADD:
            reason = self._objection(target)
            if reason:
                return Refused(_answer(target, reason), name[:_MAX_REASON], reason)
            self.targets.add(name)
            return Added(name, _answer(target))
        if target.op == pb.Target.REMOVE:
            if name not in self.targets:
                return Answer(_answer(target, "there is no such target"))
            self.targets.remove(name)
            return Removed(name, _answer(target))
        return None

    def _objection(self, target: pb.Target) -> str:
        if target.target_type != GNMI:
            return f"targets of type {GNMI} are taken here"
        if not _NAME.fullmatch(target.target):
            return "a name is up to 64 letters, digits, and _ - . :, of which the last three do not begin it"
        if self._proven is not None and target.target.casefold() not in self._proven:
            return "the client's certificate does not have this name, as CN or subjectAltName"
        if target.target in self.targets or target.target in self._others:
            return "the name is taken"
        if len(self.targets) >= MAXIMUM_TARGETS:
            return f"{MAXIMUM_TARGETS} targets of one client are taken"
        if len(self._others) >= MAXIMUM_OF_ALL:
            return f"{MAXIMUM_OF_ALL} targets are taken here"
        return ""

    @staticmethod
    def _session(session: pb.Session) -> Failed | Answer:
        if session.error:
            return Failed(session.tag, session.error[:_MAX_REASON])
        refused = pb.Session(
            tag=session.tag,
            target=session.target,
            target_type=session.target_type,
            error="targets here are for this collector alone",
        )
        return Answer(bytes(pb.RegisterOp(session=refused).SerializeToString()))

    @staticmethod
    def _subscription(subscription: pb.Subscription) -> Answer:
        refused = pb.Subscription(
            op=subscription.op,
            target_type=subscription.target_type,
            error="targets here are for this collector alone",
        )
        return Answer(bytes(pb.RegisterOp(subscription=refused).SerializeToString()))


def _answer(target: pb.Target, error: str = "") -> bytes:
    answer = pb.Target(target=target.target, target_type=target.target_type, accept=not error, error=error)
    return bytes(pb.RegisterOp(target=answer).SerializeToString())
