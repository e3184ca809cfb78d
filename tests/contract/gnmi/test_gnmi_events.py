"""The journal over gNMI: every event once, in order, from where the client left off."""

from __future__ import annotations

import grpc
import pytest

from telemetry.protocol import gnmi_ext_pb2 as ext
from telemetry.protocol import gnmi_pb2 as pb
from telemetry.protocol.paths import steps_of, to_text
from tests.contract.gnmi.client import Picture, history, snapshot
from tests.contract.gnmi.element import FIRST_EVENT, make_session

EVENTS = "/aether-events:events/event"
SECOND = 1_000_000_000
STREAM, ONCE, POLL = pb.SubscriptionList.STREAM, pb.SubscriptionList.ONCE, pb.SubscriptionList.POLL
Code = grpc.StatusCode


def numbers(picture: Picture) -> list[int]:
    """The seq of each notification; all must be atomic, with the entry as prefix."""
    assert all(notification.atomic for notification in picture.notifications)
    return [int(notification.prefix.elem[-1].key["seq"]) for notification in picture.notifications]


async def next_number(subscription) -> int:
    (number,) = numbers(await subscription.update())
    return number


async def test_from_the_oldest_and_then_live(target, client):
    subscription = await client.subscribe(EVENTS, mode=pb.ON_CHANGE)
    first = await subscription.until_sync()
    assert numbers(first) == [1, 2, 3]
    assert [n.timestamp for n in first.notifications] == [FIRST_EVENT + n * SECOND for n in range(3)]
    for number in range(4, 8):
        target.element.journal.append("session-stop", make_session(number))
    assert [await next_number(subscription) for _ in range(4)] == [4, 5, 6, 7]


async def test_what_a_notification_looks_like(client):
    subscription = await client.subscribe(EVENTS, mode=pb.TARGET_DEFINED)
    notification = (await subscription.message()).update
    assert to_text(steps_of(notification.prefix)) == f"{EVENTS}[seq=1]"
    found = {to_text(steps_of(update.path)): update.val for update in notification.update}
    assert found["/seq"].uint_val == 1
    assert found["/type"].string_val == "session-start"
    assert found["/time"].string_val.startswith("2026-09-21T")


async def test_some_leaves_only(client):
    picture = await client.once(f"{EVENTS}/type")
    assert numbers(picture) == [1, 2, 3]
    assert all(known.endswith("/type") for known in picture.values)


async def test_what_the_user_may_not_read_is_left_out(target):
    blind = target.client("blind")
    picture = await blind.once(EVENTS)
    assert numbers(picture) == [1, 2, 3]
    assert not any(known.endswith("/username") for known in picture.values)
    assert f"{EVENTS}[seq=2]/session-id" in picture.values


async def test_once_and_poll(target, client):
    assert numbers(await client.once(EVENTS)) == [1, 2, 3]
    subscription = await client.subscribe(EVENTS, list_mode=POLL)
    assert numbers(await subscription.until_sync()) == [1, 2, 3]
    target.element.journal.append("session-stop", make_session(1))
    assert numbers(await subscription.poll()) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (FIRST_EVENT, [1, 2, 3]),
        (FIRST_EVENT + 1, [2, 3]),
        (FIRST_EVENT + 2 * SECOND, [3]),
        (FIRST_EVENT + 3 * SECOND, []),
        (0, [1, 2, 3]),
    ],
)
async def test_replay_from_a_time(target, client, start, expected):
    subscription = await client.subscribe(EVENTS, mode=pb.ON_CHANGE, extension=[history(start)])
    assert numbers(await subscription.until_sync()) == expected
    target.element.journal.append("session-stop", make_session(1))
    assert await next_number(subscription) == 4


async def test_replay_of_a_range_ends(client):
    extension = [history(FIRST_EVENT, FIRST_EVENT + 2 * SECOND)]
    subscription = await client.subscribe(EVENTS, mode=pb.ON_CHANGE, extension=extension)
    assert numbers(await subscription.until_sync()) == [1, 2]
    assert (await subscription.status())[0] is Code.OK


async def test_updates_only_is_live_only(target, client):
    subscription = await client.subscribe(EVENTS, mode=pb.ON_CHANGE, updates_only=True)
    assert numbers(await subscription.until_sync()) == []
    target.element.journal.append("session-stop", make_session(1))
    assert await next_number(subscription) == 4


