"""modify-subscription: other terms for a subscription of this session (RFC 8639 section 2.4.3)."""

from __future__ import annotations

from lxml import etree

from nbi.operations.arguments import Arguments
from nbi.operations.context import Context, Reply
from nbi.operations.subscription_arguments import COMMON, SubscriptionArguments, subscription_id
from nbi.protocol.subscription_errors import Structure


async def handle(context: Context, operation: etree._Element) -> Reply:
    """Change what is given; subscription-modified follows the reply."""
    arguments = Arguments(operation, "id", *COMMON)
    subscriptions = context.control.subscriptions
    given = SubscriptionArguments(context.tree, arguments, "modify", subscriptions.registry.limits.min_period)
    structure: Structure = (
        "modify-subscription-datastore-error-info"
        if given.about_datastore
        else "modify-subscription-stream-error-info"
    )
    subscription = subscriptions.own(subscription_id(arguments), structure, "no-such-subscription")
    await subscriptions.modify(subscription, given.modified(subscription.terms))
    return None
