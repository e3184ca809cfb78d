"""Who may call, how many, how slow, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import time

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2

from telemetry import server
from telemetry.encoder import MAXIMUM_MESSAGE
from telemetry.protocol import gnmi_pb2 as pb
from telemetry.server import GnmiServer
from telemetry.subscribe import SECOND, Limits
from tests.contract.gnmi.client import TIMEOUT, Client, Subscription, path
from tests.support.waiting import until

COUNTERS = "/aether-subscriber:sessions/session/counters"
Code = grpc.StatusCode


async def refused(awaitable) -> tuple[Code, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await awaitable
    return caught.value.code(), caught.value.details()


@pytest.mark.parametrize(
    ("username", "password"), [("admin", "wrong"), ("nobody", "correct horse"), ("admin", "")]
)
async def test_wrong_credentials(target, username, password):
    code, message = await refused(target.client(username, password).capabilities())
    assert code is Code.UNAUTHENTICATED
    assert "wrong" in message
    subscription = await target.client(username, password).open()
    assert (await subscription.status())[0] is Code.UNAUTHENTICATED


async def test_no_credentials(target, client):
    client.metadata = ()
    code, message = await refused(client.capabilities())
    assert code is Code.UNAUTHENTICATED
    assert "metadata" in message


async def test_a_changed_password_is_forgotten_at_once(target, client):
    viewer = target.client("viewer")
    await viewer.capabilities()
    where = path("/ietf-system:system/authentication/user[name=viewer]/password")
    await client.set(update=[pb.Update(path=where, val=pb.TypedValue(string_val="$0$another"))])
    assert (await refused(viewer.capabilities()))[0] is Code.UNAUTHENTICATED
    await target.client("viewer", "another").capabilities()


async def test_without_tls_nothing_is_said(target):
    async with grpc.aio.insecure_channel(f"127.0.0.1:{target.port}") as channel:
        call = channel.unary_unary("/gnmi.gNMI/Capabilities")
        assert (await refused(call(b"", timeout=5)))[0] in (Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED)


async def test_garbage_is_refused(client):
    call = client.channel.unary_unary("/gnmi.gNMI/Get")
    code, message = await refused(call(b"\xff" * 100, metadata=client.metadata, timeout=TIMEOUT))
    assert (code, "protobuf" in message) == (Code.INVALID_ARGUMENT, True)
    stream = client.channel.stream_stream("/gnmi.gNMI/Subscribe")(metadata=client.metadata)
    await stream.write(b"\xff" * 100)
    assert (await Subscription(stream).status())[0] is Code.INVALID_ARGUMENT


async def test_what_strangers_send_is_not_parsed(serve, monkeypatch):
    """A large request would hold the loop, whoever sends it."""
    parsed = []

    def recorder(kind):
        return lambda octets: (parsed.append(kind), kind.FromString(octets))[1]

    monkeypatch.setattr(server, "parser", recorder)
    target = await serve()
    with pytest.raises(grpc.aio.AioRpcError):
        await target.client("admin", "wrong").capabilities()
    assert parsed == []
    await target.client().capabilities()
    assert parsed == [pb.CapabilityRequest]


async def test_reflection(target, client):
    method = client.channel.stream_stream(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    call = method(metadata=client.metadata)
    await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    answer = await call.read()
    assert "gnmi.gNMI" in {service.name for service in answer.list_services_response.service}
    call.cancel()


async def test_too_many_subscriptions(serve):
    target = await serve(maximum_subscriptions=4)
    client = target.client()
    open_ones = [await client.subscribe(COUNTERS) for _ in range(2)]
    for subscription in open_ones:
        await subscription.until_sync()
    code, message = await (await client.open()).status()
    assert code is Code.RESOURCE_EXHAUSTED
    assert "admin, who may have 2" in message
    # others have half of what is left
    other = target.client("viewer")
    others = await other.subscribe(COUNTERS)
    await others.until_sync()
    assert (await (await other.open()).status())[0] is Code.RESOURCE_EXHAUSTED
    open_ones[0].call.cancel()
    others.call.cancel()
    await until(lambda: len(target.server._streams) <= 1)
    await (await client.subscribe(COUNTERS)).until_sync()


async def test_cancelling_leaves_nothing_behind(target, client):
    kinds = [(COUNTERS, pb.SAMPLE), ("/", pb.ON_CHANGE), ("/aether-events:events/event", pb.ON_CHANGE)]
    for text, mode in kinds:
        subscription = await client.subscribe(text, mode=mode)
        await subscription.until_sync()
        subscription.call.cancel()
    await until(lambda: not (target.server._streams or target.server._sampler._wheel.groups))
    ours = {"gnmi-watch", "gnmi-log", "gnmi-stream"}
    await until(lambda: ours.isdisjoint(task.get_name() for task in asyncio.all_tasks()))


async def test_stopping_ends_streams(target, client):
    subscription = await client.subscribe(COUNTERS, mode=pb.ON_CHANGE)
    await subscription.until_sync()
    await target.server.stop()
    assert (await subscription.status())[0] is Code.UNAVAILABLE
    await target.server.stop()
    assert (await refused(client.capabilities()))[0] is Code.UNAVAILABLE


async def test_a_port_that_is_taken(target, caplog):
    key, certificate = ((target.folder / name).read_bytes() for name in ("key.pem", "cert.pem"))
    second = GnmiServer(target.element.tree, [("127.0.0.1", target.port)], key, certificate)
    with caplog.at_level(logging.CRITICAL), pytest.raises(OSError, match="cannot listen"):
        await second.start()


async def slow_subscriber(target, *paths: str, **fields):
    """A subscription of a client that reads the first message and then nothing."""
    options = [("grpc.http2.lookahead_bytes", 65536), ("grpc.http2.bdp_probe", 0)]
    client = Client(target.port, target.certificate.read_bytes(), *target.client().metadata[0][1:])
    client.metadata = target.client().metadata
    credentials = grpc.ssl_channel_credentials(target.certificate.read_bytes())
    client.channel = grpc.aio.secure_channel(f"127.0.0.1:{target.port}", credentials, options)
    target._clients.append(client)
    subscription = await client.subscribe(*paths, **fields)
    await subscription.message()
    return subscription


async def stalled(target) -> None:
    """Wait until the server's only stream waits for its client."""

    def waiting() -> bool:
        (stream,) = target.server._streams
        return stream.writing_since is not None and time.monotonic() - stream.writing_since > 0.5

    await until(waiting)


