"""What a target says to a tunnel server and answers it, in one Register RPC; without I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from google.protobuf.message import DecodeError

from telemetry.protocol import tunnel_pb2 as pb

MAXIMUM_SESSIONS: Final = 32
"""Connections through one tunnel at a time."""
_MAX_REASON: Final = 200


class TunnelError(Exception):
    """The call, or one connection in it, cannot go on; the text says why, for people."""


@dataclass(frozen=True, slots=True)
class Open:
    """Connect to the target, then open a Tunnel stream that begins with this tag."""

    tag: int


@dataclass(frozen=True, slots=True)
class End:
    """End the connection with this tag."""

    tag: int


@dataclass(frozen=True, slots=True)
class Answer:
    """Send this in the Register stream."""

    octets: bytes


class Registration:
    """One target at one tunnel server.

    Attributes:
        accepted: the server has taken the target.
        sessions: tags of connections that are open, or being opened.
        opened, refused: connections that the server has asked for, and those of them that it did not get.

    Args:
        target, target_type: what is announced.
        maximum: connections at a time.
    """

    def __init__(self, target: str, target_type: str, maximum: int = MAXIMUM_SESSIONS) -> None:
        self.accepted = False
        self.sessions: set[int] = set()
        self.opened = 0
        self.refused = 0
        self._target = target
        self._target_type = target_type
        self._maximum = maximum

    def begin(self) -> bytes:
        """What the stream begins with: the announcement of the target."""
        target = pb.Target(op=pb.Target.ADD, target=self._target, target_type=self._target_type)
        return bytes(pb.RegisterOp(target=target).SerializeToString())

    def receive(self, octets: bytes) -> Open | End | Answer | None:
        """What a message asks for. Raises TunnelError: it is none, or the server does not take the target."""
        try:
            message = pb.RegisterOp.FromString(octets)
        except DecodeError:
            raise TunnelError("the tunnel server sent what is no message of Register") from None
        kind = message.WhichOneof("Registration")
        if kind == "target":
            self._answered(message.target)
        elif kind == "session":
            return self._asked(message.session)
        # nothing was subscribed to, and what a later version of the protocol has is not for us
        return None

    def unable(self, tag: int, reason: str) -> bytes:
        """A connection that was to be opened cannot be: what to send. Not for one whose stream was opened.

        Its tag is in use until it has `ended`: the server may ask again before it has heard of this.
        """
        self.refused += 1
        return self._refusal(tag, reason)

    def ended(self, tag: int) -> None:
        """A connection has ended; its tag may be used again."""
        self.sessions.discard(tag)

    def _answered(self, target: pb.Target) -> None:
        ours = (target.target, target.target_type) == (self._target, self._target_type)
        if not ours or target.op != pb.Target.UNKNOWN:
            return
        if not target.accept or target.error:
            why = target.error[:_MAX_REASON] or "it does not say why"
            raise TunnelError(f"the tunnel server does not take the target {self._target}: {why}")
        self.accepted = True

    def _asked(self, session: pb.Session) -> Open | End | Answer | None:
        tag = session.tag
        if session.error or not session.accept:
            return End(tag) if tag in self.sessions else None
        self.opened += 1
        reason = self._objection(session)
        if reason:
            self.refused += 1
            return Answer(self._refusal(tag, reason))
        self.sessions.add(tag)
        return Open(tag)

    def _objection(self, session: pb.Session) -> str:
        if session.tag <= 0:
            return "the tag of a server's session is positive"
        if (session.target, session.target_type) != (self._target, self._target_type):
            return f"the target here is {self._target} of type {self._target_type}"
        if session.tag in self.sessions:
            return f"tag {session.tag} is in use"
        if len(self.sessions) >= self._maximum:
            return f"{self._maximum} connections are open already"
        return ""

    def _refusal(self, tag: int, reason: str) -> bytes:
        session = pb.Session(tag=tag, target=self._target, target_type=self._target_type, error=reason)
        return bytes(pb.RegisterOp(session=session).SerializeToString())
