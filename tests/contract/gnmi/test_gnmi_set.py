"""Set against the real tree."""

from __future__ import annotations

import grpc
import pytest

from telemetry.protocol import gnmi_ext_pb2 as ext
from telemetry.protocol import gnmi_pb2 as pb
from telemetry.protocol.values import proto
from tests.contract.gnmi.client import path
from tests.support.waiting import until
from yang.access import User
from yang.datastore.model import Session

PROFILES = "/aether-shaping:shaping-profiles"
GOLD = f"{PROFILES}/profile[name=gold]"
Code = grpc.StatusCode


def update(text: str, value) -> pb.Update:
    return pb.Update(path=path(text), val=value if isinstance(value, pb.TypedValue) else proto(value))


def profile(name: str, rate: int) -> pb.Update:
    content = f'{{"download": {{"rate": "{rate}"}}, "upload": {{"rate": "{rate}"}}}}'
    return update(f"{PROFILES}/profile[name={name}]", pb.TypedValue(json_ietf_val=content.encode()))


async def rates(client) -> dict[str, int]:
    (found,) = await client.get(f"{PROFILES}/profile/download/rate", type=pb.GetRequest.CONFIG)
    return {known.split("name=")[1].split("]")[0]: value for known, value in found.values.items()}


async def refused(awaitable) -> tuple[Code, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await awaitable
    return caught.value.code(), caught.value.details()


async def test_update_a_leaf_by_each_encoding(client):
    for number, value in enumerate(
        [
            pb.TypedValue(uint_val=1_000_000),
            pb.TypedValue(json_ietf_val=b'"1000001"'),
            pb.TypedValue(ascii_val="1000002"),
        ]
    ):
        response = await client.set(update=[update(f"{GOLD}/download/rate", value)])
        assert response.response[0].op == pb.UpdateResult.UPDATE
        assert response.timestamp > 0
        assert (await rates(client))["gold"] == 1_000_000 + number


async def test_delete_replace_update_in_one(client):
    response = await client.set(
        prefix=path(PROFILES, target="bng-01"),
        delete=[path("profile[name=silver]")],
        replace=[pb.Update(path=path("profile[name=gold]"), val=profile("gold", 5_000_000).val)],
        update=[pb.Update(path=path("profile[name=new]"), val=profile("new", 6_000_000).val)],
    )
    operations = pb.UpdateResult
    assert [found.op for found in response.response] == [
        operations.DELETE,
        operations.REPLACE,
        operations.UPDATE,
    ]
    assert response.prefix.target == "bng-01"
    assert await rates(client) == {"gold": 5_000_000, "new": 6_000_000}


async def test_delete_comes_before_update(client):
    await client.set(delete=[path(GOLD)], update=[profile("gold", 7_000_000)])
    assert (await rates(client))["gold"] == 7_000_000


async def test_replace_removes_what_is_not_given(client):
    await client.set(update=[update(f"{GOLD}/description", "the best")])
    await client.set(replace=[profile("gold", 8_000_000)])
    (found,) = await client.get(GOLD, type=pb.GetRequest.CONFIG)
    assert f"{GOLD}/description" not in found.values


async def test_all_or_nothing(client):
    before = await rates(client)
    code, message = await refused(
        client.set(update=[profile("fine", 1_000_000), profile("refused", 1_000_000)])
    )
    assert code is Code.RESOURCE_EXHAUSTED
    assert "no room" in message
    assert await rates(client) == before


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"update": [update("/aether-shaping:nonsense", 1)]}, Code.NOT_FOUND),
        ({"update": [update(f"{GOLD}/download/rate", "fast")]}, Code.INVALID_ARGUMENT),
        ({"update": [update(f"{GOLD}/download/rate", 2**64 - 1)]}, Code.INVALID_ARGUMENT),
        ({"update": [update(GOLD, 1)]}, Code.INVALID_ARGUMENT),
        ({"update": [update(GOLD, pb.TypedValue(json_ietf_val=b"{"))]}, Code.INVALID_ARGUMENT),
        ({"update": [pb.Update(path=path(GOLD))]}, Code.INVALID_ARGUMENT),
        ({"update": [update(f"{PROFILES}/profile[name=*]/priority", 1)]}, Code.INVALID_ARGUMENT),
        ({"update": [update(f"{PROFILES}/.../priority", 1)]}, Code.INVALID_ARGUMENT),
        ({"update": [update("/aether-subscriber:summary/total", 1)]}, Code.INVALID_ARGUMENT),
        ({"replace": [update(f"{PROFILES}/profile[name=x]/priority", 1)]}, Code.INVALID_ARGUMENT),
        ({"delete": [pb.Path(element=["a"])]}, Code.INVALID_ARGUMENT),
    ],
)
async def test_refused(client, fields, code):
    before = await rates(client)
    found, message = await refused(client.set(**fields))
    assert (found, bool(message)) == (code, True), message
    assert await rates(client) == before


