"""A byte stream to a client, whichever transport carries it."""

from __future__ import annotations

import asyncio
from typing import Protocol

WRITE_BUFFER = 256 * 1024
"""Octets that a transport may hold for a client before it tells us to wait."""


class Transport(Protocol):
    """What asyncio's transports and asyncssh's channels have in common."""

    def write(self, data: bytes) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def close(self) -> None: ...

    def abort(self) -> None: ...


class PeerStalled(Exception):
    """The client has not read for too long."""


class Link:
    """Writes with flow control; tells the transport when to stop reading.

    Args:
        stall_timeout: seconds that a client may leave its receive window full.
    """

    def __init__(self, transport: Transport, stall_timeout: float) -> None:
        self._transport = transport
        self._stall_timeout = stall_timeout
        self._full: set[str] = set()
        self._writable = asyncio.Event()
        self._writable.set()
        self._reading = True
        self._last: asyncio.TimerHandle | None = None
        self.lost = False

    def pause_writing(self, what: str = "") -> None:
        """Called by the transport: its buffer is full, or what it names has to be waited for."""
        self._full.add(what)
        self._writable.clear()

    def resume_writing(self, what: str = "") -> None:
        """Called by the transport: there is room again."""
        self._full.discard(what)
        if not self._full:
            self._writable.set()

    def connection_lost(self) -> None:
        """Called by the transport: nothing can be sent any more."""
        self.lost = True
        self._writable.set()
        if self._last is not None:
            self._last.cancel()  # it would keep the whole session in memory
            self._last = None

    def write(self, data: bytes) -> None:
        """Hand octets to the transport; dropped when the connection is lost."""
        if not self.lost:
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait for room in the transport's buffer; lets others run in any case.

        Raises:
            PeerStalled: there is none for too long.
            ConnectionResetError: the connection is lost.
        """
        if self._writable.is_set():
            await asyncio.sleep(0)
        else:
            try:
                async with asyncio.timeout(self._stall_timeout):
                    await self._writable.wait()
            except TimeoutError:
                raise PeerStalled(f"the client has not read for {self._stall_timeout:g} s") from None
        if self.lost:
            raise ConnectionResetError("the connection is lost")

    def read(self, on: bool) -> None:
        """Let the transport read, or keep it from reading."""
        if on != self._reading and not self.lost:
            self._reading = on
            if on:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def close(self) -> None:
        """Close once everything is sent, or the client has not read it for too long."""
        self._transport.close()
        if not self.lost:
            self._last = asyncio.get_running_loop().call_later(self._stall_timeout, self.abort)

    def abort(self) -> None:
        """Close now; what is not sent yet is lost."""
        if not self.lost:
            self._transport.abort()
