"""Parameters that the reading operations share: filter and with-defaults."""

from __future__ import annotations

from typing import cast

from lxml import etree

from nbi.operations.arguments import Arguments, reject_attributes
from nbi.protocol.errors import RpcError, bad_element
from nbi.protocol.names import BASE_NS, WITH_DEFAULTS_NS, qualified
from yang.query import Selection
from yang.query.plan import WithDefaults
from yang.tree import Tree

WITH_DEFAULTS = qualified(WITH_DEFAULTS_NS, "with-defaults")
WITH_DEFAULTS_MODES = ("explicit", "report-all", "report-all-tagged", "trim")
"""Modes of RFC 6243; the first is the basic mode."""

MAX_XPATH = 4096
"""Longest XPath that is accepted, in characters."""


def read_filter(element: etree._Element | None, tree: Tree) -> Selection:
    """What a ``filter`` element of RFC 6241 selects; everything when there is none."""
    if element is None:
        return tree.select_all()
    kind, select = filter_attributes(element)
    if kind == "xpath":
        return tree.select_xpath(select, namespaces_of(element))
    return tree.select_subtree(element)


def filter_attributes(element: etree._Element) -> tuple[str, str]:
    """Type (``subtree`` or ``xpath``) of a filter, and the XPath of the latter.

    Raises:
        RpcError: unknown-attribute, bad-attribute, missing-attribute, bad-element.
    """
    names = {name: qualified(BASE_NS, name) for name in ("type", "select")}
    reject_attributes(element, *names, *names.values())
    kind = element.get("type", element.get(names["type"], "subtree"))
    select = element.get("select", element.get(names["select"]))
    if kind not in ("subtree", "xpath"):
        raise _bad_attribute("bad-attribute", "type", "the type of a filter is subtree or xpath")
    if kind == "subtree":
        if select is not None:
            raise _bad_attribute("unknown-attribute", "select", "a subtree filter has no select")
        return "subtree", ""
    if select is None:
        raise _bad_attribute("missing-attribute", "select", "an xpath filter needs select")
    if len(element):
        raise bad_element("filter", "an xpath filter must be empty")
    return "xpath", checked_xpath(select)


def checked_xpath(expression: str) -> str:
    """The expression, if it is XPath 1.0 and not longer than `MAX_XPATH`."""
    if len(expression) > MAX_XPATH:
        raise RpcError("too-big", f"an XPath may have {MAX_XPATH} characters at most")
    try:
        etree.XPath(expression)
    except etree.XPathSyntaxError as error:
        raise RpcError("invalid-value", f"{expression!r} is not an XPath expression: {error}") from None
    return expression


def namespaces_of(element: etree._Element) -> dict[str | None, str]:
    """Prefix → namespace at an element; without the default one, which XPath does not use."""
    return {prefix: uri for prefix, uri in element.nsmap.items() if prefix is not None}


def read_with_defaults(
    arguments: Arguments, name: str = WITH_DEFAULTS, basic: WithDefaults = "explicit"
) -> WithDefaults:
    """The with-defaults parameter (RFC 6243); `basic` when it is not given."""
    mode = arguments.choice(name, WITH_DEFAULTS_MODES)
    return cast("WithDefaults", mode or basic)


def _bad_attribute(tag: str, attribute: str, message: str) -> RpcError:
    return RpcError(tag, message, info={"bad-attribute": attribute, "bad-element": "filter"})
