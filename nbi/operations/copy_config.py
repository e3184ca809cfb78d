"""copy-config: replace a datastore by another, or by a given configuration (RFC 6241 section 7.3)."""

from __future__ import annotations

from lxml import etree

from nbi.operations import urls
from nbi.operations.arguments import Arguments
from nbi.operations.context import Context, Reply
from nbi.operations.filters import WITH_DEFAULTS, read_with_defaults


async def handle(context: Context, operation: etree._Element) -> Reply:
    """Make the target equal to the source."""
    arguments = Arguments(operation, "target", "source", WITH_DEFAULTS)
    target = arguments.source("target", inline=False, url=True)
    source = arguments.source("source", url=True)
    # The mode says how a source is reported to a url; a datastore is copied as it is.
    mode = read_with_defaults(arguments)
    if target.url is not None:
        await urls.write(context, target.url, source, mode)
    else:
        content = await urls.resolve(context, source)
        await context.tree.datastores.copy(context.session, str(target.given), content)
    return None
