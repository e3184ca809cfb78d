"""Requests that are made to hurt: they are answered or refused, and others are served meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from telemetry import stream
from telemetry.memory import StreamMemory
from telemetry.protocol import gnmi_pb2 as pb
from telemetry.sampler import Sampler
from telemetry.stream import Builder, Service
from telemetry.subscribe import Limits
from tests.contract.gnmi.client import history, path
from tests.contract.gnmi.element import make_session
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
    memory = StreamMemory(service.memory, "admin")
    async with Turns() as turns:
        assert len(await Builder(service, User("admin"), memory, asked, ()).sources()) >= 20
    assert turns.count >= 20


async def test_others_get_their_turn_while_much_is_set(target, client):
    operations = [update(f"{PROFILES}/profile[name=p{number}]/priority", 1) for number in range(1000)]
    setter = target.server._setter
    async with Turns() as turns:
        with pytest.raises(Exception, match="nonsense"):
            request = pb.SetRequest(update=[*operations, update("/nonsense", 1)])
            await setter.set(User("admin"), "", request.SerializeToString())
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


async def test_what_is_remembered_for_one_user_leaves_room_for_others(target):
    """Whoever has most has no more than is left; and a stream goes on when others have come."""
    memory = target.server._service.memory
    memory.limit = 24
    text = "/aether-subscriber:sessions/session/status"
    client, viewer, blind = map(target.client, ("admin", "viewer", "blind"))
    first = await client.subscribe(*[text] * 4, mode=pb.ON_CHANGE)
    await first.until_sync()
    assert memory.entries == memory.of("admin") == 12
    code, message = await (await client.subscribe(text, mode=pb.ON_CHANGE)).status()
    assert (code, "the user admin is more than 12" in message) == (Code.RESOURCE_EXHAUSTED, True)
    second = await viewer.subscribe(*[text] * 2, mode=pb.ON_CHANGE)
    await second.until_sync()
    assert (await (await viewer.subscribe(text, mode=pb.ON_CHANGE)).status())[0] is Code.RESOURCE_EXHAUSTED
    third = await blind.subscribe(text, mode=pb.ON_CHANGE)
    await third.until_sync()
    assert (memory.of("admin"), memory.of("viewer"), memory.of("blind")) == (12, 6, 3)
    target.element.sessions.remove("0000000000000001")
    for subscription in (first, second, third):
        assert (await subscription.update()).deleted
    third.call.cancel()
    async with asyncio.timeout(10):
        while memory.of("blind"):
            await asyncio.sleep(0.01)
    # what grows by itself is held to half of all, whatever others have
    target.element.sessions.put(make_session(1))
    for subscription in (first, second):
        while not (await subscription.update()).values:
            pass  # of each of its subscriptions
    target.element.sessions.put(make_session(7))
    code, message = await first.status()
    assert (code, "12 entries" in message) == (Code.RESOURCE_EXHAUSTED, True)
    while not any("=0000000000000007]" in known for known in (await second.update()).values):
        pass


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
