"""discard-changes: candidate becomes running again (RFC 6241 section 8.3.4.2)."""

from __future__ import annotations

from lxml import etree

from nbi.operations.arguments import Arguments
from nbi.operations.context import Context, Reply


async def handle(context: Context, operation: etree._Element) -> Reply:
    """Revert the candidate."""
    Arguments(operation)
    await context.tree.datastores.discard(context.session)
    return None
