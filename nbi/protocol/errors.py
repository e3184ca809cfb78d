"""rpc-error: what a client is told when a request fails (RFC 6241 section 4.3 and appendix A)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field

from lxml import etree

from nbi.protocol.conflicts import Conflict, add_conflict
from nbi.protocol.names import BASE_NS, YANG_NS, qualified
from nbi.protocol.paths import instance_identifier_to_xpath
from nbi.protocol.xml import new_element

ERROR_TAGS = frozenset(
    {
        "access-denied",
        "bad-attribute",
        "bad-element",
        "data-exists",
        "data-missing",
        "in-use",
        "invalid-value",
        "lock-denied",
        "malformed-message",
        "missing-attribute",
        "missing-element",
        "operation-failed",
        "operation-not-supported",
        "partial-operation",
        "resource-denied",
        "rollback-failed",
        "too-big",
        "unknown-attribute",
        "unknown-element",
        "unknown-namespace",
    }
)
"""All error-tags of RFC 6241 appendix A."""

ERROR_TYPES = frozenset({"transport", "rpc", "protocol", "application"})

_YANG_INFO = frozenset({"non-unique", "missing-choice"})
"""Elements of error-info in YANG's namespace (RFC 7950 section 15); several values are one a line."""
_FORBIDDEN = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_INFO_ORDER = ("session-id", "bad-attribute", "bad-element", "bad-namespace")


@dataclass(eq=False)
class RpcError(Exception):
    """One rpc-error, raised by whatever reads or carries out a request.

    Attributes:
        tag: an error-tag of appendix A.
        message: a sentence for a person.
        error_type: the layer at fault: transport, rpc, protocol or application.
        path: data path at fault in RFC 7951 form, or None.
        app_tag: error-app-tag, or None.
        info: elements of error-info, name → text.
        conflicts: further elements of error-info, for an update of a private candidate that failed.
        structure: one more element of error-info, of a namespace of its own; or None.
    """

    tag: str
    message: str
    error_type: str = "protocol"
    path: str | None = None
    app_tag: str | None = None
    info: Mapping[str, str] = field(default_factory=dict)
    conflicts: Sequence[Conflict] = ()
    structure: etree._Element | None = None

    def __post_init__(self) -> None:
        if self.tag not in ERROR_TAGS:
            raise ValueError(f"{self.tag} is not an error-tag of RFC 6241")
        if self.error_type not in ERROR_TYPES:
            raise ValueError(f"{self.error_type} is not an error-type of RFC 6241")

    def __str__(self) -> str:
        return f"{self.tag}: {self.message}"

    def to_element(self, namespaces: Mapping[str, str]) -> etree._Element:
        """The rpc-error element.

        Args:
            namespaces: module name → XML namespace, for the prefixes in error-path.
        """
        error = new_element(qualified(BASE_NS, "rpc-error"), {None: BASE_NS})
        _add(error, "error-type", self.error_type)
        _add(error, "error-tag", self.tag)
        _add(error, "error-severity", "error")
        if self.app_tag is not None:
            _add(error, "error-app-tag", self.app_tag)
        if self.path is not None:
            self._add_path(error, self.path, namespaces)
        message = etree.SubElement(error, qualified(BASE_NS, "error-message"))
        message.set("{http://www.w3.org/XML/1998/namespace}lang", "en")
        message.text = xml_text(self.message)
        if self.info or self.conflicts or self.structure is not None:
            info = etree.SubElement(error, qualified(BASE_NS, "error-info"))
            for name in sorted(self.info, key=_info_rank):
                self._add_info(info, name, self.info[name], namespaces)
            for conflict in self.conflicts:
                for text in add_conflict(info, conflict, namespaces):
                    text.text = xml_text(text.text or "")
            if self.structure is not None:
                info.append(deepcopy(self.structure))
        return error

    @staticmethod
    def _add_info(info: etree._Element, name: str, text: str, namespaces: Mapping[str, str]) -> None:
        if name not in _YANG_INFO:
            _add(info, name, text)
            return
        for line in text.split("\n"):
            value, nsmap = instance_identifier_to_xpath(line, namespaces) if "/" in line else (line, {})
            element = new_element(qualified(YANG_NS, name), {**nsmap, None: YANG_NS}, parent=info)
            element.text = xml_text(value)

    @staticmethod
    def _add_path(error: etree._Element, path: str, namespaces: Mapping[str, str]) -> None:
        xpath, nsmap = instance_identifier_to_xpath(path, namespaces)
        element = new_element(qualified(BASE_NS, "error-path"), nsmap, parent=error)
        element.text = xml_text(xpath)


def _info_rank(name: str) -> int:
    return _INFO_ORDER.index(name) if name in _INFO_ORDER else len(_INFO_ORDER)


def _add(parent: etree._Element, name: str, text: str) -> None:
    etree.SubElement(parent, qualified(BASE_NS, name)).text = xml_text(text)


def xml_text(text: str) -> str:
    """The text with every character that XML 1.0 forbids replaced by U+FFFD."""
    return _FORBIDDEN.sub("\ufffd", text)


def unknown_element(element: etree._Element, error_type: str = "protocol") -> RpcError:
    """The error for an element that does not belong where it stands."""
    name = etree.QName(element)
    return RpcError(
        "unknown-element",
        f"<{name.localname}> is not expected here",
        error_type,
        info={"bad-element": name.localname},
    )


def unknown_namespace(element: etree._Element, error_type: str = "protocol") -> RpcError:
    """The error for an element of a namespace that no module has."""
    name = etree.QName(element)
    return RpcError(
        "unknown-namespace",
        f"no module of this server has the namespace of <{name.localname}>",
        error_type,
        info={"bad-element": name.localname, "bad-namespace": name.namespace or ""},
    )


def missing_element(name: str, error_type: str = "protocol") -> RpcError:
    """The error for an element that has to be there and is not."""
    return RpcError("missing-element", f"<{name}> is missing", error_type, info={"bad-element": name})


def bad_element(name: str, message: str, error_type: str = "protocol") -> RpcError:
    """The error for an element whose value cannot be used."""
    return RpcError("bad-element", message, error_type, info={"bad-element": name})


def invalid_value(name: str, message: str, error_type: str = "protocol") -> RpcError:
    """The error for a parameter with a value that this server does not take."""
    return RpcError("invalid-value", message, error_type, info={"bad-element": name})


def unknown_attribute(element: etree._Element, attribute: str, error_type: str = "protocol") -> RpcError:
    """The error for an attribute that does not belong where it stands."""
    name, bad = etree.QName(element).localname, etree.QName(attribute).localname
    return RpcError(
        "unknown-attribute",
        f"attribute {bad} is not expected in <{name}>",
        error_type,
        info={"bad-attribute": bad, "bad-element": name},
    )
