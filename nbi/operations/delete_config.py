"""delete-config: empty a datastore (RFC 6241 section 7.4)."""

from __future__ import annotations

from lxml import etree

from nbi.operations import urls
from nbi.operations.arguments import Arguments
from nbi.operations.context import Context, Reply


async def handle(context: Context, operation: etree._Element) -> Reply:
    """Delete the content of the target."""
    target = Arguments(operation, "target").source("target", inline=False, url=True)
    if target.url is not None:
        await urls.delete(context, target.url)
    else:
        await context.tree.datastores.delete(context.session, str(target.given))
    return None
