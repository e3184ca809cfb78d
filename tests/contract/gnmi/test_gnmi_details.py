"""What an error says beyond its message: google.rpc.Status in the trailers."""

from __future__ import annotations

import json

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from telemetry.protocol import gnmi_pb2 as pb
from tests.contract.gnmi.client import path
from tests.contract.gnmi.test_gnmi_set import GOLD, PROFILES, profile, update

Code = grpc.StatusCode
ABORTED = Code.ABORTED.value[0]


def _messages() -> tuple[type, type]:
    """google.rpc.Status and ErrorInfo as their .proto files have them."""
    pool = descriptor_pool.DescriptorPool()
    any_file = descriptor_pb2.FileDescriptorProto()
    pool_any = descriptor_pool.Default().FindFileByName("google/protobuf/any.proto")
    pool_any.CopyToProto(any_file)
    pool.Add(any_file)
    file = descriptor_pb2.FileDescriptorProto(
        name="rpc.proto", package="google.rpc", syntax="proto3", dependency=["google/protobuf/any.proto"]
    )
    kind = descriptor_pb2.FieldDescriptorProto
    found = file.message_type.add(name="Status")
    found.field.add(name="code", number=1, type=kind.TYPE_INT32, label=1)
    found.field.add(name="message", number=2, type=kind.TYPE_STRING, label=1)
    found.field.add(
        name="details", number=3, type=kind.TYPE_MESSAGE, label=3, type_name=".google.protobuf.Any"
    )
    info = file.message_type.add(name="ErrorInfo")
    info.field.add(name="reason", number=1, type=kind.TYPE_STRING, label=1)
    info.field.add(name="domain", number=2, type=kind.TYPE_STRING, label=1)
    entry = info.nested_type.add(name="MetadataEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=kind.TYPE_STRING, label=1)
    entry.field.add(name="value", number=2, type=kind.TYPE_STRING, label=1)
    info.field.add(
        name="metadata", number=3, type=kind.TYPE_MESSAGE, label=3,
        type_name=".google.rpc.ErrorInfo.MetadataEntry",
    )  # fmt: skip
    pool.Add(file)
    made = message_factory.GetMessageClass
    return (
        made(pool.FindMessageTypeByName("google.rpc.Status")),
        made(pool.FindMessageTypeByName("google.rpc.ErrorInfo")),
    )


STATUS, ERROR_INFO = _messages()


async def failure(awaitable) -> tuple[grpc.aio.AioRpcError, list[pb.UpdateResult], list]:
    """The error, the results of a SetResponse, and the ErrorInfos in its details."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await awaitable
    error = caught.value
    octets = dict(error.trailing_metadata()).get("grpc-status-details-bin")
    if octets is None:
        return error, [], []
    status = STATUS.FromString(octets)
    assert (status.code, status.message) == (error.code().value[0], error.details())
    results, infos = [], []
    for detail in status.details:
        if detail.type_url.endswith("/gnmi.SetResponse"):
            results.extend(pb.SetResponse.FromString(detail.value).response)
        else:
            assert detail.type_url.endswith("/google.rpc.ErrorInfo")
            infos.append(ERROR_INFO.FromString(detail.value))
    return error, results, infos


WRONG = [
    (update("/aether-shaping:nonsense", 1), Code.NOT_FOUND),  # its path
    (update(f"{GOLD}/download/rate", "fast"), Code.INVALID_ARGUMENT),  # its value
    (profile("refused", 1_000_000), None),  # nobody says which operation
    (update("/aether-bng:bng/aaa/server[name=radius-1]/secret", "x"), Code.PERMISSION_DENIED),
]


async def test_each_operation_is_told_what_became_of_it(client):
    others = {"delete": [path(f"{PROFILES}/profile[name=silver]")]}
    for wrong, code in WRONG:
        error, results, _ = await failure(client.set(**others, update=[profile("a", 1_000_000), wrong]))
        assert error.code() is (code or Code.RESOURCE_EXHAUSTED)
        if code is None:
            assert not results
            continue
        assert [result.op for result in results] == [1, 3, 3]
        assert [result.message.code for result in results] == [ABORTED, ABORTED, code.value[0]]
        assert results[2].message.message == error.details()
        assert results[2].path == wrong.path


async def test_an_error_has_a_name_and_a_place(client):
    _, results, (info,) = await failure(client.set(update=[update(f"{GOLD}/download/rate", 1)]))
    assert (info.reason, info.domain) == ("INVALID_VALUE", "ietf-netconf")
    assert info.metadata["path"].endswith("/rate")
    assert len(results) == 1
    _, _, (info,) = await failure(client.set(delete=[path("/ietf-system:system/authentication")]))
    assert info.metadata["error-app-tag"] == "confirmation-required"


async def test_of_many_operations_only_the_one_that_failed(client):
    names = [profile(f"{number:064d}", 1_000_000) for number in range(500)]
    wrong = update(GOLD, pb.TypedValue(json_ietf_val=json.dumps({"priority": 99}).encode()))
    error, results, infos = await failure(client.set(update=[*names, wrong]))
    assert error.code() is Code.INVALID_ARGUMENT
    assert [result.path for result in results] == [wrong.path]
    assert len(infos) == 1