async def test_more_than_is_retained(serve):
    target = await serve(events=20, retain=5)
    client = target.client()
    assert numbers(await client.once(EVENTS)) == [16, 17, 18, 19, 20]
    subscription = await client.subscribe(EVENTS, mode=pb.ON_CHANGE, extension=[history(FIRST_EVENT)])
    assert await subscription.status() == (Code.DATA_LOSS, "oldest-seq=16")
    retained = [history(FIRST_EVENT + 15 * SECOND)]
    subscription = await client.subscribe(EVENTS, mode=pb.ON_CHANGE, extension=retained)
    assert numbers(await subscription.until_sync()) == [16, 17, 18, 19, 20]


async def test_a_reader_that_falls_behind_is_told(serve):
    target = await serve(events=5, retain=5)
    subscription = await target.client().subscribe(EVENTS, mode=pb.ON_CHANGE)
    await subscription.until_sync()
    for number in range(20):
        target.element.journal.append("session-stop", make_session(number))
    assert await subscription.status() == (Code.DATA_LOSS, "oldest-seq=21")


async def test_many_events_in_order(serve):
    target = await serve(events=3000)
    subscription = await target.client().subscribe(EVENTS, mode=pb.ON_CHANGE)
    assert numbers(await subscription.until_sync()) == list(range(1, 3001))


async def test_the_journal_and_its_bounds(target, client):
    subscription = await client.subscribe("/aether-events:events", mode=pb.ON_CHANGE)
    first = await subscription.until_sync()
    assert first.values["/aether-events:events/journal/newest-seq"] == 3
    assert f"{EVENTS}[seq=3]/type" in first.values
    target.element.journal.append("session-stop", make_session(1))
    seen = Picture()
    while len(seen.notifications) < 2:
        seen.take((await subscription.message()).update)
    assert seen.values["/aether-events:events/journal/newest-seq"] == 4
    assert f"{EVENTS}[seq=4]/type" in seen.values


async def test_one_entry_is_no_log(client):
    picture = await client.once(f"{EVENTS}[seq=2]")
    assert picture.values[f"{EVENTS}[seq=2]/type"] == "session-start"
    assert len({notification.timestamp for notification in picture.notifications}) == 1


@pytest.mark.parametrize(
    ("extension", "mode", "expected"),
    [
        (history(6, 5), STREAM, Code.INVALID_ARGUMENT),
        (history(-1), STREAM, Code.INVALID_ARGUMENT),
        (history(1), ONCE, Code.INVALID_ARGUMENT),
        (history(1), POLL, Code.INVALID_ARGUMENT),
        (snapshot(1), STREAM, Code.INVALID_ARGUMENT),
        (snapshot(1), POLL, Code.INVALID_ARGUMENT),
        (snapshot(2**62), ONCE, Code.UNIMPLEMENTED),
        (snapshot(-1), ONCE, Code.INVALID_ARGUMENT),
        (ext.Extension(history=ext.History()), STREAM, Code.INVALID_ARGUMENT),
    ],
)
async def test_histories_that_are_refused(client, extension, mode, expected):
    terms = {"mode": pb.ON_CHANGE, "list_mode": mode, "extension": [extension]}
    code, message = await (await client.subscribe(EVENTS, **terms)).status()
    assert (code, bool(message)) == (expected, True)


async def test_a_range_without_time_in_it_is_empty(client):
    subscription = await client.subscribe(EVENTS, mode=pb.ON_CHANGE, extension=[history(5, 5)])
    assert numbers(await subscription.until_sync()) == []
    assert (await subscription.status())[0] is Code.OK


async def test_updates_only_of_a_range_begins_with_the_sync_response(client):
    extension = [history(FIRST_EVENT + SECOND, FIRST_EVENT + 3 * SECOND)]
    subscription = await client.subscribe(EVENTS, mode=pb.ON_CHANGE, extension=extension, updates_only=True)
    assert (await subscription.message()).sync_response
    assert [await next_number(subscription) for _ in range(2)] == [2, 3]
    assert (await subscription.status())[0] is Code.OK


async def test_the_log_as_it_was(serve):
    target = await serve(events=5, retain=3)
    client = target.client()
    for after, expected in ((2, [3]), (3, [3, 4]), (3.5, [3, 4]), (60, [3, 4, 5])):
        at = snapshot(FIRST_EVENT + int(after * SECOND))
        assert numbers(await client.once(EVENTS, extension=[at])) == expected
    lost = await client.subscribe(EVENTS, list_mode=ONCE, extension=[snapshot(FIRST_EVENT + SECOND)])
    assert await lost.status() == (Code.DATA_LOSS, "oldest-seq=3")
