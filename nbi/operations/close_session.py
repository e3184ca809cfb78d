"""close-session: the end, asked for (RFC 6241 section 7.8)."""

from __future__ import annotations

from lxml import etree

from nbi.operations.arguments import Arguments
from nbi.operations.context import Context, Reply


async def handle(context: Context, operation: etree._Element) -> Reply:
    """End this session after the reply."""
    Arguments(operation)
    context.control.close_after_reply()
    return None
