"""Requests and the frame of their replies (RFC 6241 sections 4.1 to 4.4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lxml import etree

from nbi.protocol.errors import RpcError, missing_element, unknown_element
from nbi.protocol.names import BASE_NS, qualified
from nbi.protocol.xml import serialize, start_tag

OK = b"<ok/>"
REPLY_END = b"</rpc-reply>"


@dataclass(slots=True)
class Rpc:
    """A request.

    Attributes:
        operation: its one child.
        reply_start: start tag of its reply: echoes all attributes and namespace declarations.
    """

    operation: etree._Element
    reply_start: bytes

    @property
    def name(self) -> str:
        """Local name of the operation, for log and monitoring."""
        return etree.QName(self.operation).localname

    def forget(self) -> None:
        """It has been carried out: a large one is not kept while its reply is read slowly."""
        self.operation = etree.Element(self.operation.tag)


def reply_start(root: etree._Element | None) -> bytes:
    """The start tag of the reply to an rpc; without attributes when there is none to echo.

    The default namespace is always ours: an attribute never depends on it.
    """
    if root is None or root.tag != qualified(BASE_NS, "rpc"):
        return start_tag(BASE_NS, "rpc-reply", {}, {})
    attributes = {str(name): str(value) for name, value in root.attrib.items()}
    return start_tag(BASE_NS, "rpc-reply", attributes, root.nsmap)


def read_rpc(root: etree._Element) -> Rpc:
    """The request that a message holds.

    Raises:
        RpcError: not an rpc, without message-id, or without exactly one operation.
    """
    if root.tag != qualified(BASE_NS, "rpc"):
        raise RpcError("malformed-message", "the message is not an <rpc>", "rpc")
    if "message-id" not in root.attrib:
        raise RpcError(
            "missing-attribute",
            "<rpc> needs a message-id",
            "rpc",
            info={"bad-attribute": "message-id", "bad-element": "rpc"},
        )
    operations = list(root)
    if not operations:
        raise missing_element("operation", "rpc")
    if len(operations) > 1:
        raise unknown_element(operations[1], "rpc")
    return Rpc(operations[0], reply_start(root))


def error_reply(start: bytes, errors: Iterable[RpcError], namespaces: Mapping[str, str]) -> bytes:
    """A reply with one rpc-error per error."""
    body = b"".join(serialize(error.to_element(namespaces)) for error in errors)
    return start + body + REPLY_END
