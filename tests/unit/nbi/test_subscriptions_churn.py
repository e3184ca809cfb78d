"""Subscriptions that come, change and go while they send, and clients that do not read: nothing is left."""

import asyncio

from tests.support.waiting import until
from tests.unit.nbi.subscribing import (
    SESSIONS,
    SN,
    delete,
    established,
    modify,
    on,
    on_change,
    periodic,
    stream,
)

KINDS = (
    (on("operational", SESSIONS, periodic(1)), periodic(2)),
    (
        on("operational", SESSIONS, on_change()),
        on_change("<yp:dampening-period>1</yp:dampening-period>"),
    ),
    (stream(), "<stream-xpath-filter>/*</stream-xpath-filter>"),
    (on("running", "", on_change()), ""),
)


async def test_changed_and_ended_while_they_send(serve):
    served = await serve(sessions=500, min_period=1)
    client, other = await served.client(), await served.client()
    for _ in range(5):
        identifiers = [await established(client, operation) for operation, _ in KINDS]
        for identifier, (_, change) in zip(identifiers, KINDS, strict=True):
            await client.ok(modify(identifier, change))
            await client.ok(modify(identifier, ""))
        for number, identifier in enumerate(identifiers):
            if number % 2:
                await client.ok(delete(identifier))
            else:
                await other.ok(f"<kill-subscription xmlns='{SN}'><id>{identifier}</id></kill-subscription>")
        client.notifications.clear()
    async with asyncio.timeout(60):
        while [task for task in asyncio.all_tasks() if task.get_name().endswith(("-subscription", "-watch"))]:
            await client.ok("<discard-changes/>")
    assert not served.server.subscriptions.subscriptions
    bus = served.element.tree.bus
    assert len(bus._watches) == 1, "that of the configured filters"
    assert not bus._subscriptions


async def test_a_client_that_does_not_read_is_killed_or_dismissed(serve):
    served = await serve(sessions=3000, min_period=1)
    one, other = [await served.client() for _ in range(2)]
    served.limit(stall_timeout=0.3)
    two = await served.client()
    kept = await established(other, stream())
    subscriptions = served.server.subscriptions.subscriptions
    for client in (two, one):
        sent = await established(client, on("operational", SESSIONS, periodic(1)))
    await until(lambda: subscriptions[sent].served.sent)
    await other.ok(f"<kill-session><session-id>{one.session_id}</session-id></kill-session>")
    await served.ended(two.session_id)
    assert list(subscriptions) == [kept]
