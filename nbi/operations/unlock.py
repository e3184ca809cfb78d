"""unlock: give a lock back (RFC 6241 section 7.6)."""

from __future__ import annotations

from lxml import etree

from nbi.operations.arguments import Arguments
from nbi.operations.context import Context, Reply
from nbi.operations.nmda import configuration_target


async def handle(context: Context, operation: etree._Element) -> Reply:
    """Release the lock of the target."""
    target = configuration_target(Arguments(operation, "target"))
    await context.tree.datastores.unlock(context.session, target)
    return None
