"""Parsing XML that a stranger sent.

Nothing is fetched, no entity is expanded, no DTD is read, and the parser's own limits (depth 256, 10 MB
of text in one node) stay on. Messages are UTF-8, whatever their declaration claims (RFC 6241 section 3).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from lxml import etree

MAX_ELEMENTS = 500_000
"""Start tags and comments that one message may hold: bounds the memory of its tree."""

MAX_NAMES = 1_000
"""Attributes that one element may have, and namespaces that may be declared around it: to look at all of
them, or to add them to another element, takes time that grows faster than their number."""

_WHITESPACE = b" \t\r\n"


class MalformedXml(Exception):
    """The message is not XML that this server reads; the text says why."""


def parse(data: bytes) -> etree._Element:
    """The root element of a message; comments and processing instructions are dropped.

    Raises:
        MalformedXml: not well-formed, not UTF-8, with a document type, or too big to hold.
    """
    data = data.strip(_WHITESPACE)
    if _has_doctype(data):
        raise MalformedXml("a document type declaration is not allowed")
    if data.count(b"<") - data.count(b"</") > MAX_ELEMENTS:
        raise MalformedXml(f"the message has more than {MAX_ELEMENTS} elements")
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise MalformedXml(f"not well-formed: {error}") from None
    # lxml forgets an error of namespaces, as of a prefix that is not declared, when a warning follows it
    for entry in parser.error_log:
        if entry.level != etree.ErrorLevels.WARNING:
            raise MalformedXml(f"not well-formed: {entry.message}")
    if root.getroottree().docinfo.internalDTD is not None:
        raise MalformedXml("a document type declaration is not allowed")
    if data.count(b"=") > MAX_NAMES:
        _check_names(root)
    return root


def _check_names(root: etree._Element) -> None:
    if any(len(element.attrib) > MAX_NAMES for element in root.iter()):
        raise MalformedXml(f"an element has more than {MAX_NAMES} attributes")
    in_scope = 0
    for event, _ in etree.iterwalk(root, events=("start-ns", "end-ns")):
        in_scope += 1 if event == "start-ns" else -1
        if in_scope > MAX_NAMES:
            raise MalformedXml(f"more than {MAX_NAMES} namespaces are declared around an element")


def _has_doctype(data: bytes) -> bool:
    """Whether a document type declaration stands before the root element, the only place it may."""
    at = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    while True:
        while data[at : at + 1] in (b" ", b"\t", b"\r", b"\n"):
            at += 1
        if data.startswith(b"<?", at):
            end, skip = data.find(b"?>", at), 2
        elif data.startswith(b"<!--", at):
            end, skip = data.find(b"-->", at + 4), 3
        else:
            return data.startswith(b"<!", at)
        if end < 0:
            return False
        at = end + skip


Nsmap = Mapping[str | None, str]
"""Prefix → namespace; None is the default namespace."""


def new_element(
    tag: str,
    nsmap: Nsmap | None = None,
    *,
    attributes: Mapping[str, str] | None = None,
    parent: etree._Element | None = None,
) -> etree._Element:
    """A new element, below a parent if one is given."""
    declared = cast("dict[str, str]", dict(nsmap or {}))
    given = dict(attributes or {})
    if parent is None:
        return etree.Element(tag, given, nsmap=declared)
    return etree.SubElement(parent, tag, given, nsmap=declared)


def start_tag(namespace: str, name: str, attributes: Mapping[str, str], nsmap: Nsmap) -> bytes:
    """The start tag of an element in the default namespace, for content that is written piece by piece."""
    element = new_element(f"{{{namespace}}}{name}", {**nsmap, None: namespace}, attributes=attributes)
    written = etree.tostring(element, encoding="utf-8")
    # Where nsmap has a prefix for the same namespace, lxml may have used it for the element.
    return b"<" + name.encode() + written[written.index(b" ") : -2] + b">"


def serialize(element: etree._Element) -> bytes:
    """An element as UTF-8 without declaration and without the text that follows it."""
    return etree.tostring(element, encoding="utf-8", with_tail=False)
