"""get-data: NMDA's get (RFC 8526 section 3.1.1)."""

from __future__ import annotations

from lxml import etree

from nbi.operations.arguments import Arguments
from nbi.operations.context import Context, Reply
from nbi.operations.filters import checked_xpath, namespaces_of, read_with_defaults
from nbi.operations.get import data_element
from nbi.operations.nmda import identity, read_datastore
from nbi.protocol.errors import RpcError, bad_element, invalid_value, unknown_element
from nbi.protocol.names import NMDA_NS, ORIGIN_NS
from nbi.protocol.xml import start_tag
from yang.documents import OriginView
from yang.query import Selection
from yang.query.plan import Content, WithDefaults
from yang.tree import Tree

_FILTERS = ("origin-filter", "negated-origin-filter")


async def handle(context: Context, operation: etree._Element) -> Reply:
    """What the filters select of a datastore, to a depth."""
    arguments = Arguments(
        operation,
        "datastore",
        "subtree-filter",
        "xpath-filter",
        "config-filter",
        "max-depth",
        "with-origin",
        "with-defaults",
        repeated=_FILTERS,
    )
    datastore = read_datastore(arguments)
    tree = context.tree
    if datastore not in tree.served:
        raise invalid_value("datastore", f"this server has no datastore {datastore}")
    origin = _origin(arguments, datastore, tree)
    selection = _selection(arguments, tree)
    content = _content(arguments, datastore)
    depth = _depth(arguments)
    # operational has the values that are in use, whoever has set them (RFC 8342 section 5.3)
    basic: WithDefaults = "report-all" if datastore == "operational" else "explicit"
    with_defaults = read_with_defaults(arguments, "with-defaults", basic)
    if content is None:
        return data_element((), start_tag(NMDA_NS, "data", {}, {}))
    if datastore == "operational":
        await tree.prepare(selection)
    slices = await tree.read(
        selection,
        context.user,
        content=content,
        source="running" if datastore in ("operational", "intended") else datastore,
        with_defaults=with_defaults,
        depth=depth,
        origin=origin,
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


def _content(arguments: Arguments, datastore: str) -> Content | None:
    """The content that is asked for; None when the datastore has nothing of the kind."""
    config_only = arguments.choice("config-filter", ("true", "false"))
    if datastore != "operational":
        return None if config_only == "false" else "config"
    if config_only is None:
        return "all"
    return "config" if config_only == "true" else "state"


def _depth(arguments: Arguments) -> int | None:
    if arguments.text("max-depth") in (None, "unbounded"):
        return None
    return arguments.number("max-depth", 1, 65535)


def _origin(arguments: Arguments, datastore: str, tree: Tree) -> OriginView | None:
    """What is asked about origins, which only operational has."""
    shown = arguments.flag("with-origin")
    given = {name: arguments.elements(name) for name in _FILTERS}
    if datastore != "operational":
        if shown:
            raise invalid_value("with-origin", f"{datastore} has no origins: only operational has")
        for elements in given.values():
            for element in elements:  # its when statement is false (RFC 7950 section 8.3.1)
                raise unknown_element(element)
    positive, negated = given.values()
    if positive and negated:
        raise bad_element(_FILTERS[1], f"only one of {' and '.join(_FILTERS)} can be given")
    if not positive and not negated:
        return OriginView(shown) if shown else None
    named = {origin for element in (*positive, *negated) for origin in _origins(element, tree)}
    every = tree.schema.identities.derived("ietf-origin:origin") | {"ietf-origin:origin"}
    return OriginView(shown, frozenset(named if positive else every - named))


def _origins(element: etree._Element, tree: Tree) -> frozenset[str]:
    """An origin and those that derive from it."""
    name = f"ietf-origin:{identity(element, ORIGIN_NS)}"
    identities = tree.schema.identities
    if name != "ietf-origin:origin" and name not in identities.derived("ietf-origin:origin"):
        raise RpcError("invalid-value", f"there is no origin {name}", info={"bad-element": "origin-filter"})
    return identities.derived(name) | {name}
