"""create-subscription: notifications on this session (RFC 5277 section 2.1.1)."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from lxml import etree

from nbi.operations.arguments import Arguments
from nbi.operations.context import Context, Reply
from nbi.operations.filters import filter_attributes, namespaces_of
from nbi.protocol.errors import RpcError, bad_element, invalid_value, missing_element
from nbi.protocol.event_filter import EventFilter, subtree_filter, xpath_filter
from nbi.subscriptions import STREAM, SubscriptionRequest

_DATE_AND_TIME = re.compile(
    r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,18}))?(Z|[+-]\d{2}:\d{2})", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
    context.control.subscribe(SubscriptionRequest(_filter(arguments), start, stop))
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
    """A date-and-time in nanoseconds since the epoch."""
    text = arguments.text(name)
    if text is None:
        return None
    match = _DATE_AND_TIME.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        moment = datetime.fromisoformat(match[1] + match[3].replace("Z", "+00:00")) - _EPOCH
    except (ValueError, OverflowError):
        raise bad_element(name, f"<{name}> must be a time as RFC 3339 has it") from None
    fraction = int((match[2] or "0").ljust(9, "0")[:9])
    return (moment.days * 86400 + moment.seconds) * 1_000_000_000 + fraction
