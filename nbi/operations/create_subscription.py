"""create-subscription: notifications on this session (RFC 5277 section 2.1.1)."""

from __future__ import annotations

from lxml import etree

from nbi.operations.arguments import Arguments
from nbi.operations.context import Context, Reply
from nbi.operations.filters import filter_attributes, namespaces_of
from nbi.protocol.errors import RpcError, bad_element, invalid_value, missing_element
from nbi.protocol.event_filter import EventFilter, subtree_filter, xpath_filter
from nbi.protocol.notification import parse_time
from nbi.subscriptions import STREAM, EventTerms


async def handle(context: Context, operation: etree._Element) -> Reply:
    """Subscribe; with startTime, first what the journal holds since then."""
    arguments = Arguments(operation, "stream", "filter", "startTime", "stopTime")
    stream = arguments.text("stream") or STREAM
    if stream != STREAM:
        raise invalid_value("stream", f"this server has no stream {stream}; it has {STREAM}")
    start = _time(arguments, "startTime")
    stop = _time(arguments, "stopTime")
    if stop is not None:
        if start is None:
            raise missing_element("startTime")
        if stop <= start:
            raise bad_element("stopTime", "<stopTime> must be later than <startTime>")
    context.control.subscriptions.create(EventTerms(_filter(arguments), start, stop))
    return None


def _filter(arguments: Arguments) -> EventFilter | None:
    element = arguments.element("filter")
    if element is None:
        return None
    kind, select = filter_attributes(element)
    if kind == "subtree":
        return subtree_filter(element)
    try:
        return xpath_filter(select, namespaces_of(element))
    except ValueError as error:
        raise RpcError("invalid-value", str(error), info={"bad-element": "filter"}) from None


def _time(arguments: Arguments, name: str) -> int | None:
    text = arguments.text(name)
    if text is None:
        return None
    try:
        return parse_time(text)
    except ValueError:
        raise bad_element(name, f"<{name}> must be a time as RFC 3339 has it") from None
