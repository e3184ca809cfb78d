"""A gNMI client that shows every message, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any

import grpc

from telemetry.protocol import gnmi_ext_pb2 as ext
from telemetry.protocol import gnmi_pb2 as pb
from telemetry.protocol.paths import build, from_text, steps_of, to_text
from telemetry.protocol.values import python

TIMEOUT = 20.0


def path(text: str, *, origin: str = "", target: str = "") -> pb.Path:
    """A path from its text."""
    return build(from_text(text), origin=origin, target=target)


def history(start: int, end: int = 0) -> ext.Extension:
    """The History extension with a range."""
    return ext.Extension(history=ext.History(range=ext.TimeRange(start=start, end=end)))


def snapshot(at: int) -> ext.Extension:
    """The History extension with the time of a snapshot."""
    return ext.Extension(history=ext.History(snapshot_time=at))


@dataclass
class Picture:
    """What a subscriber knows after some messages: text of a path → value."""

    values: dict[str, Any] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    notifications: list[pb.Notification] = field(default_factory=list)

    def take(self, notification: pb.Notification) -> None:
        self.notifications.append(notification)
        for gone in notification.delete:
            text = to_text(steps_of(notification.prefix, gone))
            self.deleted.append(text)
            for known in [known for known in self.values if known == text or known.startswith(f"{text}/")]:
                del self.values[known]
        for update in notification.update:
            self.values[to_text(steps_of(notification.prefix, update.path))] = python(update.val)


class Subscription:
    """A Subscribe RPC that is open."""

    def __init__(self, call: Any) -> None:
        self.call = call

    async def message(self) -> pb.SubscribeResponse:
        """The next message; raises grpc.aio.AioRpcError, or EOFError at the end."""
        async with asyncio.timeout(TIMEOUT):
            found = await self.call.read()
        if found is grpc.aio.EOF:
            if await self.call.code() is grpc.StatusCode.OK:
                raise EOFError
            raise AssertionError(await self.call.details())
        return found

    async def until_sync(self) -> Picture:
        """All up to the next sync_response."""
        picture = Picture()
        while not (message := await self.message()).sync_response:
            picture.take(message.update)
        return picture

    async def update(self) -> Picture:
        """What the next message says."""
        picture = Picture()
        message = await self.message()
        assert message.WhichOneof("response") == "update"
        picture.take(message.update)
        return picture

    async def send(self, request: pb.SubscribeRequest) -> None:
        await self.call.write(request)

    async def poll(self) -> Picture:
        await self.send(pb.SubscribeRequest(poll=pb.Poll()))
        return await self.until_sync()

    async def status(self) -> tuple[grpc.StatusCode, str]:
        """How the RPC ends; what comes before is thrown away."""
        try:
            async with asyncio.timeout(TIMEOUT):
                while await self.call.read() is not grpc.aio.EOF:
                    pass
        except grpc.aio.AioRpcError as error:
            return error.code(), error.details() or ""
        return await self.call.code(), await self.call.details()


class Client:
    """One user's connection to a server on the loopback interface."""

    def __init__(self, port: int, certificate: bytes, username: str = "admin", password: str = "") -> None:
        credentials = grpc.ssl_channel_credentials(certificate)
        self.channel = grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials)
        self.metadata = (("username", username), ("password", password))

    async def close(self) -> None:
        await self.channel.close()

    async def _unary(self, method: str, request: Any, response: Any) -> Any:
        call = self.channel.unary_unary(
            f"/gnmi.gNMI/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=response.FromString,
        )
        return await call(request, metadata=self.metadata, timeout=TIMEOUT)

    async def capabilities(self) -> pb.CapabilityResponse:
        return await self._unary("Capabilities", pb.CapabilityRequest(), pb.CapabilityResponse)

    async def get(self, *paths: str, prefix: pb.Path | None = None, **fields: Any) -> list[Picture]:
        """One picture per path; PROTO unless told."""
        fields.setdefault("encoding", pb.PROTO)
        request = pb.GetRequest(path=map(path, paths), prefix=prefix, **fields)
        response = await self._unary("Get", request, pb.GetResponse)
        pictures = [Picture() for _ in response.notification]
        for picture, notification in zip(pictures, response.notification, strict=True):
            picture.take(notification)
        return pictures

    async def set(self, **fields: Any) -> pb.SetResponse:
        return await self._unary("Set", pb.SetRequest(**fields), pb.SetResponse)

    async def open(self) -> Subscription:
        """A Subscribe RPC to which nothing has been sent."""
        method = self.channel.stream_stream(
            "/gnmi.gNMI/Subscribe",
            request_serializer=pb.SubscribeRequest.SerializeToString,
            response_deserializer=pb.SubscribeResponse.FromString,
        )
        return Subscription(method(metadata=self.metadata))

    async def subscribe(
        self,
        *paths: str | pb.Subscription,
        mode: int = pb.SAMPLE,
        extension: Iterable[ext.Extension] = (),
        terms: dict[str, Any] | None = None,
        **fields: Any,
    ) -> Subscription:
        """A stream, unless `fields` has another mode of the list; PROTO unless told."""
        fields.setdefault("encoding", pb.PROTO)
        list_mode = fields.pop("list_mode", pb.SubscriptionList.STREAM)
        items = [
            pb.Subscription(path=path(item), mode=mode, **(terms or {})) if isinstance(item, str) else item
            for item in paths
        ]
        subscription = await self.open()
        asked = pb.SubscriptionList(subscription=items, mode=list_mode, **fields)
        await subscription.send(pb.SubscribeRequest(subscribe=asked, extension=extension))
        return subscription

    async def once(self, *paths: str, **fields: Any) -> Picture:
        subscription = await self.subscribe(*paths, list_mode=pb.SubscriptionList.ONCE, **fields)
        picture = await subscription.until_sync()
        try:
            await subscription.message()
        except EOFError:
            return picture
        raise AssertionError("something follows the sync_response of a single look")


async def updates(subscription: Subscription) -> AsyncIterator[Picture]:
    """The messages that follow, one by one."""
    while True:
        yield await subscription.update()
