"""What requests on their way in may take, of one user and of all."""

from __future__ import annotations

import asyncio

import pytest

from nbi import intake
from nbi.protocol.names import BASE_NS
from tests.unit.nbi.subscribing import SHAPING

NC = {"nc": BASE_NS}
TAG = "nc:rpc-error/nc:error-tag"
PIECE = b"\n#60000\n" + b" " * 60_000
EDIT = (
    "<edit-config><target><candidate/></target><config>"
    f"<shaping-profiles xmlns='{SHAPING}'>"
    + "".join(f"<profile><name>p{number}</name></profile>" for number in range(2_000))
    + "</shaping-profiles></config></edit-config>"
)


async def until(condition) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("limit", ["MAX_HELD_BY_USER", "MAX_HELD"])
async def test_requests_that_do_not_end(serve, monkeypatch, limit):
    """The session that goes beyond is told why, and ends; what others have begun goes on."""
    monkeypatch.setattr(intake, limit, 500_000)
    served = await serve(1)
    clients = [await served.client() for _ in range(4)]
    for client in clients[:3]:
        for _ in range(2):
            client.writer.write(PIECE)
    await until(lambda: sum(session.held for session in served.server.sessions.values()) == 360_000)
    clients[3].writer.write(PIECE * 3)
    reply = await clients[3].reply()
    assert reply.findtext(TAG, None, NC) == "resource-denied"
    whose = "of this user" if limit == "MAX_HELD_BY_USER" else "of all users"
    assert whose in reply.findtext("nc:rpc-error/nc:error-message", None, NC)
    assert await clients[3].ended()
    clients[0].writer.write(b"\n#5\n<rpc>\n##\n")
    assert (await clients[0].reply()).findtext(TAG, None, NC) == "malformed-message"


async def test_large_requests_wait_for_each_other(serve):
    """Until they are carried out, not until somebody has read the reply."""
    served = await serve(1)
    large = served.server.intake.large = asyncio.Semaphore(1)
    clients = [await served.client() for _ in range(3)]
    async with served.element.tree.datastores._change:
        for client in clients:
            client.request(EDIT)
        await until(lambda: large.locked() and len(large._waiters or ()) == 2)
        assert sum(session.held >= len(EDIT) for session in served.server.sessions.values()) == 3
    for client in clients:
        assert (await client.reply()).find("nc:ok", NC) is not None
    assert not large.locked()


async def test_a_session_that_ends_while_it_waits(serve):
    served = await serve(1)
    large = served.server.intake.large = asyncio.Semaphore(1)
    first, second, third = [await served.client() for _ in range(3)]
    async with served.element.tree.datastores._change:
        first.request(EDIT)
        await until(large.locked)
        second.request(EDIT)
        await until(lambda: len(large._waiters or ()) == 1)
        served.server.sessions[second.session_id].end("killed")
        await served.ended(second.session_id)
    assert (await first.reply()).find("nc:ok", NC) is not None
    await third.ok(EDIT)


@pytest.mark.parametrize(
    "asked",
    ["<rpc message-id='{}'><nonsense/></rpc>", "<rpc id='{}'><get/></rpc>"],
    ids=["error", "rejected"],
)
async def test_a_large_error_that_nobody_reads_holds_nobody_up(serve, asked):
    """The reply of an error has the attributes of the request, which may be as large as every buffer."""
    served = await serve(1)
    large = served.server.intake.large = asyncio.Semaphore(1)
    slow, other = [await served.client() for _ in range(2)]
    slow.write(asked.format("x" * 2_000_000).replace("<rpc", f"<rpc xmlns='{BASE_NS}'"))
    await until(lambda: served.server.totals.out_rpc_errors)
    await asyncio.sleep(0.1)
    assert served.server.sessions[slow.session_id]._busy
    assert not large.locked()
    await other.ok(EDIT)
