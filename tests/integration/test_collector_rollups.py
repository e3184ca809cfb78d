"""Rollups against a real PostgreSQL: nothing that was counted is lost, nothing is counted twice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from collector import rollup, writer
from tests.support import postgres
from tests.support.samples import NOON, Store

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]

A, B = "a" * 16, "b" * 16


@pytest.fixture
async def store(cluster: postgres.Cluster, request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    made = await Store.open(cluster.create(request.node.name))
    yield made
    await made.connection.close()


async def test_what_is_kept_of_a_minute(store: Store) -> None:
    for seconds, total in (
        (1, 10),
        (11, 20),
        (21, 900),
        (31, 5),
        (41, 7),
        (61, 9),
        (71, 11),
        (200, 50),
        (210, 51),
    ):
        await store.sample(seconds, a=total)
    assert await store.turn(4) > 0
    assert await store.kept("1m") == [
        (1, 0, 10),  # the session begins
        (21, 0, 900),  # before the counter went down
        (31, 0, 5),  # and after
        (41, 5, 7),
        (71, 2, 11),
        (200, 0, 50),  # after a gap
        (210, 2, 51),
    ]
    assert await store.passed("session_samples_1m") == await store.passed("session_samples") == 890 + 51
    assert await store.turn(4) == 0, "nothing is made twice"


async def test_levels_agree_with_samples_whatever_happens(store: Store) -> None:
    """More than an hour with restarts, gaps, late samples, and three collectors that roll up at once."""
    random.seed(5)
    totals = {"a": 0, "b": 0}
    late: list[tuple[float, dict[str, int]]] = []
    others = [await asyncpg.connect(store.dsn) for _ in range(2)]
    seconds, turned = 0.0, 0.0
    while seconds < 1.2 * 3600:
        seconds += random.choice((10, 10, 10, 10.5, 400 if random.random() < 0.05 else 10))
        for name in totals:
            totals[name] = (
                random.randrange(50) if random.random() < 0.02 else totals[name] + random.randrange(999)
            )
        if random.random() < 0.02:
            late.append((seconds, dict(totals)))
        else:
            await store.sample(seconds, **totals)
        if seconds - turned > 600:
            turned = seconds
            now = NOON + timedelta(seconds=seconds)
            await asyncio.gather(
                *(rollup.turn(connection, now) for connection in (store.connection, *others))
            )
        if len(late) > 3:
            await store.sample(late[0][0], **late[0][1])
            late.pop(0)
    for at, counted in late:
        await store.sample(at, **counted)
    await store.turn(5 * 60)
    await store.turn(5 * 60)
    for connection in others:
        await connection.close()
    for session in (A, B):
        raw = await store.passed("session_samples", session)
        assert raw > 50_000
        for level, step in (("1m", 60), ("5m", 300), ("1h", 3600)):
            assert await store.passed(f"session_samples_{level}", session) == raw, level
            counted = await store.connection.fetch(
                f"""SELECT bin, r.n, s.n FROM
                    (SELECT date_bin('{step} s', time, '2000-01-01 00:00+00') AS bin, sum(samples) AS n,
                            count(*) FILTER (WHERE samples > 0) AS ends
                     FROM session_samples_{level} WHERE session_id = $1 GROUP BY 1) r
                    FULL JOIN
                    (SELECT date_bin('{step} s', time, '2000-01-01 00:00+00') AS bin, count(*) AS n
                     FROM session_samples WHERE session_id = $1 GROUP BY 1) s USING (bin)
                    WHERE r.n IS DISTINCT FROM s.n OR ends <> 1""",
                session,
            )
            assert counted == [], "each window once, with all of its samples"
    assert await store.connection.fetchval("SELECT count(*) FROM rollups_late") == 0


async def test_a_transaction_that_began_before_the_window_was_closed_is_waited_for(store: Store) -> None:
    """It does not know that its sample is late, so no note would tell of it."""
    other = await asyncpg.connect(store.dsn)
    await writer.prepare(other)
    transaction = other.transaction()
    await transaction.start()
    await store.sample(30, on=other, a=7)
    turn = asyncio.create_task(store.turn(2))
    await asyncio.sleep(0.3)
    assert not turn.done()
    await transaction.commit()
    assert await turn > 0
    assert await store.kept("1m") == [(30, 1, 7)]
    assert await store.connection.fetchval("SELECT count(*) FROM rollups_late") == 0
    await other.close()
