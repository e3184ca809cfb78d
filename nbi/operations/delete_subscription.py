"""delete-subscription: end a subscription of this session (RFC 8639 section 2.4.4)."""

from __future__ import annotations

from lxml import etree

from nbi.operations.arguments import Arguments
from nbi.operations.context import Context, Reply
from nbi.operations.subscription_arguments import subscription_id


async def handle(context: Context, operation: etree._Element) -> Reply:
    """End it; nothing of it follows the reply."""
    arguments = Arguments(operation, "id")
    await context.control.subscriptions.delete(subscription_id(arguments))
    return None
