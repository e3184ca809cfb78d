"""union_replace (gNMI union_replace, 5), and origins without a path, against the real tree."""

from __future__ import annotations

import json

import grpc

from telemetry.protocol import gnmi_ext_pb2 as ext
from telemetry.protocol import gnmi_pb2 as pb
from tests.contract.gnmi.client import Client, path
from tests.contract.gnmi.element import SECRET
from tests.contract.gnmi.test_gnmi_set import GOLD, PROFILES, commit, profile, rates, refused, update

Code = grpc.StatusCode
SHAPING = pb.Path(origin="aether-shaping")


def ietf(text: str, value: object) -> pb.Update:
    return update(text, pb.TypedValue(json_ietf_val=json.dumps(value).encode()))


def at(where: pb.Path, value: object) -> pb.Update:
    return pb.Update(path=where, val=pb.TypedValue(json_ietf_val=json.dumps(value).encode()))


def profiles(**found: int) -> dict[str, object]:
    entries = [
        {"name": name, "download": {"rate": str(rate)}, "upload": {"rate": str(rate)}}
        for name, rate in found.items()
    ]
    return {"profile": entries}


async def configuration(client: Client) -> dict[str, object]:
    """All that there is, as one would send it back."""
    request = pb.GetRequest(encoding=pb.JSON_IETF, type=pb.GetRequest.CONFIG)
    found = await client._unary("Get", request, pb.GetResponse)
    whole = {}
    for part in found.notification[0].update:
        whole[part.path.elem[0].name] = json.loads(part.val.json_ietf_val)
    return whole


async def test_the_union_replaces_what_is_at_its_paths(client):
    await client.set(update=[update(f"{GOLD}/description", "the best")])
    before = await client.get("/aether-bng:bng", type=pb.GetRequest.CONFIG)
    response = await client.set(
        union_replace=[
            ietf(PROFILES, profiles(bronze=1_000_000)),
            profile("gold", 2_000_000),
            ietf(f"{GOLD}/priority", 3),
        ]
    )
    assert [found.op for found in response.response] == [pb.UpdateResult.UNION_REPLACE] * 3
    assert await rates(client) == {"bronze": 1_000_000, "gold": 2_000_000}
    (gold,) = await client.get(GOLD, type=pb.GetRequest.CONFIG)
    assert gold.values[f"{GOLD}/priority"] == 3
    assert f"{GOLD}/description" not in gold.values
    after = await client.get("/aether-bng:bng", type=pb.GetRequest.CONFIG)
    assert after[0].values == before[0].values


async def test_an_entry_keeps_what_is_beside_it(client):
    await client.set(union_replace=[profile("gold", 2_000_000)])
    assert await rates(client) == {"gold": 2_000_000, "silver": 100_000_000}


async def test_an_origin_stands_for_what_is_of_its_module(client):
    whole = {"aether-shaping:shaping-profiles": profiles(iron=1_000_000)}
    for operation in ("union_replace", "replace"):
        await client.set(update=[profile("gold", 3_000_000)])
        await client.set(**{operation: [at(SHAPING, whole)]})
        assert await rates(client) == {"iron": 1_000_000}
    found = await client._unary("Get", pb.GetRequest(path=[SHAPING]), pb.GetResponse)
    assert {part.path.elem[0].name for part in found.notification[0].update} == {
        "aether-shaping:shaping-profiles"
    }
    code, message = await refused(client.set(union_replace=[at(SHAPING, {"aether-bng:bng": {}})]))
    assert (code, "origin" in message) == (Code.INVALID_ARGUMENT, True)
    await client.set(delete=[SHAPING])
    assert await rates(client) == {}
    (bng,) = await client.get("/aether-bng:bng", type=pb.GetRequest.CONFIG)
    assert bng.values["/aether-bng:bng/identity/bng-id"] == "bng-01"


async def test_operations_that_disagree(client):
    before = await rates(client)
    for one, other in (
        (profile("gold", 2_000_000), ietf(f"{GOLD}/download/rate", "3000000")),
        (ietf(PROFILES, profiles(gold=1_000_000)), profile("gold", 2_000_000)),
    ):
        code, message = await refused(client.set(union_replace=[one, other]))
        assert (code, "different" in message, "rate" in message) == (Code.INVALID_ARGUMENT, True, True)
    assert await rates(client) == before
    # the same twice is no conflict
    await client.set(union_replace=[profile("gold", 2_000_000), ietf(f"{GOLD}/download/rate", "2000000")])
    assert (await rates(client))["gold"] == 2_000_000


