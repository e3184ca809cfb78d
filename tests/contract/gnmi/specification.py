"""What the tests of the specification, chapter by chapter, have in common."""

from __future__ import annotations

import json

import grpc
import pytest

from telemetry.protocol import gnmi_pb2 as pb
from telemetry.protocol.values import proto
from tests.contract.gnmi.client import Client, path

SESSIONS = "/aether-subscriber:sessions"
SESSION = f"{SESSIONS}/session[id=0000000000000001]"
PROFILES = "/aether-shaping:shaping-profiles"
GOLD = f"{PROFILES}/profile[name=gold]"
Code = grpc.StatusCode
STREAM, ONCE = pb.SubscriptionList.STREAM, pb.SubscriptionList.ONCE


async def refused(awaitable) -> tuple[Code, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await awaitable
    assert caught.value.details()
    return caught.value.code(), caught.value.details()


def update(text: str, value) -> pb.Update:
    return pb.Update(path=path(text), val=value if isinstance(value, pb.TypedValue) else proto(value))


def ietf(value) -> pb.TypedValue:
    return pb.TypedValue(json_ietf_val=json.dumps(value).encode())


async def get(client: Client, asked: pb.GetRequest) -> pb.GetResponse:
    return await client._unary("Get", asked, pb.GetResponse)
