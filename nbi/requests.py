"""The requests of a NETCONF client, as elements."""

from __future__ import annotations

from collections.abc import Mapping

from lxml import etree

from nbi.protocol.names import BASE_NS, WITH_DEFAULTS_NS, qualified

Xml = str | bytes | etree._Element

XPath = tuple[str, Mapping[str, str]]
"""An expression, and the namespaces of its prefixes."""


def as_element(content: Xml) -> etree._Element:
    """What a caller gave, as an element."""
    if isinstance(content, etree._Element):
        return content
    data = content.encode() if isinstance(content, str) else content
    return etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True))


def new_operation(name: str) -> etree._Element:
    """An operation of NETCONF itself, still empty."""
    return etree.Element(qualified(BASE_NS, name))


def add(parent: etree._Element, name: str, text: str) -> None:
    """A leaf of NETCONF itself."""
    etree.SubElement(parent, qualified(BASE_NS, name)).text = text


def add_datastore(operation: etree._Element, role: str, name: str) -> None:
    """Name a datastore as ``source`` or ``target``."""
    datastore = etree.SubElement(operation, qualified(BASE_NS, role))
    etree.SubElement(datastore, qualified(BASE_NS, name))


def add_filter(operation: etree._Element, subtree: Xml | None, xpath: XPath | None) -> None:
    """A filter, if one is given."""
    if xpath is not None:
        operation.append(xpath_filter(BASE_NS, xpath))
    elif subtree is not None:
        element = etree.SubElement(operation, qualified(BASE_NS, "filter"), {"type": "subtree"})
        element.append(as_element(subtree))


def xpath_filter(namespace: str, xpath: XPath) -> etree._Element:
    """An XPath filter, with the namespaces of its prefixes."""
    expression, namespaces = xpath
    nsmap: dict[str | None, str] = {"nc": BASE_NS}
    nsmap.update(namespaces.items())
    tag = qualified(namespace, "filter")
    # the attributes of a filter have no namespace (RFC 6241 section 8.9.5.1)
    return etree.Element(tag, {"type": "xpath", "select": expression}, nsmap=nsmap)  # type: ignore[arg-type]


def add_with_defaults(operation: etree._Element, mode: str | None) -> None:
    """A mode of RFC 6243, if one is given."""
    if mode is not None:
        etree.SubElement(operation, qualified(WITH_DEFAULTS_NS, "with-defaults")).text = mode
