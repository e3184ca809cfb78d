"""partial-unlock: give a partial lock back (RFC 5717 section 2.4.2)."""

from __future__ import annotations

from lxml import etree

from nbi.operations.arguments import Arguments
from nbi.operations.context import Context, Reply
from nbi.protocol.errors import missing_element


async def handle(context: Context, operation: etree._Element) -> Reply:
    """Release the lock with this number."""
    lock_id = Arguments(operation, "lock-id").number("lock-id", 0, 4294967295)
    if lock_id is None:
        raise missing_element("lock-id")
    await context.tree.datastores.partial_unlock(context.session, lock_id)
    return None
