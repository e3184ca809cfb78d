"""get-data: NMDA's get (RFC 8526 section 3.1.1)."""

from __future__ import annotations

from lxml import etree

from nbi.operations.arguments import Arguments
from nbi.operations.context import Context, Reply
from nbi.operations.filters import checked_xpath, namespaces_of, read_with_defaults
from nbi.operations.get import data_element
from nbi.operations.nmda import read_datastore
from nbi.protocol.errors import RpcError, bad_element, invalid_value
from nbi.protocol.names import NMDA_NS
from nbi.protocol.xml import start_tag
from yang.query import Selection
from yang.query.plan import Content
from yang.tree import Tree


async def handle(context: Context, operation: etree._Element) -> Reply:
    """What the filter selects of a datastore, to a depth."""
    arguments = Arguments(
        operation,
        "datastore",
        "subtree-filter",
        "xpath-filter",
        "config-filter",
        "max-depth",
        "with-defaults",
    )
    datastore = read_datastore(arguments)
    source = "running" if datastore == "operational" else datastore
    if source not in ("running", "candidate", "startup"):
        raise invalid_value("datastore", f"this server has no datastore {datastore}")
    selection = _selection(arguments, context.tree)
    if source == "running":
        await context.tree.prepare(selection)
    slices = context.tree.read_xml(
        selection,
        context.user,
        content=_content(arguments, datastore),
        source=source,
        with_defaults=read_with_defaults(arguments, "with-defaults"),
        depth=_depth(arguments),
        session=context.session.id,
    )
    return data_element(slices, start_tag(NMDA_NS, "data", {}, {}))


def _selection(arguments: Arguments, tree: Tree) -> Selection:
    subtree, xpath = arguments.element("subtree-filter"), arguments.element("xpath-filter")
    if subtree is not None and xpath is not None:
        raise bad_element("xpath-filter", "only one of subtree-filter and xpath-filter can be given")
    if xpath is not None:
        return tree.select_xpath(checked_xpath(arguments.required_text("xpath-filter")), namespaces_of(xpath))
    return tree.select_subtree(subtree)


def _content(arguments: Arguments, datastore: str) -> Content:
    config_only = arguments.choice("config-filter", ("true", "false"))
    if datastore != "operational":
        if config_only == "false":
            raise RpcError("invalid-value", f"{datastore} holds configuration only")
        return "config"
    if config_only is None:
        return "all"
    return "config" if config_only == "true" else "state"


def _depth(arguments: Arguments) -> int | None:
    if arguments.text("max-depth") in (None, "unbounded"):
        return None
    return arguments.number("max-depth", 1, 65535)
