"""Subscription state change notifications (RFC 8639 section 2.7), and the records that state shows."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any, Final

from nbi.protocol.names import PUSH_NS, SUBSCRIBED_NS
from nbi.protocol.notification import event_time, message
from nbi.protocol.subscription_errors import qualified_identity
from nbi.subscriptions.events import STREAM
from nbi.subscriptions.terms import EventTerms, OnChangeTerms, PeriodicTerms, PushTerms, Terms
from yang.provider import Notification, Record
from yang.tree import Tree

MODULE: Final = "ietf-subscribed-notifications"
_ENCODING: Final = f"{MODULE}:encode-xml"


def policy(terms: Terms) -> dict[str, Any]:
    """The leaves of the grouping subscription-policy, as attributes of a record."""
    shown: dict[str, Any] = {"encoding": _ENCODING}
    if terms.stop is not None:
        shown["stop_time"] = event_time(terms.stop)
    if isinstance(terms, EventTerms):
        shown["stream"] = STREAM
        if terms.start is not None:
            shown["replay_start_time"] = event_time(terms.start)
        shown["stream_filter_name"] = terms.filter.name
        if terms.filter.name is None:
            shown["stream_xpath_filter"] = terms.filter.xpath
        shown["stream_subtree_filter"] = _anydata(
            "stream-subtree-filter", SUBSCRIBED_NS, terms.filter.subtree
        )
        return shown
    shown["datastore"] = f"ietf-datastores:{terms.datastore}"
    shown["selection_filter_ref"] = terms.filter.name
    if terms.filter.name is None:
        shown["datastore_xpath_filter"] = terms.filter.xpath
    shown["datastore_subtree_filter"] = _anydata("datastore-subtree-filter", PUSH_NS, terms.filter.subtree)
    shown.update(_trigger(terms))
    return shown


def _trigger(terms: PushTerms) -> dict[str, Any]:
    trigger = terms.trigger
    if isinstance(trigger, PeriodicTerms):
        anchor = None if trigger.anchor is None else event_time(trigger.anchor)
        return {"periodic": SimpleNamespace(period=trigger.period, anchor_time=anchor)}
    assert isinstance(trigger, OnChangeTerms)
    return {
        "on_change": SimpleNamespace(
            dampening_period=trigger.dampening,
            sync_on_start=trigger.sync,
            excluded_change=sorted(trigger.excluded),
        )
    }


def _anydata(name: str, namespace: str, content: str | None) -> str | None:
    return None if content is None else f'<{name} xmlns="{namespace}">{content}</{name}>'


class StateNotices:
    """The messages about one subscription.

    Args:
        identifier: of the subscription.
    """

    def __init__(self, tree: Tree, identifier: int) -> None:
        self._tree = tree
        self._id = identifier

    def replayed(self) -> bytes:
        """replay-completed."""
        return self._message("replay-completed")

    def suspended(self, reason: str) -> bytes:
        """subscription-suspended, for an identity of subscription-suspended-reason."""
        return self._message("subscription-suspended", reason=qualified_identity(reason))

    def resumed(self) -> bytes:
        """subscription-resumed."""
        return self._message("subscription-resumed")

    def terminated(self, reason: str) -> bytes:
        """subscription-terminated, for an identity of subscription-terminated-reason."""
        return self._message("subscription-terminated", reason=qualified_identity(reason))

    def modified(self, terms: Terms) -> bytes:
        """subscription-modified, with all terms as they are now."""
        return self._message("subscription-modified", **policy(terms))

    def _message(self, name: str, **leaves: Any) -> bytes:
        now = time.time_ns()
        record: Record = SimpleNamespace(id=self._id, **leaves)
        return message(now, self._tree.encode_notification(Notification(f"/{MODULE}:{name}", record, now)))
