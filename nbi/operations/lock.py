"""lock: nobody else changes a datastore (RFC 6241 section 7.5)."""

from __future__ import annotations

from lxml import etree

from nbi.operations.arguments import Arguments
from nbi.operations.context import Context, Reply
from nbi.operations.nmda import configuration_target


async def handle(context: Context, operation: etree._Element) -> Reply:
    """Take the lock of the target for this session."""
    target = configuration_target(Arguments(operation, "target"))
    await context.tree.datastores.lock(context.session, target)
    return None