async def test_nothing_to_do(client):
    assert not (await client.set()).response


async def test_who_may_not_write(target):
    code, message = await refused(target.client("viewer").set(update=[update(f"{GOLD}/priority", 1)]))
    assert code is Code.PERMISSION_DENIED
    assert message


async def test_a_lock_refuses(target, client):
    locker = Session(7, User("somebody", recovery=True))
    await target.element.tree.datastores.lock(locker, "running")
    code, message = await refused(client.set(update=[update(f"{GOLD}/priority", 1)]))
    assert code is Code.FAILED_PRECONDITION
    assert message
    await target.element.tree.datastores.unlock(locker, "running")
    await client.set(update=[update(f"{GOLD}/priority", 1)])


def election(high: int, low: int, role: str = "") -> ext.Extension:
    number = ext.Uint128(high=high, low=low)
    return ext.Extension(master_arbitration=ext.MasterArbitration(role=ext.Role(id=role), election_id=number))


async def test_the_higher_controller_writes(client):
    await client.set(extension=[election(1, 5)])
    assert (await refused(client.set(extension=[election(1, 4)])))[0] is Code.PERMISSION_DENIED
    await client.set(extension=[election(0, 1, "another")])
    await client.set(extension=[election(2, 0)])
    assert (await refused(client.set(extension=[election(1, 5)])))[0] is Code.PERMISSION_DENIED


def commit(identifier: str, **action) -> ext.Extension:
    return ext.Extension(commit=ext.Commit(id=identifier, **action))


async def test_a_commit_is_confirmed(client):
    request = ext.CommitRequest()
    request.rollback_duration.seconds = 60
    await client.set(update=[profile("trial", 1_000_000)], extension=[commit("c1", commit=request)])
    code, _ = await refused(client.set(update=[profile("other", 1_000_000)]))
    assert code is Code.FAILED_PRECONDITION
    await client.set(extension=[commit("c1", confirm=ext.CommitConfirm())])
    assert "trial" in await rates(client)


async def test_a_commit_is_cancelled(client):
    request = ext.CommitRequest()
    request.rollback_duration.seconds = 60
    await client.set(update=[profile("trial", 1_000_000)], extension=[commit("c1", commit=request)])
    await client.set(extension=[commit("c1", cancel=ext.CommitCancel())])
    assert "trial" not in await rates(client)


async def test_a_commit_that_nobody_confirms_is_undone(target, client):
    request = ext.CommitRequest()
    request.rollback_duration.seconds = 1
    await client.set(update=[profile("trial", 1_000_000)], extension=[commit("c1", commit=request)])
    store = target.element.tree.datastores
    await until(lambda: not store.confirmed_commit.active)
    assert [entry["kind"] for entry in store.history()][:2] == ["revert", "commit"]
    assert "trial" not in await rates(client)


async def test_an_id_is_good_after_a_restart(serve):
    """Each target that is served here is the one before, which was killed."""
    lasting = ext.CommitRequest()
    lasting.rollback_duration.seconds = 60
    client = (await serve()).client()
    await client.set(update=[profile("trial", 1_000_000)], extension=[commit("c1", commit=lasting)])
    client = (await serve()).client()
    assert "trial" in await rates(client)
    assert (await refused(client.set(update=[profile("other", 1)])))[0] is Code.FAILED_PRECONDITION
    wrong = client.set(extension=[commit("c2", confirm=ext.CommitConfirm())])
    assert (await refused(wrong))[0] is Code.INVALID_ARGUMENT
    await client.set(extension=[commit("c1", confirm=ext.CommitConfirm())])
    await client.set(update=[profile("other", 1_000_000)], extension=[commit("c3", commit=lasting)])
    client = (await serve()).client()
    await client.set(extension=[commit("c3", cancel=ext.CommitCancel())])
    assert "other" not in await rates(client)
    assert "trial" in await rates(client)


async def test_only_a_commit_that_is_under_way_is_confirmed(client):
    code, message = await refused(client.set(extension=[commit("c9", confirm=ext.CommitConfirm())]))
    assert code in (Code.INVALID_ARGUMENT, Code.ABORTED, Code.FAILED_PRECONDITION), message
    assert (await refused(client.set(extension=[commit("", confirm=ext.CommitConfirm())])))[
        0
    ] is Code.INVALID_ARGUMENT
