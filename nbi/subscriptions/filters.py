"""Filters of subscriptions: configured ones by their name, and those that come with a request."""

from __future__ import annotations

from nbi.protocol.event_filter import EventFilter, xpath_filter
from yang.query import Selection
from yang.tree import Tree

_STREAM = ("stream-filter", "name", "stream-xpath-filter")
_SELECTION = ("ietf-yang-push:selection-filter", "filter-id", "datastore-xpath-filter")
WATCHED = "/ietf-subscribed-notifications:filters"


def configured_filter(tree: Tree, name: str, *, stream: bool) -> str | None:
    """The expression of a configured filter, with module names as prefixes; None when there is none.

    Args:
        stream: whether it is for event streams, or for datastores.
    """
    kind, key, expression = _STREAM if stream else _SELECTION
    filters = tree.datastores.running.members.get("ietf-subscribed-notifications:filters", {})
    for entry in filters.get(kind, ()):
        if entry[key] == name:
            found: str | None = entry.get(expression)
            return found
    return None


def event_filter(tree: Tree, expression: str) -> EventFilter:
    """An XPath with module names as prefixes, as a filter on events.

    Raises:
        ValueError: it is not an XPath that can be used.
    """
    return xpath_filter(expression, namespaces(tree))


def selection(tree: Tree, expression: str) -> Selection:
    """An XPath with module names as prefixes, as a selection of a datastore.

    Raises:
        OperationError: it is not an XPath that can be used.
    """
    return tree.select_xpath(expression, namespaces(tree))


def namespaces(tree: Tree) -> dict[str | None, str]:
    """Module name → namespace."""
    return {module.name: module.namespace for module in tree.schema.modules}
