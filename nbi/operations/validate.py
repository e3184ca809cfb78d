"""validate: check a configuration (RFC 6241 section 8.6.4.1)."""

from __future__ import annotations

from lxml import etree

from nbi.operations import urls
from nbi.operations.arguments import Arguments, Source
from nbi.operations.context import Context, Reply
from nbi.operations.nmda import target_datastore
from nbi.protocol.errors import invalid_value


async def handle(context: Context, operation: etree._Element) -> Reply:
    """Check all constraints of a datastore or of a given configuration."""
    arguments = Arguments(operation, "source")
    datastore = target_datastore(arguments, "source")
    if datastore == "operational" or (datastore is not None and datastore not in context.tree.served):
        raise invalid_value("datastore", f"{datastore} is not a configuration that can be validated")
    if datastore is not None:
        source = Source("running" if datastore == "intended" else datastore)
    else:
        source = arguments.source("source", url=True)
    await context.tree.datastores.validate(context.session, await urls.resolve(context, source))
    return None
