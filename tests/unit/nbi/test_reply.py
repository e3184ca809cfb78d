"""libyang as the judge of whole replies."""

import asyncio
from collections.abc import Iterator

import pytest
from lxml import etree

from nbi.server import MODULES_DIR
from yang.datastore.context import load_context


async def test_libyang_reads_the_whole_reply(serve):
    """As the viewer, who is not shown secrets."""
    served = await serve(500, user="viewer")
    client = await served.client()
    data = (await client.rpc("<get/>")).find("{*}data")
    tops = {etree.QName(child).localname for child in data}
    assert {
        "bng",
        "shaping-profiles",
        "sessions",
        "events",
        "netconf-state",
        "netconf",
        "yang-library",
    } <= tops
    context = load_context([MODULES_DIR])
    text = "".join(etree.tostring(child, encoding="unicode") for child in data)
    tree = context.parse_data_mem(text, "xml", parse_only=True, strict=True)
    assert tree is not None
    tree.free()


async def test_every_state_record_of_the_server_is_valid(serve):
    served = await serve()
    client = await served.client()
    reply = await client.rpc(
        "<get><filter><netconf-state xmlns='urn:ietf:params:xml:ns:yang:ietf-netconf-monitoring'/>"
        "<netconf xmlns='urn:ietf:params:xml:ns:netmod:notification'/></filter></get>"
    )
    context = load_context([MODULES_DIR])
    text = "".join(etree.tostring(child, encoding="unicode") for child in reply.find("{*}data"))
    tree = context.parse_data_mem(text, "xml", strict=True, validate_present=True)
    assert tree is not None
    tree.free()


@pytest.mark.parametrize("predicate", ["s:username='nobody'", "contains(s:username,'nobody')"])
async def test_others_run_while_nothing_is_found(serve, monkeypatch, predicate):
    """A filter that finds nothing looks at all sessions before there is anything to send."""
    served = await serve(2_000)
    laps = 0
    seen = []

    async def count() -> None:
        nonlocal laps
        while True:
            laps += 1
            await asyncio.sleep(0)

    def watched() -> Iterator[object]:
        for session in sessions.by_id.values():
            seen.append(laps)
            yield session

    sessions = served.element.tree.provider("/aether-subscriber:sessions/session")
    monkeypatch.setattr(sessions, "iter", watched)
    client = await served.client()
    counter = asyncio.create_task(count())
    reply = await client.rpc(
        "<get><filter type='xpath' xmlns:s='urn:aether:yang:aether-subscriber' "
        f'select="//s:session[{predicate}]"/></get>'
    )
    counter.cancel()
    assert len(reply.find("{*}data")) == 0
    assert len(seen) == 2_000
    assert seen[-1] - seen[0] >= 5
