"""Notifications of what was committed, sent apart from it.

PostgreSQL lets the transactions that notify commit one after another, each with a flush of its own: writers
that did so would wait for each other, however many there are. What a transaction has to announce is kept
until it is committed, and then sent with that of others. A notification is a hint that there is something
to be read: one that is lost with this process costs no data.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from weakref import WeakKeyDictionary

import asyncpg
import orjson
import structlog

log = structlog.get_logger()

PAUSE = 0.1
"""Seconds between two transactions with notifications."""

MOST_OCTETS = 7999
"""What PostgreSQL takes of a payload. One that it refuses would take those of others with it."""

Said = tuple[str, str]
"""Channel and payload."""

_announced: WeakKeyDictionary[asyncpg.Connection, list[Said]] = WeakKeyDictionary()


def announce(connection: asyncpg.Connection, channel: str, **payload: Any) -> None:
    """NOTIFY with a JSON payload when the transaction that this connection is in has been committed. Lists in
    it are shortened until it fits; one that does not fit without them is not sent."""
    while len(octets := orjson.dumps(payload)) > MOST_OCTETS:
        lists = [name for name, content in payload.items() if isinstance(content, list) and content]
        if not lists:
            log.warning("collector.not-announced", channel=channel, octets=len(octets))
            return
        payload.update({name: payload[name][: len(payload[name]) // 2] for name in lists})
    _announced.setdefault(connection, []).append((channel, octets.decode()))


def announced(connection: asyncpg.Connection) -> list[Said]:
    """What was announced with a connection since this was asked last."""
    return _announced.pop(connection, [])


class Announcer:
    """Sends what was announced, at once or with what comes during the `PAUSE`.

    Args:
        send: does so in a transaction, raises what asyncpg does.
    """

    def __init__(self, send: Callable[[list[Said]], Awaitable[None]]) -> None:
        self._send = send
        self._waiting: dict[Said, None] = {}
        self._task: asyncio.Task[None] | None = None

    def add(self, said: list[Said]) -> None:
        """These are to be sent: their transaction is committed."""
        self._waiting.update(dict.fromkeys(said))
        if self._waiting and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._run(), name="announcements")

    async def _run(self) -> None:
        while self._waiting:
            said, self._waiting = list(self._waiting), {}
            try:
                await self._send(said)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("collector.not-announced", count=len(said), error=str(error) or repr(error))
            await asyncio.sleep(PAUSE)

    def close(self) -> None:
        """Send no more."""
        if self._task is not None:
            self._task.cancel()
