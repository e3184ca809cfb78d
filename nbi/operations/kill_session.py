"""kill-session: end another session (RFC 6241 section 7.9)."""

from __future__ import annotations

from lxml import etree

from nbi.operations.arguments import Arguments
from nbi.operations.context import Context, Reply
from nbi.protocol.errors import missing_element


async def handle(context: Context, operation: etree._Element) -> Reply:
    """End the session; its locks are released when the reply is sent."""
    session_id = Arguments(operation, "session-id").number("session-id", 1, 4294967295)
    if session_id is None:
        raise missing_element("session-id")
    await context.control.kill(session_id)
    return None
