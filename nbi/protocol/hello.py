"""The exchange of hellos (RFC 6241 section 8.1)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lxml import etree

from nbi.protocol import names
from nbi.protocol.names import BASE_NS, qualified
from nbi.protocol.xml import new_element, serialize


class HelloError(Exception):
    """The client's hello is one that no session can come from."""


@dataclass(frozen=True, slots=True)
class ClientHello:
    """What a client said of itself."""

    capabilities: frozenset[str]

    @property
    def base_11(self) -> bool:
        """Whether it speaks base 1.1, and with it chunked framing."""
        return names.CAP_BASE_11 in self.capabilities

    @property
    def private_candidate(self) -> bool:
        """Whether it asks for a private candidate (draft-ietf-netconf-privcand)."""
        return any(uri.partition("?")[0] == names.CAP_PRIVATE_CANDIDATE for uri in self.capabilities)


def build_hello(session_id: int, capabilities: Iterable[str]) -> bytes:
    """The server's hello, unframed."""
    hello = new_element(qualified(BASE_NS, "hello"), {None: BASE_NS})
    listed = etree.SubElement(hello, qualified(BASE_NS, "capabilities"))
    for uri in capabilities:
        etree.SubElement(listed, qualified(BASE_NS, "capability")).text = uri
    etree.SubElement(hello, qualified(BASE_NS, "session-id")).text = str(session_id)
    return serialize(hello)


def read_hello(root: etree._Element) -> ClientHello:
    """What the client's first message says.

    Raises:
        HelloError: not a hello, one with a session-id (only servers give those), or no common version.
    """
    if root.tag != qualified(BASE_NS, "hello"):
        raise HelloError("the first message must be a hello")
    if root.find(qualified(BASE_NS, "session-id")) is not None:
        raise HelloError("a client's hello must not have a session-id")
    listed = root.findall(f"{qualified(BASE_NS, 'capabilities')}/{qualified(BASE_NS, 'capability')}")
    capabilities = frozenset((item.text or "").strip() for item in listed)
    if not capabilities & {names.CAP_BASE_10, names.CAP_BASE_11}:
        raise HelloError("the hello names neither base:1.0 nor base:1.1")
    return ClientHello(capabilities)
