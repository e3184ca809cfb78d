"""cancel-commit: take back a confirmed commit (RFC 6241 section 8.4.4.1)."""

from __future__ import annotations

from lxml import etree

from nbi.operations.arguments import Arguments
from nbi.operations.commit import token
from nbi.operations.context import Context, Reply


async def handle(context: Context, operation: etree._Element) -> Reply:
    """Restore what was running before the confirmed commit."""
    arguments = Arguments(operation, "persist-id")
    await context.tree.datastores.cancel_commit(context.session, token(arguments, "persist-id"))
    return None
