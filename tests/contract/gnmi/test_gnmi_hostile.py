"""Requests that are made to hurt: they are answered or refused, and others are served meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from telemetry import stream
from telemetry.protocol import gnmi_pb2 as pb
from telemetry.sampler import Sampler
from telemetry.stream import Builder, Service
from telemetry.subscribe import Limits
from tests.contract.gnmi.client import history, path
from tests.contract.gnmi.test_gnmi_set import PROFILES, refused, update
from tests.contract.gnmi.test_gnmi_union import ietf
from tests.support.waiting import until
from yang.access import User
from yang.datastore import wildcards
from yang.datastore.edit import Editor

Code = grpc.StatusCode


class Turns:
    """Counts how often others got their turn."""

    async def __aenter__(self) -> Turns:
        self.count = 0
        self._task = asyncio.create_task(self._run())
        return self

    async def _run(self) -> None:
        while True:
            self.count += 1
            await asyncio.sleep(0)

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()


@pytest.mark.parametrize("name", ["x" * 4000, "é" * 4000, "漢" * 4000])
async def test_an_error_that_quotes_much_arrives(client, name):
    """Trailers that a client refuses would leave it with RESOURCE_EXHAUSTED."""
    wrong: list[tuple[Any, Code]] = [
        (client.get(f"/{name}"), Code.UNIMPLEMENTED),
        (client.get("/", use_models=[pb.ModelData(name=name * 20)]), Code.UNIMPLEMENTED),
        (
            client._unary("Get", pb.GetRequest(path=[pb.Path(origin=name)]), pb.GetResponse),
            Code.UNIMPLEMENTED,
        ),
        (client.set(update=[ietf(PROFILES, {name * 20: 1})]), Code.INVALID_ARGUMENT),
        (client.set(update=[ietf(f"{PROFILES}/profile[name={name}]", {})]), Code.INVALID_ARGUMENT),
    ]
    for doing, code in wrong:
        found, message = await refused(doing)
        assert (found, name[:20] in message) == (code, True), message


async def test_others_get_their_turn_while_much_is_subscribed_to(target):
    asked = pb.SubscriptionList(encoding=pb.PROTO)
    asked.subscription.extend(pb.Subscription(path=path("/*/*"), mode=pb.ON_CHANGE) for _ in range(20))
    service = Service(target.element.tree, Sampler(), Limits())
    async with Turns() as turns:
        assert len(await Builder(service, User("admin"), asked, ()).sources()) >= 20
    assert turns.count >= 20


async def test_others_get_their_turn_while_much_is_set(target, client):
    operations = [update(f"{PROFILES}/profile[name=p{number}]/priority", 1) for number in range(1000)]
    setter = target.server._setter
    async with Turns() as turns:
        with pytest.raises(Exception, match="nonsense"):
            await setter.set(User("admin"), "", pb.SetRequest(update=[*operations, update("/nonsense", 1)]))
    assert turns.count >= 10


async def test_a_large_union_is_applied_at_once(monkeypatch, client):
    applied: list[int] = []
    apply = Editor.apply

    def counted(self: Editor, tree: Any, edits: Any, operation: str) -> Any:
        edits = list(edits)
        applied.append(len(edits))
        return apply(self, tree, edits, operation)

    monkeypatch.setattr(Editor, "apply", counted)
    rates = {"download": {"rate": "1000000"}, "upload": {"rate": "1000000"}}
    names = [f"p{number}" for number in range(300)]
    await client.set(union_replace=[ietf(f"{PROFILES}/profile[name={name}]", rates) for name in names])
    assert applied == [2]
    (found,) = await client.get(f"{PROFILES}/profile/name")
    assert sorted(found.values.values()) == sorted([*names, "gold", "silver"])


@pytest.mark.parametrize("text", ["/...", "/.../..."])
async def test_any_depth_from_the_root_is_everything(client, text):
    modes = (pb.TARGET_DEFINED, pb.ON_CHANGE)
    for mode in modes:
        some, everything = [await client.subscribe(where, mode=mode) for where in (text, "/")]
        assert (await some.until_sync()).values.keys() == (await everything.until_sync()).values.keys()


@pytest.mark.parametrize(
    "text", ["/aether-subscriber:sessions/session/id", "/ietf-yang-library:modules-state/module/name"]
)
async def test_keys_of_state_are_state(client, text):
    (found,) = await client.get(text)
    assert found.values
    assert (await client.get(text, type=pb.GetRequest.STATE))[0].values == found.values
    for mode in (pb.TARGET_DEFINED, pb.ON_CHANGE, pb.SAMPLE):
        subscription = await client.subscribe(text, mode=mode)
        assert (await subscription.until_sync()).values == found.values


async def test_many_readers_of_the_past_share_the_reading(monkeypatch, target, client):
    await client.set(update=[ietf(f"{PROFILES}/profile[name=gold]/priority", 3)])
    past = target.element.tree.past
    read: list[int] = []
    complete = past._complete

    def counted(number: int) -> Any:
        read.append(number)
        return complete(number)

    monkeypatch.setattr(past, "_complete", counted)
    found = await asyncio.gather(*(past.configuration(past.newest) for _ in range(5)))
    assert read == [past.newest]
    assert all(one is found[0] for one in found)
    assert past.following(past.newest) is past.since(past.newest)[0]
    assert past.following(past.newest + 1) is None


@pytest.mark.parametrize("extension", [[], [history(1)]])
async def test_what_is_remembered_is_bounded(monkeypatch, target, client, extension):
    monkeypatch.setattr(stream, "OF_A_STREAM", 50)
    memory = target.server._service.memory
    text = PROFILES if extension else "/aether-subscriber:sessions/session"
    few = await client.subscribe(text, mode=pb.ON_CHANGE, extension=extension)
    await few.until_sync()
    if extension:
        await few.update()  # the first commit is part of the range: it follows the sync_response
    taken = memory.entries
    assert taken
    many = await client.subscribe(*[text] * 50, mode=pb.ON_CHANGE, extension=extension)
    code, message = await many.status()
    assert (code, "50 entries" in message) == (Code.RESOURCE_EXHAUSTED, True)
    assert memory.entries == taken
    few.call.cancel()
    await until(lambda: not memory.entries)
    assert not target.element.tree.past.listeners


async def test_deletes_by_wildcards_are_bounded(monkeypatch, client):
    for text in ("/.../description", f"{PROFILES}/profile/description"):
        code, message = await refused(client.set(delete=[path(text)] * 101))
        assert (code, "100 deletes" in message) == (Code.RESOURCE_EXHAUSTED, True)
    await client.set(update=[ietf(f"{PROFILES}/profile[name=gold]/description", "the best")])
    looked_at: list[int] = []
    matches = wildcards._Search.matches

    def counted(self: Any, *args: Any) -> Any:
        looked_at.append(1)
        return matches(self, *args)

    monkeypatch.setattr(wildcards._Search, "matches", counted)
    counts = []
    for text in ("/.../description", "/" + ".../" * 60 + "description"):
        looked_at.clear()
        await client.set(delete=[path(text)])
        counts.append(len(looked_at))
    assert counts[1] <= counts[0]
    (found,) = await client.get(PROFILES)
    assert not any("description" in text for text in found.values)
