"""A gNMI client for one target: capabilities, get, and a subscription that hands out batches. Thin I/O."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc

from collector.budget import WINDOW_MOST, Budget
from collector.config import Target
from collector.foreign.config import ForeignTarget
from telemetry.protocol import gnmi_ext_pb2, gnmi_pb2

OPTIONS = (
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.max_receive_message_length", 4 << 20),
    # the window below is meant: nobody shall widen it because the line is fast
    ("grpc.http2.bdp_probe", 0),
)
KEEPALIVE = (("grpc.keepalive_time_ms", 20_000), ("grpc.keepalive_permit_without_calls", 1))
# gRPC servers in Go take more than a ping in five minutes for an attack, unless they are told otherwise
KEEPALIVE_FOREIGN = (("grpc.keepalive_time_ms", 310_000),)
FOREVER = 2**63 - 1

SYNCED = gnmi_pb2.SubscribeResponse(sync_response=True).SerializeToString()

WEIGHT_RAW, WEIGHT_DECODED = 2, 8
"""Bytes in memory for each byte of a message: with what is made of it by numpy, or by protobuf."""


def path(*names: str, **keys: str) -> gnmi_pb2.Path:
    """A path of elements; keys belong to the last one."""
    elements = [gnmi_pb2.PathElem(name=name) for name in names]
    elements[-1].key.update(keys)
    return gnmi_pb2.Path(elem=elements)


def sampled(where: gnmi_pb2.Path, seconds: float) -> gnmi_pb2.Subscription:
    """A SAMPLE subscription."""
    return gnmi_pb2.Subscription(path=where, mode=gnmi_pb2.SAMPLE, sample_interval=round(seconds * 1e9))


def stream(*subscriptions: gnmi_pb2.Subscription, since_ns: int = 0) -> gnmi_pb2.SubscribeRequest:
    """A STREAM request; with `since_ns` it first replays what came at or after that time (History)."""
    request = gnmi_pb2.SubscribeRequest(
        subscribe=gnmi_pb2.SubscriptionList(
            subscription=subscriptions, mode=gnmi_pb2.SubscriptionList.STREAM, encoding=gnmi_pb2.PROTO
        )
    )
    if since_ns:
        span = gnmi_ext_pb2.TimeRange(start=since_ns, end=FOREVER)
        request.extension.append(gnmi_ext_pb2.Extension(history=gnmi_ext_pb2.History(range=span)))
    return request


def channel(target: Target | ForeignTarget, window: int) -> grpc.aio.Channel:
    """A channel to a target. `window`: bytes that may lie unread on our side while PostgreSQL is slow;
    beyond it HTTP/2 holds the target back. Raises OSError when a file of its TLS cannot be read."""
    options: list[tuple[str, int | str]] = [*OPTIONS, ("grpc.http2.lookahead_bytes", window)]
    if target.server_name:
        options.append(("grpc.ssl_target_name_override", target.server_name))
    if isinstance(target, Target):
        ca, key, cert = (file and file.read_bytes() for file in (target.ca, target.key, target.certificate))
        credentials = grpc.ssl_channel_credentials(ca, key, cert)
        return grpc.aio.secure_channel(target.address, credentials, options=[*options, *KEEPALIVE])
    options += KEEPALIVE_FOREIGN
    if target.insecure:
        return grpc.aio.insecure_channel(target.address, options=options)
    ca, key, cert = (file and file.read_bytes() for file in (target.ca, target.key, target.cert))
    return grpc.aio.secure_channel(
        target.address, grpc.ssl_channel_credentials(ca, key, cert), options=options
    )


class Client:
    """One channel to a target. Methods raise grpc.aio.AioRpcError."""

    def __init__(
        self, target: Target | ForeignTarget, budget: Budget | None = None, window: int = WINDOW_MOST
    ) -> None:
        self._channel = channel(target, window)
        self._budget = budget or Budget(64 << 20)
        self._metadata = (
            (("username", target.username), ("password", target.password)) if target.username else ()
        )

    async def close(self) -> None:
        await self._channel.close()

    async def capabilities(self, timeout: float = 10) -> gnmi_pb2.CapabilityResponse:
        call = self._channel.unary_unary(
            "/gnmi.gNMI/Capabilities",
            request_serializer=gnmi_pb2.CapabilityRequest.SerializeToString,
            response_deserializer=gnmi_pb2.CapabilityResponse.FromString,
        )
        answer: gnmi_pb2.CapabilityResponse = await call(
            gnmi_pb2.CapabilityRequest(), metadata=self._metadata, timeout=timeout
        )
        return answer

    async def get(self, *paths: gnmi_pb2.Path, timeout: float = 30) -> list[gnmi_pb2.Notification]:
        """State below paths, as PROTO scalars."""
        call = self._channel.unary_unary(
            "/gnmi.gNMI/Get",
            request_serializer=gnmi_pb2.GetRequest.SerializeToString,
            response_deserializer=gnmi_pb2.GetResponse.FromString,
        )
        request = gnmi_pb2.GetRequest(path=paths, encoding=gnmi_pb2.PROTO)
        response = await call(request, metadata=self._metadata, timeout=timeout)
        return list(response.notification)

    async def once(self, where: gnmi_pb2.Path, timeout: float = 600) -> AsyncIterator[gnmi_pb2.Notification]:
        """All that is below a path, in pieces: an answer to Get has it all at once, and a limit. What belongs
        to one entry of a list may come in several pieces."""
        request = gnmi_pb2.SubscribeRequest(
            subscribe=gnmi_pb2.SubscriptionList(
                subscription=[gnmi_pb2.Subscription(path=where)],
                mode=gnmi_pb2.SubscriptionList.ONCE,
                encoding=gnmi_pb2.PROTO,
            )
        )
        call = self._channel.stream_stream(
            "/gnmi.gNMI/Subscribe",
            request_serializer=gnmi_pb2.SubscribeRequest.SerializeToString,
            response_deserializer=gnmi_pb2.SubscribeResponse.FromString,
        )(metadata=self._metadata, timeout=timeout)
        try:
            await call.write(request)
            while (response := await call.read()) is not grpc.aio.EOF:
                if response.sync_response:
                    return
                yield response.update
            raise ConnectionError("the target ended the stream within its answer")
        finally:
            call.cancel()

    async def batches(
        self, request: gnmi_pb2.SubscribeRequest, *, most: int, quiet: float, weight: int = WEIGHT_RAW
    ) -> AsyncIterator[Sequence[bytes]]:
        """Subscribe, and hand out serialised SubscribeResponses in batches of up to `most`.

        A batch ends when it is full, when nothing came for `quiet` seconds, or when the budget has no room
        for more. The next message is read only when the consumer asks for it (one is in flight) and the
        budget has room, which is what holds a fast server back. A byte counts `weight` times.
        Ends with the stream; raises grpc.aio.AioRpcError when it breaks.
        """
        call = self._channel.stream_stream(
            "/gnmi.gNMI/Subscribe",
            request_serializer=gnmi_pb2.SubscribeRequest.SerializeToString,
            response_deserializer=None,
        )(metadata=self._metadata)
        pending: asyncio.Task[Any] | None = None
        batch: list[bytes] = []
        held = 0
        try:
            await call.write(request)
            while True:
                if pending is None and not batch:
                    await self._budget.wait()
                if pending is None and self._budget.room:
                    pending = asyncio.ensure_future(call.read())
                # asyncio.wait, not wait_for: a time-out must not cancel the read and with it the call
                waiting = [pending] if pending else []
                done, _ = (
                    await asyncio.wait(waiting, timeout=quiet if batch else None) if waiting else ((), ())
                )
                if pending and done:
                    message, pending = pending.result(), None
                    if message is grpc.aio.EOF:
                        break
                    batch.append(message)
                    held += weight * len(message)
                    self._budget.take(weight * len(message))
                if batch and (not done or len(batch) >= most):
                    yield batch
                    self._budget.give(held)
                    batch, held = [], 0
            if batch:
                yield batch
        finally:
            self._budget.give(held)
            call.cancel()
            if pending:
                await asyncio.gather(pending, return_exceptions=True)

    async def notifications(
        self, request: gnmi_pb2.SubscribeRequest, *, most: int, quiet: float
    ) -> AsyncIterator[Sequence[gnmi_pb2.Notification]]:
        """The same, decoded; what is no update (sync_response) is left out."""
        async for batch in self.batches(request, most=most, quiet=quiet, weight=WEIGHT_DECODED):
            decoded = [gnmi_pb2.SubscribeResponse.FromString(message) for message in batch]
            updates = [response.update for response in decoded if response.HasField("update")]
            if updates:
                yield updates
