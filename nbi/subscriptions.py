"""Notifications on a session (RFC 5277): replay from the journal, then live from the bus.

What is live and what is replayed overlap, so that nothing is lost between them; numbers of the journal
tell what has been sent. A subscriber too slow for the bus goes back to the journal and catches up.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from nbi.protocol.errors import RpcError
from nbi.protocol.event_filter import EventFilter
from nbi.protocol.names import NETMOD_NOTIFICATION_NS, NOTIFICATION_NS
from nbi.protocol.xml import parse
from yang.access import User
from yang.bus import NotificationSubscription, Overrun
from yang.provider import LogProvider, Notification, Record
from yang.tree import Tree

STREAM = "NETCONF"
REPLAY_BATCH = 256
LIVE_LIMIT = 4096
"""Notifications that may wait for one subscriber before it has to read the journal instead."""

SendNotification = Callable[[bytes], Awaitable[None]]
_SECOND = 1_000_000_000


class Replay(Protocol):
    """The journal as notifications: what an element gives so that the NETCONF stream can be replayed.

    `log` holds the records, `notification` makes of a record what was published for it, or None for a
    record that is no notification.
    """

    @property
    def log(self) -> LogProvider: ...

    def notification(self, record: Record) -> Notification | None: ...


class SubscriptionEnded(Exception):
    """The subscription cannot go on; the text says why."""


@dataclass(frozen=True, slots=True)
class SubscriptionRequest:
    """What create-subscription asked for.

    Attributes:
        wanted: the filter, or None for everything.
        start: replay from here, nanoseconds since the epoch; None for no replay.
        stop: end here, nanoseconds since the epoch; None for no end.
    """

    wanted: EventFilter | None = None
    start: int | None = None
    stop: int | None = None


class Subscription:
    """One subscription: `run` sends everything that it brings.

    Args:
        tree: encodes notifications and says which of them the user may receive.
        user: the subscriber.
        replay: the journal, or None when nothing can be replayed.
        send: sends one whole message; waits while the client does not read.

    Raises:
        RpcError: a replay is asked for that starts in the future.
    """

    def __init__(
        self,
        tree: Tree,
        user: User,
        replay: Replay | None,
        request: SubscriptionRequest,
        send: SendNotification,
    ) -> None:
        if request.start is not None and request.start > time.time_ns():
            raise RpcError(
                "bad-element", "<startTime> must not be in the future", info={"bad-element": "startTime"}
            )
        self._tree = tree
        self._user = user
        self._replay = replay
        self._request = request
        self._send = send
        self._live = self._subscribe()
        # What the journal held before is replayed on request only.
        self._position = replay.log.newest if replay is not None else 0

    def _subscribe(self) -> NotificationSubscription:
        return self._tree.bus.subscribe_notifications(self._may_receive, limit=LIVE_LIMIT)

    def _may_receive(self, notification: Notification) -> bool:
        return self._tree.may_receive(notification.path, self._user, notification.keys)

    def close(self) -> None:
        """Leave the bus; safe to call twice."""
        self._live.close()

    async def run(self) -> None:
        """Send until the stop time, or until cancelled.

        Raises:
            SubscriptionEnded: the client was too slow, and no journal can make up for it.
        """
        try:
            await self._replay_from_start()
            await self._until_stop()
            if self._request.stop is not None:
                await self._send_complete("notificationComplete")
        finally:
            self.close()

    async def _replay_from_start(self) -> None:
        if self._request.start is None:
            return
        if self._replay is not None:
            log = self._replay.log
            try:
                first = log.seek(self._request.start)
            except LookupError:
                # Older entries are gone; the replay begins with what is left (RFC 5277 section 2.1.1).
                first = log.oldest
            await self._send_entries(self._replay, first)
        await self._send_complete("replayComplete")

    async def _until_stop(self) -> None:
        stop = self._request.stop
        if stop is None:
            await self._follow()
            return
        try:
            async with asyncio.timeout(max(0.0, (stop - time.time_ns()) / _SECOND)):
                await self._follow()
        except TimeoutError:
            return

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
        return self._request.stop is not None and notification.time_ns > self._request.stop

    async def _send_one(self, notification: Notification) -> None:
        content = self._tree.encode_notification(notification)
        if self._request.wanted is None or self._request.wanted(parse(content)):
            await self._send(message(notification.time_ns, content))

    async def _send_complete(self, name: str) -> None:
        content = f'<{name} xmlns="{NETMOD_NOTIFICATION_NS}"/>'.encode()
        await self._send(message(time.time_ns(), content))


def message(time_ns: int, content: bytes) -> bytes:
    """A notification message, unframed."""
    return (
        f'<notification xmlns="{NOTIFICATION_NS}"><eventTime>{event_time(time_ns)}</eventTime>'.encode()
        + content
        + b"</notification>"
    )


def event_time(time_ns: int) -> str:
    """RFC 3339 in UTC with nanoseconds: a client can ask for a replay from exactly there."""
    seconds, fraction = divmod(time_ns, _SECOND)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"
