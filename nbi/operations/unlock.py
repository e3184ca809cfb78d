"""unlock: give a lock back (RFC 6241 section 7.6)."""

from __future__ import annotations

from lxml import etree

from nbi.operations.arguments import Arguments
from nbi.operations.context import Context, Reply


async def handle(context: Context, operation: etree._Element) -> Reply:
    """Release the lock of the target."""
    target = Arguments(operation, "target").datastore("target")
    await context.tree.datastores.unlock(context.session, target)
    return None
