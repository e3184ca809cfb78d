"""kill-subscription: end anybody's subscription (RFC 8639 section 2.4.5)."""

from __future__ import annotations

from lxml import etree

from nbi.operations.arguments import Arguments
from nbi.operations.context import Context, Reply
from nbi.operations.subscription_arguments import subscription_id


async def handle(context: Context, operation: etree._Element) -> Reply:
    """End it; its receiver is told."""
    arguments = Arguments(operation, "id")
    context.control.subscriptions.kill(subscription_id(arguments))
    return None
