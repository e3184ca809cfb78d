"""validate: check a configuration (RFC 6241 section 8.6.4.1)."""

from __future__ import annotations

from lxml import etree

from nbi.operations import urls
from nbi.operations.arguments import Arguments
from nbi.operations.context import Context, Reply


async def handle(context: Context, operation: etree._Element) -> Reply:
    """Check all constraints of a datastore or of a given configuration."""
    source = Arguments(operation, "source").source("source", url=True)
    await context.tree.datastores.validate(context.session, await urls.resolve(context, source))
    return None
