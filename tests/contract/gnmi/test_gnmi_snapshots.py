"""Get of much: made in pieces, equal to what is read at once, and bounded."""

from __future__ import annotations

import asyncio
import gc
import json
import time

import grpc
import pytest

from telemetry import get, snapshot
from telemetry.protocol import gnmi_pb2 as pb
from tests.contract.gnmi.client import path
from yang.access import User

SESSIONS = "/aether-subscriber:sessions"
Code = grpc.StatusCode
ADMIN = User("admin")


@pytest.mark.parametrize("content", ["all", "config", "state"])
async def test_objects_are_what_is_read_at_once(client, target, content):
    tree = target.element.tree
    kinds = {"all": pb.GetRequest.ALL, "config": pb.GetRequest.CONFIG, "state": pb.GetRequest.STATE}
    (found,) = await client.get("/", encoding=pb.JSON_IETF, type=kinds[content])
    at_once = dict(tree.read_json(tree.select_all(), ADMIN, content=content, with_defaults="report-all"))
    expected = {str(where): json.loads(json.dumps(value)) for where, value in at_once.items()}
    for changing in ("/ietf-system:system-state", "/ietf-netconf-monitoring:netconf-state"):
        expected.pop(changing, None)
        found.values.pop(changing, None)
    assert found.values == expected


async def test_others_get_their_turn_while_much_is_read(serve):
    target = await serve(sessions=3000)
    client = target.client()
    gaps: list[float] = []

    async def watch() -> None:
        last = time.thread_time()
        while True:
            await asyncio.sleep(0)
            gaps.append(time.thread_time() - last)
            last += gaps[-1]

    watcher = asyncio.create_task(watch())
    gc.collect()
    gc.freeze()  # as the management process does
    for encoding in (pb.JSON_IETF, pb.PROTO):
        for text in (SESSIONS, f"{SESSIONS}/session"):
            gaps.clear()
            began = time.thread_time()
            request = pb.GetRequest(path=[path(text)], encoding=encoding)
            await get.get(target.element.tree, ADMIN, request)
            assert max(gaps) < max(0.02, (time.thread_time() - began) / 4), (encoding, text)
            assert len(gaps) > 4
    watcher.cancel()
    gc.unfreeze()
    assert len((await client.get(f"{SESSIONS}/session/status", encoding=pb.JSON))[0].values) == 3000


async def test_more_than_an_answer_holds(monkeypatch, client):
    monkeypatch.setattr(get, "MAXIMUM_ANSWER", 4000)
    for encoding in (pb.PROTO, pb.JSON_IETF, pb.JSON, pb.ASCII):
        for text in ("/", SESSIONS, f"{SESSIONS}/session"):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.get(*[text] * 5, encoding=encoding)
            assert caught.value.code() is Code.RESOURCE_EXHAUSTED
            assert "ONCE" in caught.value.details()
    await client.get(f"{SESSIONS}/session/status")


async def test_what_is_put_together_from_chunks(monkeypatch, client):
    (whole,) = await client.get(SESSIONS, encoding=pb.JSON)
    (leaves,) = await client.get(SESSIONS)
    monkeypatch.setattr(snapshot, "CHUNK", 1)
    assert (await client.get(SESSIONS, encoding=pb.JSON))[0].values == whole.values
    assert (await client.get(SESSIONS))[0].values == leaves.values
