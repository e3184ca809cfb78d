"""The server's side of one NETCONF session, without I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lxml import etree

from nbi.protocol.errors import RpcError
from nbi.protocol.framing import Deframer, Framer, FramingError, MessageTooBig
from nbi.protocol.hello import ClientHello, HelloError, build_hello, read_hello
from nbi.protocol.rpc import Rpc, error_reply, read_rpc, reply_start
from nbi.protocol.xml import MalformedXml, parse

MAX_HELLO = 65536
"""Largest hello that is accepted from a client, in octets."""


class ProtocolViolation(Exception):
    """The session has to end.

    Attributes:
        farewell: octets to send before it is closed; empty when nothing may be said.
        bad_hello: whether it was the client's hello that was refused.
    """

    def __init__(self, message: str, farewell: bytes = b"", *, bad_hello: bool = False) -> None:
        super().__init__(message)
        self.farewell = farewell
        self.bad_hello = bad_hello


@dataclass(slots=True)
class HelloReceived:
    """The session is open; framing is what both sides speak."""

    hello: ClientHello


@dataclass(slots=True)
class RpcReceived:
    """A request to carry out."""

    rpc: Rpc


@dataclass(slots=True)
class RpcRejected:
    """A message that is no request; its reply, unframed, is to be sent."""

    error: RpcError
    reply: bytes


Event = HelloReceived | RpcReceived | RpcRejected


class ServerConnection:
    """Bytes in, requests out.

    Feed octets with `receive`, then take messages with `next_message` and interpret each with `interpret`
    before the next one is taken. (Two steps, so that a large message can be parsed in another thread.)

    Args:
        session_id: number of the session, 1 to 4294967295.
        capabilities: URIs for the server's hello.
        max_message: largest accepted message in octets.
        namespaces: module name → XML namespace, for the prefixes in error-path.
    """

    def __init__(
        self,
        session_id: int,
        capabilities: Iterable[str],
        max_message: int,
        namespaces: Mapping[str, str],
    ) -> None:
        self.framer = Framer()
        self._session_id = session_id
        self._capabilities = tuple(capabilities)
        self._max_message = max_message
        self._deframer = Deframer(min(max_message, MAX_HELLO))
        self._namespaces = namespaces
        self._client: ClientHello | None = None
        self._refusal: str | None = None

    @property
    def open(self) -> bool:
        """Whether the client's hello has been accepted."""
        return self._client is not None

    @property
    def buffered(self) -> int:
        """Octets received that no message returned so far contained."""
        return self._deframer.buffered

    def greeting(self) -> bytes:
        """The server's hello, framed; sent at once, without waiting for the client's."""
        return Framer().message(build_hello(self._session_id, self._capabilities))

    def receive(self, data: bytes) -> None:
        """Take octets from the transport."""
        if self._refusal is None:
            self._deframer.feed(data)

    def refuse(self, why: str) -> None:
        """Take no more: what was received is dropped, and the session ends with ``resource-denied``."""
        self._refusal = why
        self._deframer = Deframer(0)

    def next_message(self) -> bytes | None:
        """The next whole message, or None until more is received.

        Raises:
            ProtocolViolation: framing is lost, the message is too big, or no more is taken.
        """
        if self._refusal is not None:
            raise ProtocolViolation(self._refusal, self._farewell("resource-denied", self._refusal))
        try:
            return self._deframer.next_message()
        except FramingError as error:
            tag = "too-big" if isinstance(error, MessageTooBig) else "malformed-message"
            raise ProtocolViolation(str(error), self._farewell(tag, str(error))) from None

    def interpret(self, message: bytes) -> Event:
        """What a message means.

        Raises:
            ProtocolViolation: it is no acceptable hello, or may not be answered.
        """
        if self._client is None:
            return self._first(message)
        root: etree._Element | None = None
        try:
            root = parse(message)
            return RpcReceived(read_rpc(root))
        except MalformedXml as error:
            rejection = RpcError("malformed-message", str(error), "rpc")
        except RpcError as error:
            rejection = error
        if rejection.tag == "malformed-message" and not self._client.base_11:
            # The tag is new in base 1.1; a client of base 1.0 can only be left (RFC 6241 appendix A).
            raise ProtocolViolation(rejection.message)
        return RpcRejected(rejection, error_reply(reply_start(root), [rejection], self._namespaces))

    def _first(self, message: bytes) -> HelloReceived:
        try:
            self._client = read_hello(parse(message))
        except (MalformedXml, HelloError) as error:
            raise ProtocolViolation(str(error), bad_hello=True) from None
        self._deframer.max_message = self._max_message
        if self._client.base_11:
            self._deframer.use_chunks()
            self.framer.use_chunks()
        return HelloReceived(self._client)

    def _farewell(self, tag: str, message: str) -> bytes:
        if self._client is None or (tag == "malformed-message" and not self._client.base_11):
            return b""
        error = RpcError(tag, message, "rpc")
        return self.framer.message(error_reply(reply_start(None), [error], self._namespaces))
