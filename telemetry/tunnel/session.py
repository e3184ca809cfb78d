"""One connection through a tunnel: octets between its stream and a TCP connection."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final, Protocol

from google.protobuf.message import DecodeError

from telemetry.protocol import tunnel_pb2 as pb
from telemetry.tunnel.registration import TunnelError

CHUNK: Final = 64 * 1024
"""Octets in a message at most, and in either direction what waits here for the other side."""
STALL_SECONDS: Final = 60.0
LINGER_SECONDS: Final = 10.0


class Stream(Protocol):
    """A Tunnel RPC; methods raise TunnelError."""

    async def read(self) -> bytes | None:
        """The next message; None at the end."""
        ...

    async def write(self, octets: bytes) -> None:
        """Returns when the peer's flow control has let it pass."""
        ...

    async def done_writing(self) -> None:
        """Nothing more follows."""
        ...

    def cancel(self) -> None:
        """End it, wherever it is."""
        ...


class Session:
    """Carries until one side has ended.

    What one side does not take is not read from the other: nothing is queued but a chunk in each direction
    and what the sockets hold.

    Attributes:
        octets: carried in both directions.

    Args:
        tag: with which a client's stream begins; None on the server's side.
        stall: seconds that a side may leave a chunk waiting.
        linger: seconds of silence that are left to a side of which the other has closed.
    """

    def __init__(self, tag: int | None, stall: float = STALL_SECONDS, linger: float = LINGER_SECONDS) -> None:
        self.octets = 0
        self._tag = tag
        self._stall = stall
        self._linger = linger

    async def run(self, stream: Stream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until both sides have closed, or one cannot go on. Raises TunnelError: why it ended so.

        The stream is cancelled and the connection closed afterwards, whatever happens.
        """
        outward = asyncio.create_task(self._outward(stream, reader), name="tunnel-outward")
        inward = asyncio.create_task(self._inward(stream, writer), name="tunnel-inward")
        try:
            if await self._until_both(outward, inward):
                await self._until_ended(stream)
        except BaseException:
            writer.transport.abort()
            raise
        finally:
            for task in (outward, inward):
                task.cancel()
            # what both failed of is told once
            await asyncio.gather(outward, inward, return_exceptions=True)
            stream.cancel()
            writer.close()

    async def _until_both(self, outward: asyncio.Task[None], inward: asyncio.Task[bool]) -> bool:
        """Whether both have closed."""
        await asyncio.wait({outward, inward}, return_when=asyncio.FIRST_COMPLETED)
        while True:
            heard_all = inward.done() and inward.exception() is None
            if heard_all and not inward.result():
                return False  # the stream has ended: nothing can be sent on it any more
            for task in (outward, inward):
                if task.done():
                    task.result()
            if heard_all and outward.done():
                return True
            waiting: asyncio.Task[None] | asyncio.Task[bool] = inward if outward.done() else outward
            before = self.octets
            await asyncio.wait({waiting}, timeout=self._linger)
            if not waiting.done() and self.octets == before:
                return False

    async def _until_ended(self, stream: Stream) -> None:
        """Both have said all, but not heard it yet: to cancel the stream would overtake what is under way."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._linger):
                while await stream.read() is not None:
                    pass

    async def _outward(self, stream: Stream, reader: asyncio.StreamReader) -> None:
        """From the connection to the tunnel, until the connection's end."""
        if self._tag is not None:
            await self._write(stream, pb.Data(tag=self._tag))
        while octets := await self._read(reader):
            await self._write(stream, pb.Data(data=octets))
            self.octets += len(octets)
        await self._write(stream, pb.Data(close=True))
        await stream.done_writing()

    async def _inward(self, stream: Stream, writer: asyncio.StreamWriter) -> bool:
        """From the tunnel to the connection. True: the peer has closed, and may go on to listen."""
        while (octets := await stream.read()) is not None:
            try:
                message = pb.Data.FromString(octets)
            except DecodeError:
                raise TunnelError("the peer sent what is no message of Tunnel") from None
            writer.write(message.data)
            try:
                async with asyncio.timeout(self._stall):
                    await writer.drain()
            except TimeoutError:
                raise TunnelError(f"the connection took nothing for {self._stall:g} seconds") from None
            except OSError:
                return False
            self.octets += len(message.data)
            if message.close:
                if writer.can_write_eof():
                    writer.write_eof()
                return True
        return False

    @staticmethod
    async def _read(reader: asyncio.StreamReader) -> bytes:
        try:
            return await reader.read(CHUNK)
        except OSError:
            return b""

    async def _write(self, stream: Stream, message: pb.Data) -> None:
        try:
            async with asyncio.timeout(self._stall):
                await stream.write(message.SerializeToString())
        except TimeoutError:
            raise TunnelError(f"the peer took nothing for {self._stall:g} seconds") from None
