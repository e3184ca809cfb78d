"""An RPC of streams of octets, whose every failure is a TunnelError."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import grpc

from telemetry.tunnel.registration import TunnelError


class Stream:
    """One RPC of a channel.

    Args:
        call: of grpc.aio, stream to stream, without serializers.
    """

    def __init__(self, call: Any) -> None:
        self._call = call
        self._writing = asyncio.Lock()

    async def read(self) -> bytes | None:
        """The next message; None at the end. Raises TunnelError."""
        octets = await self._safely(self._call.read())
        return None if octets is grpc.aio.EOF else octets

    async def write(self, octets: bytes) -> None:
        """Returns when the peer's flow control has let it pass. Raises TunnelError."""
        async with self._writing:
            await self._safely(self._call.write(octets))

    async def done_writing(self) -> None:
        """Nothing more follows. Raises TunnelError."""
        async with self._writing:
            await self._safely(self._call.done_writing())

    def cancel(self) -> None:
        """End it, wherever it is."""
        self._call.cancel()

    async def _safely(self, doing: Awaitable[Any]) -> Any:
        try:
            return await doing
        except grpc.aio.AioRpcError as error:
            raise TunnelError(error.details() or error.code().name) from None
        except asyncio.InvalidStateError:
            raise TunnelError("the tunnel server has ended the stream") from None
        except asyncio.CancelledError:
            # grpc.aio raises it, too, when another task of this process has ended the RPC
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise TunnelError("the stream was ended here") from None
