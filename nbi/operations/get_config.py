"""get-config: the configuration in a datastore (RFC 6241 section 7.1)."""

from __future__ import annotations

from lxml import etree

from nbi.operations.arguments import Arguments
from nbi.operations.context import Context, Reply
from nbi.operations.filters import WITH_DEFAULTS, read_filter, read_with_defaults
from nbi.operations.get import data_element


async def handle(context: Context, operation: etree._Element) -> Reply:
    """The part of a datastore that the filter selects and the user may read."""
    arguments = Arguments(operation, "source", "filter", WITH_DEFAULTS)
    source = arguments.datastore("source")
    selection = read_filter(arguments.element("filter"), context.tree)
    slices = await context.tree.read(
        selection,
        context.user,
        content="config",
        source=source,
        with_defaults=read_with_defaults(arguments),
        session=context.session.id,
    )
    return data_element(slices)
