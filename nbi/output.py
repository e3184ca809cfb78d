"""What a session sends: whole messages, one after the other, waiting for the client in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable

import structlog

from nbi.link import Link, PeerStalled
from nbi.protocol.framing import MAX_CHUNK, Framer

log = structlog.get_logger(__name__)


class ReplyBroken(Exception):
    """A reply has begun, and cannot be completed: it cannot be taken back, so that the session is over."""


class Output:
    """Sends messages; whoever sends waits for what is being sent.

    Args:
        notified: called for each notification.
    """

    def __init__(self, framer: Framer, link: Link, notified: Callable[[], None]) -> None:
        self._framer = framer
        self._link = link
        self._notified = notified
        self._lock = asyncio.Lock()

    async def send(self, parts: Iterable[bytes]) -> None:
        """Send one message, in chunks of up to `MAX_CHUNK`, waiting for the client in between.

        An exception of `parts` before the first chunk has left comes through.

        Raises:
            ReplyBroken: there was a later one.
        """
        framer, link = self._framer, self._link
        pending: list[bytes | memoryview] = []
        size = 0
        begun = False
        async with self._lock:
            try:
                for part in parts:
                    rest = memoryview(part)
                    while size + len(rest) >= MAX_CHUNK:
                        begun = True
                        cut = MAX_CHUNK - size
                        link.write(framer.part(b"".join((*pending, rest[:cut]))))
                        rest = rest[cut:]
                        pending.clear()
                        size = 0
                        await link.drain()
                    if rest:
                        pending.append(rest)
                        size += len(rest)
                    elif not part:  # a search that may be long
                        await asyncio.sleep(0)
            except (ConnectionError, PeerStalled):
                raise
            except Exception as error:
                if not begun:
                    raise
                log.exception("netconf.reply-broken")
                raise ReplyBroken("a reply could not be completed") from error
            link.write(framer.part(b"".join(pending)) + framer.end())
            await link.drain()

    async def send_last(self, octets: bytes) -> None:
        """Send octets as they are, without waiting for the client."""
        async with self._lock:
            self._link.write(octets)

    async def send_notification(self, message: bytes) -> None:
        """Send a whole message, and wait for the client."""
        async with self._lock:
            # Written at once: a cancellation must not leave half a message behind.
            self._link.write(self._framer.message(message))
            self._notified()
            await self._link.drain()

    async def stream_notification(self, parts: AsyncIterator[bytes]) -> None:
        """Send a message in chunks of up to 64 KiB, waiting for the client in between; a cancellation, or
        an exception of `parts`, leaves it incomplete."""
        framer, link = self._framer, self._link
        pending = bytearray()
        async with self._lock:
            async for part in parts:
                if not part:  # a search that may be long
                    await asyncio.sleep(0)
                pending += part
                while len(pending) >= MAX_CHUNK:
                    link.write(framer.part(pending[:MAX_CHUNK]))
                    del pending[:MAX_CHUNK]
                    await link.drain()
            link.write(framer.part(pending) + framer.end())
            self._notified()
            await link.drain()