async def test_a_slow_subscriber_gets_the_newest_sample_and_how_many_it_missed(serve):
    target = await serve(sessions=4000, limits=Limits(fastest=SECOND // 20))
    subscription = await slow_subscriber(target, COUNTERS, mode=pb.SAMPLE)
    await stalled(target)
    target.element.sessions.sweep()
    await asyncio.sleep(0.3)
    ticks = {1}
    while ticks <= {1}:  # what was under way when it stopped to read
        update = (await subscription.message()).update.update
        ticks = {one.val.uint_val for one in update if one.path.elem[-1].name == "tick"}
    assert ticks == {2}
    (missed,) = {one.duplicates for one in update}
    assert missed > 1


async def test_a_subscriber_that_takes_nothing_is_dismissed(serve):
    target = await serve(sessions=4000, limits=Limits(fastest=SECOND // 20), stall_seconds=3.0)
    subscription = await slow_subscriber(target, COUNTERS, mode=pb.SAMPLE)
    await until(lambda: not (target.server._streams or target.server._sampler._wheel.groups))
    assert (await subscription.status())[0] is Code.DEADLINE_EXCEEDED
    assert (await target.client().capabilities()).gNMI_version


async def test_a_slow_subscriber_does_not_hold_others_up(serve):
    target = await serve(sessions=4000, limits=Limits(fastest=SECOND // 20))
    await slow_subscriber(target, COUNTERS, mode=pb.SAMPLE)
    await stalled(target)
    terms = {"sample_interval": SECOND // 2}
    quick = await target.client().subscribe(COUNTERS, mode=pb.SAMPLE, terms=terms)
    first = await quick.until_sync()
    ticks: dict[int, list[int]] = {}
    while len(ticks) < 4:
        update = (await quick.message()).update
        ticks.setdefault(update.timestamp, []).extend(one.duplicates for one in update.update)
    for duplicates in list(ticks.values())[1:-1]:  # whole ones, of which it missed none in between
        assert duplicates == [0] * len(first.values)


async def test_messages_are_bounded(serve):
    target = await serve(sessions=3000)
    client = target.client()
    for encoding in (pb.PROTO, pb.JSON_IETF):
        subscription = await client.subscribe("/", list_mode=pb.SubscriptionList.ONCE, encoding=encoding)
        sizes = []
        while not (message := await subscription.message()).sync_response:
            sizes.append(message.ByteSize())
        assert max(sizes) <= MAXIMUM_MESSAGE
