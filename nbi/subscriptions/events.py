"""One subscription to the event stream: replay from the journal, then live from the bus.

What is live and what is replayed overlap, so that nothing is lost between them; numbers of the journal
tell what has been sent. A subscriber too slow for the bus goes back to the journal and catches up.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from lxml import etree

from nbi.protocol.event_filter import EventFilter
from nbi.protocol.notification import SECOND, message
from nbi.protocol.xml import parse
from nbi.subscriptions.terms import EventTerms
from yang.access import User
from yang.bus import NotificationSubscription, Overrun
from yang.provider import LogProvider, Notification, Record
from yang.tree import Tree

STREAM: Final = "NETCONF"
REPLAY_BATCH = 256
LIVE_LIMIT = 4096
"""Notifications that may wait for one subscriber before it has to read the journal instead."""
_ENCODED: Final = 512

SendNotification = Callable[[bytes], Awaitable[None]]


class Replay(Protocol):
    """The journal as notifications: what an element gives so that the NETCONF stream can be replayed.

    `log` holds the records, `notification` makes of a record what was published for it, or None for a
    record that is no notification.
    """

    @property
    def log(self) -> LogProvider: ...

    def notification(self, record: Record) -> Notification | None: ...


def log_times(replay: Replay) -> tuple[int | None, int | None]:
    """When the log was created, and before when entries have been removed from it; None: not known, or none
    have. Nanoseconds since the epoch."""
    log = replay.log
    try:
        entries = log.read(log.oldest, 1)
    except LookupError:
        return None, None
    if not entries:
        return None, None
    first = log.time_of(entries[0])
    return (first, None) if log.oldest <= 1 else (first - 1, first - 1)


class SubscriptionEnded(Exception):
    """The subscription cannot go on; the text says why."""


@dataclass(slots=True)
class _Kept:
    notification: Notification
    content: bytes
    message: bytes
    element: etree._Element | None = None


class Encoded:
    """The last notifications as messages, so that many subscribers do not encode each of them anew."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._kept: OrderedDict[int, _Kept] = OrderedDict()

    def message(self, notification: Notification) -> bytes:
        """The whole message."""
        return self._entry(notification).message

    def element(self, notification: Notification) -> etree._Element:
        """The notification's element, parsed; not to be changed."""
        kept = self._entry(notification)
        if kept.element is None:
            kept.element = parse(kept.content)
        return kept.element

    def _entry(self, notification: Notification) -> _Kept:
        kept = self._kept.get(id(notification))
        if kept is None:  # the notification is kept as well, so that no other one gets its id
            content = self._tree.encode_notification(notification)
            kept = _Kept(notification, content, message(notification.time_ns, content))
            self._kept[id(notification)] = kept
            if len(self._kept) > _ENCODED:
                self._kept.popitem(last=False)
        return kept