async def test_it_comes_between_deletes_and_replaces(client):
    response = await client.set(
        delete=[path(PROFILES)],
        union_replace=[profile("gold", 2_000_000), profile("iron", 2_000_000)],
        replace=[profile("iron", 3_000_000)],
        update=[profile("tin", 4_000_000)],
    )
    assert [found.op for found in response.response] == [1, 4, 4, 2, 3]
    assert await rates(client) == {"gold": 2_000_000, "iron": 3_000_000, "tin": 4_000_000}


WRONG = [
    (at(pb.Path(origin="openconfig"), {}), Code.NOT_FOUND),
    (pb.Update(path=pb.Path(origin="aether_cli"), val=pb.TypedValue(ascii_val="x")), Code.NOT_FOUND),
    (ietf("/aether-shaping:nonsense", 1), Code.NOT_FOUND),
    (ietf(GOLD, {}), Code.INVALID_ARGUMENT),
    (ietf(f"{PROFILES}/profile[name=*]", {}), Code.INVALID_ARGUMENT),
    (ietf("/aether-subscriber:summary/total", 1), Code.INVALID_ARGUMENT),
    (pb.Update(path=path(GOLD)), Code.INVALID_ARGUMENT),
    (ietf(PROFILES, profiles(refused=1_000_000)), Code.RESOURCE_EXHAUSTED),
]


async def test_what_a_union_refuses(client):
    before = await rates(client)
    for wrong, code in WRONG:
        found, message = await refused(client.set(union_replace=[profile("fine", 1_000_000), wrong]))
        assert (found, bool(message)) == (code, True), message
    assert await rates(client) == before


async def test_what_may_not_be_seen_is_not_wiped(target, client):
    whole = await configuration(client)
    assert SECRET not in json.dumps(whole)
    code, message = await refused(client.set(union_replace=[at(pb.Path(), whole)]))
    assert (code, "secret" in message) == (Code.PERMISSION_DENIED, True)
    bng = target.element.tree.running_json()["aether-bng:bng"]
    assert bng["aaa"]["server"][0]["secret"] == SECRET
    # a value that is guessed is not told to be right
    code, _ = await refused(
        client.set(union_replace=[ietf("/aether-bng:bng/aaa/server[name=radius-1]/secret", SECRET)])
    )
    assert code is Code.PERMISSION_DENIED
    code, _ = await refused(
        client.set(update=[ietf("/aether-bng:bng/aaa/server[name=radius-1]/secret", SECRET)])
    )
    assert code is Code.PERMISSION_DENIED


async def test_what_shuts_everybody_out_is_to_be_confirmed(client):
    system = at(pb.Path(origin="ietf-system"), {"ietf-system:system": {"hostname": "bng-01"}})
    code, message = await refused(client.set(union_replace=[system]))
    assert (code, "confirm" in message) == (Code.FAILED_PRECONDITION, True)
    request = ext.CommitRequest()
    request.rollback_duration.seconds = 60
    await client.set(union_replace=[system], extension=[commit("c1", commit=request)])
    code, _ = await refused(client.set(extension=[commit("c1", cancel=ext.CommitCancel())]))
    assert code is Code.UNAUTHENTICATED


async def test_entries_keep_the_order_in_which_they_are_said(target, client):
    rules = [{"name": name, "module-name": "*", "action": "permit"} for name in ("z", "y", "x")]
    where = "/ietf-netconf-acm:nacm/rule-list[name=blind]"
    whole = {"name": "blind", "group": ["blind"], "rule": rules}
    for _ in range(2):
        last = ietf(f"{where}/rule[name=x]/comment", "the last")
        await client.set(union_replace=[ietf(where, whole), last])
    lists = target.element.tree.running_json()["ietf-netconf-acm:nacm"]["rule-list"]
    (blind,) = [found for found in lists if found["name"] == "blind"]
    assert [rule["name"] for rule in blind["rule"]] == ["z", "y", "x"]
    assert blind["rule"][2]["comment"] == "the last"
