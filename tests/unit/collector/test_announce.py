"""Notifications go together, after what they are about, and none waits for another."""

import asyncio

from collector.announce import Announcer, announce, announced
from tests.support.waiting import until


class Connection:
    """Something that can be announced with."""


def test_what_a_connection_announced_is_told_once():
    one, other = Connection(), Connection()
    announce(one, "aether_samples", bng_id="bng-01", tick=7)
    announce(one, "aether_health", bng_id="bng-01")
    assert announced(one) == [
        ("aether_samples", '{"bng_id":"bng-01","tick":7}'),
        ("aether_health", '{"bng_id":"bng-01"}'),
    ]
    assert announced(one) == announced(other) == []


async def test_the_first_at_once_and_the_rest_together():
    sent = []

    async def send(said):
        sent.append(said)

    announcer = Announcer(send)
    announcer.add([("a", "1")])
    await asyncio.sleep(0)
    assert sent == [[("a", "1")]]
    for number in (2, 3, 2):
        announcer.add([("a", str(number))])
    assert len(sent) == 1
    await until(lambda: len(sent) > 1)
    assert sent[1:] == [[("a", "2"), ("a", "3")]]
    await until(lambda: announcer._task.done())
    announcer.add([("a", "4")])
    await asyncio.sleep(0)
    assert sent[-1] == [("a", "4")]
    announcer.close()


async def test_one_that_fails_costs_only_itself():
    sent = []

    async def send(said):
        sent.append(said)
        if len(sent) == 1:
            raise OSError("connection lost")

    announcer = Announcer(send)
    announcer.add([("a", "1")])
    await asyncio.sleep(0)
    announcer.add([("a", "2")])
    await until(lambda: len(sent) > 1)
    assert sent == [[("a", "1")], [("a", "2")]]


def test_a_payload_is_one_that_postgresql_takes():
    one = Connection()
    announce(one, "aether_sessions", bng_id="b" * 255, seq=1, session_ids=["ü" * 100] * 100)
    announce(one, "aether_sessions", bng_id="b", seq=2, session_ids=["x" * 10_000])
    announce(one, "aether_bngs", bng_id="b" * 10_000)
    long, short = announced(one)
    assert 2000 < len(long[1].encode()) < 8000
    assert short[1] == '{"bng_id":"b","seq":2,"session_ids":[]}'
