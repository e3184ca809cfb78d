"""Capabilities and Get against the real tree."""

from __future__ import annotations

import grpc
import pytest

from telemetry.protocol import gnmi_ext_pb2 as ext
from telemetry.protocol import gnmi_pb2 as pb
from telemetry.protocol.paths import steps_of, to_text
from tests.contract.gnmi.client import path
from tests.contract.gnmi.element import SECRET

SESSIONS = "/aether-subscriber:sessions"
SESSION = f"{SESSIONS}/session[id=0000000000000001]"
PROFILES = "/aether-shaping:shaping-profiles"
Code = grpc.StatusCode


async def refused(awaitable) -> tuple[Code, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await awaitable
    return caught.value.code(), caught.value.details()


async def test_capabilities(target, client):
    found = await client.capabilities()
    assert found.gNMI_version == "0.10.0"
    assert list(found.supported_encodings) == [pb.JSON, pb.JSON_IETF, pb.PROTO, pb.ASCII]
    models = {(model.name, model.version) for model in found.supported_models}
    assert models == {(module.name, module.revision) for module in target.element.tree.schema.modules}
    organizations = {model.name: model.organization for model in found.supported_models}
    assert organizations["aether-subscriber"] == "Aether"


async def test_get_scalars(client):
    (picture,) = await client.get(f"{SESSION}/status")
    assert picture.values == {f"{SESSION}/status": "active"}


async def test_get_an_entry_as_scalars(client):
    (picture,) = await client.get(SESSION)
    assert picture.values[f"{SESSION}/access-line/circuit-id"] == "1/0/1"
    assert picture.values[f"{SESSION}/counters/in-octets"] == 1000
    assert picture.values[f"{SESSION}/download-rate"] == 100_000_000


async def test_get_json_ietf(client):
    (picture,) = await client.get(SESSION, encoding=pb.JSON_IETF)
    value = picture.values[SESSION]
    value = value.get("aether-subscriber:session", value)
    entry = value[0] if isinstance(value, list) else value
    plain = {name.rpartition(":")[2]: item for name, item in entry.items()}
    assert plain["status"] == "active"
    assert plain["counters"]["in-octets"] == "1000"


async def test_get_json_has_numbers_and_bare_names(client):
    (picture,) = await client.get(SESSION, encoding=pb.JSON)
    entry = picture.values[SESSION]
    assert entry["counters"]["in-octets"] == 1000
    assert entry["access-line"]["remote-id"] == "an-0000"


async def test_get_ascii(client):
    (picture,) = await client.get(f"{SESSION}/counters", encoding=pb.ASCII)
    assert picture.values[f"{SESSION}/counters/in-octets"] == "1000"


@pytest.mark.parametrize(
    "text",
    [
        "/aether-subscriber:sessions/session/status",
        "/aether-subscriber:sessions/session[id=*]/status",
        "/aether-subscriber:sessions/*/status",
        "/aether-subscriber:sessions/.../status",
        "/sessions/session/status",
    ],
)
async def test_wildcards_and_names_without_module(client, text):
    (picture,) = await client.get(text)
    assert len(picture.values) == 3
    assert set(picture.values.values()) == {"active"}


async def test_what_all_leaves_have_in_common_is_said_once(client):
    rate = "/aether-shaping:shaping-profiles/profile[name=gold]/download/rate"
    for text, common in (
        (f"{SESSIONS}/session/status", SESSIONS),
        (rate, "/aether-shaping:shaping-profiles"),
    ):
        ((notification,),) = [picture.notifications for picture in await client.get(text)]
        assert to_text(steps_of(notification.prefix)) == common
        assert {len(update.path.elem) for update in notification.update} <= {2, 3}
    (picture,) = await client.get(SESSIONS, encoding=pb.JSON_IETF)
    assert not picture.notifications[0].prefix.elem


async def test_prefix_target_and_several_paths(client):
    prefix = path(SESSION, target="bng-01")
    first, second = await client.get("status", "profile", prefix=prefix)
    assert first.notifications[0].prefix.target == "bng-01"
    assert first.values == {f"{SESSION}/status": "active"}
    assert second.values == {f"{SESSION}/profile": "gold"}


@pytest.mark.parametrize("origin", ["", "rfc7951", "aether-subscriber"])
async def test_origin(client, origin):
    (picture,) = await client.get("session/status", prefix=path("/sessions", origin=origin))
    assert len(picture.values) == 3
    assert picture.notifications[0].prefix.origin == origin


async def test_types(client):
    everything = "/aether-shaping:shaping-profiles/profile[name=gold]/download/rate"
    (config,) = await client.get(everything, type=pb.GetRequest.CONFIG)
    assert config.values == {everything: 100_000_000}
    assert (await refused(client.get(everything, type=pb.GetRequest.STATE)))[0] is Code.NOT_FOUND
    (state,) = await client.get("/aether-subscriber:summary", type=pb.GetRequest.OPERATIONAL)
    assert state.values["/aether-subscriber:summary/total"] == 3
    (none,) = await client.get("/aether-subscriber:summary", type=pb.GetRequest.CONFIG)
    assert none.values == {}


async def test_everything(client):
    (picture,) = await client.get("/")
    assert f"{SESSION}/status" in picture.values
    assert f"{PROFILES}/profile[name=gold]/download/rate" in picture.values
    assert SECRET not in map(str, picture.values.values())


async def test_access_control_hides(target):
    viewer, blind = target.client("viewer"), target.client("blind")
    (seen,) = await viewer.get(f"{SESSION}/counters/in-octets")
    assert seen.values == {f"{SESSION}/counters/in-octets": 1000}
    assert (await refused(blind.get(f"{SESSION}/counters/in-octets")))[0] is Code.NOT_FOUND
    (rest,) = await blind.get(SESSION)
    assert not any("counters" in known for known in rest.values)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("/aether-subscriber:sessions/session[id=ffffffffffffffff]", Code.NOT_FOUND),
        (f"{SESSION}/nas-port-id", Code.NOT_FOUND),
        ("/aether-shaping:shaping-profiles/profile[name=none]/priority", Code.NOT_FOUND),
        ("/aether-subscriber:nonsense", Code.UNIMPLEMENTED),
        ("/no-such-module:sessions", Code.UNIMPLEMENTED),
        ("/aether-subscriber:sessions/session[colour=red]", Code.UNIMPLEMENTED),
        ("/aether-events:events/event[seq=not-a-number]", Code.INVALID_ARGUMENT),
    ],
)
async def test_paths_that_lead_nowhere(client, text, code):
    found, message = await refused(client.get(text))
    assert found is code, message
    assert message


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"encoding": pb.BYTES}, Code.UNIMPLEMENTED),
        ({"encoding": 99}, Code.UNIMPLEMENTED),
        ({"type": 99}, Code.INVALID_ARGUMENT),
        ({"use_models": [pb.ModelData(name="nonsense")]}, Code.UNIMPLEMENTED),
        ({"use_models": [pb.ModelData(name="aether-subscriber", version="1999-01-01")]}, Code.UNIMPLEMENTED),
        ({"prefix": pb.Path(element=["sessions"])}, Code.INVALID_ARGUMENT),
        ({"prefix": pb.Path(origin="openconfig")}, Code.UNIMPLEMENTED),
        ({"extension": [ext.Extension(history=ext.History(snapshot_time=1))]}, Code.INVALID_ARGUMENT),
    ],
)
async def test_requests_that_are_refused(client, fields, code):
    found, message = await refused(client.get("/aether-subscriber:sessions", **fields))
    assert found is code, message
    assert message
