"""Notifications on a session: RFC 5277, and the dynamic subscriptions of RFC 8639, 8640 and 8641.

`terms` is what a client asked for; `events` and `push` serve one subscription each; `dynamic` is a
subscription with its identifier; `session` holds those of one session, `registry` all; `providers` is their
state. What has no I/O is in `nbi.protocol`: messages, schedules, errors, filters.
"""

from nbi.protocol.notification import event_time
from nbi.subscriptions.events import STREAM, Replay, SubscriptionEnded
from nbi.subscriptions.registry import Registry
from nbi.subscriptions.session import SessionSubscriptions
from nbi.subscriptions.terms import EventTerms, PushTerms

__all__ = [
    "STREAM",
    "EventTerms",
    "PushTerms",
    "Registry",
    "Replay",
    "SessionSubscriptions",
    "SubscriptionEnded",
    "event_time",
]
