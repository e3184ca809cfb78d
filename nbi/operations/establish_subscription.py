"""establish-subscription: a dynamic subscription to events or to a datastore (RFC 8639 section 2.4.2)."""

from __future__ import annotations

from lxml import etree

from nbi.operations.arguments import Arguments
from nbi.operations.context import Context, Reply
from nbi.operations.subscription_arguments import COMMON, SubscriptionArguments, check_encoding
from nbi.protocol.errors import bad_element, missing_element
from nbi.protocol.notification import event_time
from nbi.subscriptions import EventTerms
from nbi.subscriptions.events import log_times
from nbi.subscriptions.terms import Terms

_PATH = "/ietf-subscribed-notifications:establish-subscription"


async def handle(context: Context, operation: etree._Element) -> Reply:
    """Answer with the identifier; what is subscribed to comes after the reply."""
    arguments = Arguments(operation, "stream", "replay-start-time", "encoding", *COMMON)
    check_encoding(arguments)
    registry = context.control.subscriptions.registry
    given = SubscriptionArguments(context.tree, arguments, "establish", registry.limits.min_period)
    if given.about_datastore and given.about_stream:
        raise bad_element("stream", "a subscription is either to a stream or to a datastore", "application")
    terms: Terms
    if given.about_datastore:
        if arguments.element("replay-start-time") is not None:
            raise bad_element("replay-start-time", "a datastore has no replay", "application")
        terms = given.push()
    elif arguments.element("stream") is None:
        raise missing_element("stream", "application")
    else:
        terms = given.events(replayable=registry.replay is not None)
    subscription = await context.control.subscriptions.establish(terms)
    output: dict[str, object] = {"id": subscription.id}
    if isinstance(terms, EventTerms) and terms.start is not None and registry.replay is not None:
        created, aged = log_times(registry.replay)
        earliest = aged + 1 if aged is not None else created
        if earliest is not None and terms.start < earliest:
            output["replay-start-time-revision"] = event_time(earliest)
    return [context.tree.encode_output(_PATH, output)]
