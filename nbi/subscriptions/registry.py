"""All dynamic subscriptions of a server: identifiers, bounds, and what happens to them from outside."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import structlog

from nbi.info import Limits
from nbi.protocol.errors import RpcError
from nbi.subscriptions import filters
from nbi.subscriptions.dynamic import Dynamic
from nbi.subscriptions.events import Encoded, Replay
from nbi.subscriptions.terms import EventTerms
from yang.provider import OperationError
from yang.tree import Tree

if TYPE_CHECKING:
    from nbi.subscriptions.session import SessionSubscriptions

log = structlog.get_logger(__name__)

FIRST_ID: Final = 1 << 31
"""Identifiers of dynamic subscriptions are in the upper half of their range (RFC 8639 section 6)."""
_LAST_ID: Final = (1 << 32) - 1


class Registry:
    """Keeps the subscriptions; their sessions add and remove them.

    Attributes:
        subscriptions: by identifier, oldest first.
        encoded: notifications as XML, shared by all.
    """

    def __init__(self, tree: Tree, replay: Replay | None, limits: Limits) -> None:
        self.tree = tree
        self.replay = replay
        self.limits = limits
        self.encoded = Encoded(tree)
        self.subscriptions: dict[int, Dynamic] = {}
        self._owners: dict[int, SessionSubscriptions] = {}
        self._next = FIRST_ID
        self._follower: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Follow the configured filters."""
        self._follower = asyncio.create_task(self._follow_filters(), name="netconf-filters")

    def stop(self) -> None:
        """Follow them no more; safe to call twice."""
        if self._follower is not None:
            self._follower.cancel()

    def new_id(self) -> int:
        """An identifier that no subscription has."""
        while True:
            identifier = self._next
            self._next = identifier + 1 if identifier < _LAST_ID else FIRST_ID
            if identifier not in self.subscriptions:
                return identifier

    def room(self, user: str, session: int) -> str | None:
        """Why there can be no further subscription; None when there can."""
        held = self.subscriptions.values()
        for count, limit, whose in (
            (
                sum(one.session == session for one in held),
                self.limits.max_session_subscriptions,
                "this session",
            ),
            (sum(one.user == user for one in held), self.limits.max_user_subscriptions, f"user {user}"),
            (len(held), self.limits.max_subscriptions, "this server"),
        ):
            if count >= limit:
                return f"{whose} has {count} subscriptions, which is the most that there can be"
        return None

    @property
    def leaves_left(self) -> int:
        """Leaves that further on-change subscriptions may remember."""
        held = sum(subscription.leaves for subscription in self.subscriptions.values())
        return max(0, self.limits.max_on_change_leaves - held)

    def add(self, subscription: Dynamic, owner: SessionSubscriptions) -> None:
        """Keep a subscription."""
        self.subscriptions[subscription.id] = subscription
        self._owners[subscription.id] = owner
        self._changed()

    def remove(self, identifier: int) -> None:
        """Forget a subscription."""
        if self.subscriptions.pop(identifier, None) is not None:
            del self._owners[identifier]
            self._changed()

    def _changed(self) -> None:
        self.tree.bus.state_changed("/ietf-subscribed-notifications:subscriptions/subscription")

    def terminate(self, identifier: int, reason: str) -> bool:
        """End somebody's subscription and tell him; False when there is none."""
        subscription = self.subscriptions.get(identifier)
        if subscription is None:
            return False
        log.info("netconf.subscription-terminated", subscription=identifier, reason=reason)
        self._owners[identifier].terminate(subscription, reason)
        return True

    # --- configured filters ----------------------------------------------------------------------

    async def _follow_filters(self) -> None:
        watch = self.tree.bus.watch(filters.WATCHED)
        try:
            while await watch.wait():
                for subscription in tuple(self.subscriptions.values()):
                    await self._refresh(subscription)
        finally:
            watch.close()

    async def _refresh(self, subscription: Dynamic) -> None:
        """Take over what a configured filter is now (RFC 8639 section 2.7.2)."""
        name = subscription.terms.filter.name
        if name is None:
            return
        stream = isinstance(subscription.terms, EventTerms)
        expression = filters.configured_filter(self.tree, name, stream=stream)
        if expression == subscription.terms.filter.xpath:
            return
        if expression is None:
            self.terminate(subscription.id, "filter-unavailable")
            return
        convert: Callable[..., object] = filters.event_filter if stream else filters.selection
        try:
            found = convert(self.tree, expression)
            changed = {"wanted": found} if stream else {"selection": found}
            terms = subscription.with_filter(expression, **changed)
            await self._owners[subscription.id].change(subscription, terms)
        except (ValueError, OperationError, RpcError) as error:
            log.warning("netconf.filter-unusable", filter=name, reason=str(error))
            self.terminate(subscription.id, "filter-unavailable")
