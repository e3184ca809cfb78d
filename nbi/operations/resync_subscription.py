"""resync-subscription: everything once more on an on-change subscription (RFC 8641 section 4.4.3)."""

from __future__ import annotations

from lxml import etree

from nbi.operations.arguments import Arguments
from nbi.operations.context import Context, Reply
from nbi.operations.subscription_arguments import subscription_id


async def handle(context: Context, operation: etree._Element) -> Reply:
    """Have a push-update follow the reply."""
    arguments = Arguments(operation, "id")
    context.control.subscriptions.resync(subscription_id(arguments))
    return None