class EventStream:
    """One subscription: `run` sends everything that it brings.

    Args:
        tree: says which notifications the user may receive.
        user: the subscriber.
        replay: the journal, or None when nothing can be replayed.
        send: sends one whole message; waits while the client does not read.
        replayed: the message after a replay.
        completed: the message at the stop time, or None.

    Attributes:
        sent, excluded: events that were sent, and those that the filter or access control left out.
    """

    def __init__(
        self,
        tree: Tree,
        encoded: Encoded,
        user: User,
        replay: Replay | None,
        terms: EventTerms,
        send: SendNotification,
        *,
        replayed: Callable[[], bytes],
        completed: Callable[[], bytes] | None = None,
    ) -> None:
        self.sent = 0
        self.excluded = 0
        self._tree = tree
        self._encoded = encoded
        self._user = user
        self._replay = replay
        self._wanted = terms.wanted
        self._start = terms.start
        self._stop = terms.stop
        self._send = send
        self._replayed = replayed
        self._completed = completed
        self._turn = asyncio.Lock()
        self._alarm: asyncio.TimerHandle | None = None
        self._following = False
        self._live = self._subscribe()
        # What the journal held before is replayed on request only.
        self._position = replay.log.newest if replay is not None else 0

    def _subscribe(self) -> NotificationSubscription:
        return self._tree.bus.subscribe_notifications(self._may_receive, limit=LIVE_LIMIT)

    def _may_receive(self, notification: Notification) -> bool:
        permitted = self._tree.may_receive(notification.path, self._user, notification.keys)
        if not permitted:
            self.excluded += 1
        return permitted

    def close(self) -> None:
        """Leave the bus; safe to call twice."""
        self._live.close()

    async def change(self, wanted: EventFilter | None, stop: int | None, notice: bytes) -> None:
        """Go on with another filter and stop time.

        Args:
            notice: is sent behind the last event that the old filter let through.
        """
        async with self._turn:
            await self._send(notice)
            self._wanted, self._stop = wanted, stop
            if self._following:
                self._schedule_stop()

    async def run(self) -> None:
        """Send until the stop time, or until cancelled.

        Raises:
            SubscriptionEnded: the client was too slow, and no journal can make up for it.
        """
        try:
            await self._replay_from_start()
            await self._until_stop()
            if self._completed is not None and self._stop is not None:
                await self._send(self._completed())
        finally:
            self.close()

    async def _replay_from_start(self) -> None:
        if self._start is None:
            return
        if self._replay is not None:
            log = self._replay.log
            try:
                first = log.seek(self._start)
            except LookupError:
                # Older entries are gone; the replay begins with what is left (RFC 5277 section 2.1.1).
                first = log.oldest
            await self._send_entries(self._replay, first)
        await self._send(self._replayed())

    async def _until_stop(self) -> None:
        """Follow the bus; at the stop time what has happened before is still sent."""
        self._following = True
        self._schedule_stop()
        try:
            await self._follow()
        finally:
            self._following = False
            self._schedule_stop(over=True)

    def _schedule_stop(self, *, over: bool = False) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._stop is not None and not over:
            left = max(0.0, (self._stop - time.time_ns()) / SECOND)
            self._alarm = asyncio.get_running_loop().call_later(left, self._live.close)

    async def _follow(self) -> None:
        """Send what the bus brings, and what the journal has when the bus brought more than could wait."""
        while True:
            try:
                async for notification in self._live:
                    if 0 < notification.seq <= self._position:
                        continue
                    if self._after_stop(notification):
                        return
                    await self._send_one(notification)
                    self._position = max(self._position, notification.seq)
                return
            except Overrun:
                if self._replay is None:
                    raise SubscriptionEnded("the client reads notifications too slowly") from None
                self._live.close()
                self._live = self._subscribe()
                self._schedule_stop()
                await self._send_entries(self._replay, self._position + 1)

    async def _send_entries(self, replay: Replay, first: int) -> None:
        """Send journal entries from number `first` to the newest, or to the stop time."""
        log = replay.log
        while first <= log.newest:
            first = max(first, log.oldest)
            try:
                records = log.read(first, REPLAY_BATCH)
            except LookupError:
                # Entries were removed meanwhile: `oldest` has moved.
                await asyncio.sleep(0)
                continue
            if not records:
                return
            for record in records:
                notification = replay.notification(record)
                if notification is not None:
                    if self._after_stop(notification):
                        return
                    if self._may_receive(notification):
                        await self._send_one(notification)
            first += len(records)
            self._position = max(self._position, first - 1)
            await asyncio.sleep(0)

    def _after_stop(self, notification: Notification) -> bool:
        return self._stop is not None and notification.time_ns > self._stop

    async def _send_one(self, notification: Notification) -> None:
        async with self._turn:
            if self._wanted is not None and not self._wanted(self._encoded.element(notification)):
                self.excluded += 1
                return
            self.sent += 1
            await self._send(self._encoded.message(notification))
