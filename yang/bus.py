"""One bus for all that servers push: YANG notifications, and wake-ups for ON_CHANGE watchers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from yang.provider import Notification

NotificationFilter = Callable[[Notification], bool]


class Overrun(Exception):
    """The subscriber read too slowly: its queue was full and the subscription has ended."""


class NotificationSubscription:
    """A bounded queue of notifications. Async iterator; ends when closed.

    When the queue is full at a publication the subscription is ended: what is queued can still be read,
    then iteration raises `Overrun`.
    """

    def __init__(self, bus: Bus, accept: NotificationFilter | None, limit: int) -> None:
        self._bus = bus
        self._accept = accept
        self._limit = limit
        self._queue: deque[Notification] = deque()
        self._ready = asyncio.Event()
        self._closed = False
        self._overrun = False

    def __aiter__(self) -> NotificationSubscription:
        return self

    async def __anext__(self) -> Notification:
        while not self._queue:
            if self._overrun:
                raise Overrun(
                    f"more than {self._limit} notifications waited for this subscriber; it was dropped"
                )
            if self._closed:
                raise StopAsyncIteration
            self._ready.clear()
            await self._ready.wait()
        return self._queue.popleft()

    @property
    def pending(self) -> int:
        """Notifications that wait to be read."""
        return len(self._queue)

    def close(self) -> None:
        """End the subscription; safe to call twice."""
        self._closed = True
        self._ready.set()
        self._bus.remove_subscription(self)

    def offer(self, notification: Notification) -> None:
        """Called by the bus."""
        if self._closed or self._overrun or (self._accept is not None and not self._accept(notification)):
            return
        if len(self._queue) >= self._limit:
            self._overrun = True
            self._bus.remove_subscription(self)
        else:
            self._queue.append(notification)
        self._ready.set()


class Watch:
    """Tells that something at or below some schema paths changed; changes between two reads coalesce."""

    def __init__(self, bus: Bus, paths: frozenset[str]) -> None:
        self._bus = bus
        self._paths = paths
        self._dirty: set[str] = set()
        self._ready = asyncio.Event()
        self._closed = False

    async def wait(self) -> frozenset[str]:
        """Wait for a change; the watched schema paths that it touches. Empty: the watch was closed."""
        while not self._dirty and not self._closed:
            self._ready.clear()
            await self._ready.wait()
        dirty, self._dirty = frozenset(self._dirty), set()
        return dirty

    def close(self) -> None:
        """End the watch; safe to call twice."""
        self._closed = True
        self._ready.set()
        self._bus.remove_watch(self)

    def touch(self, changed: str) -> None:
        """Called by the bus."""
        for path in self._paths:
            if path in ("", "/") or _related(path, changed):
                self._dirty.add(path)
        if self._dirty:
            self._ready.set()


def _related(path: str, changed: str) -> bool:
    """True when one of two schema paths is the other or an ancestor of it."""
    short, long = (path, changed) if len(path) <= len(changed) else (changed, path)
    return long.startswith(short) and (len(long) == len(short) or long[len(short)] == "/")


class Bus:
    """Lives in one event loop; every method is called from it."""

    def __init__(self) -> None:
        self._subscriptions: set[NotificationSubscription] = set()
        self._watches: set[Watch] = set()

    def subscribe_notifications(
        self, accept: NotificationFilter | None = None, *, limit: int = 10_000
    ) -> NotificationSubscription:
        """Subscribe to notifications from now on.

        Args:
            accept: called with each; False leaves it out. None takes all.
            limit: how many may wait before the subscriber is dropped.
        """
        subscription = NotificationSubscription(self, accept, limit)
        self._subscriptions.add(subscription)
        return subscription

    def publish(self, notification: Notification) -> None:
        """Hand a notification to all subscribers. Never waits."""
        for subscription in tuple(self._subscriptions):
            subscription.offer(notification)

    def watch(self, *schema_paths: str) -> Watch:
        """Watch for changes of state or configuration at, below or above these schema paths."""
        watch = Watch(self, frozenset(schema_paths))
        self._watches.add(watch)
        return watch

    def state_changed(self, schema_path: str) -> None:
        """Something at or below this schema path changed. Never waits, cheap when nobody watches."""
        for watch in tuple(self._watches):
            watch.touch(schema_path)

    def remove_subscription(self, subscription: NotificationSubscription) -> None:
        """Forget a subscription; called by its `close`."""
        self._subscriptions.discard(subscription)

    def remove_watch(self, watch: Watch) -> None:
        """Forget a watch; called by its `close`."""
        self._watches.discard(watch)
