"""Past sessions are searched by indexes: what is found is what reading all of them finds, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from collector import migrations
from oss import database
from oss.domain import sessions
from oss.domain.sessions import Filter, PastSession
from tests.support import postgres

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]

ROWS = """
    INSERT INTO plans (name, download_kbps, upload_kbps) VALUES ('gold', 1000, 1000);
    INSERT INTO customers (name, created)
        SELECT 'Ada ' || n, now() - interval '9 days' FROM generate_series(1, 12) n;
    INSERT INTO services (customer_id, plan_id, bng_id, remote_id, circuit_id, created)
        SELECT c.id, p.id, 'bng-01', 'an-1', '1/0/' || c.id, now() - interval '9 days'
        FROM customers c, plans p;
    -- a line that was sold anew: what was before is not its new customer's
    UPDATE services SET created = now() - interval '2 hours' WHERE circuit_id = '1/0/7';
    INSERT INTO sessions_history (bng_id, session_id, remote_id, circuit_id, username, mac_address,
            ip_address, started, stopped)
        SELECT 'bng-01', lpad(to_hex(n), 16, '0'), 'an-' || n % 3, '1/0/' || n % 40,
            CASE WHEN n % 5 > 0 THEN 'user-' || n % 40 END,
            CASE WHEN n % 7 > 0 THEN ('02:00:00:00:00:' || lpad(to_hex(n % 256), 2, '0'))::macaddr END,
            '100.64.0.0'::inet + n, now() - interval '4 hours' - n * interval '1 minute',
            now() - (n / 2) * interval '1 minute'
        FROM generate_series(1, 400) n"""


@pytest.fixture
async def pool(cluster: postgres.Cluster, request: pytest.FixtureRequest) -> AsyncIterator[asyncpg.Pool]:
    dsn = cluster.create(request.node.name)
    await migrations.migrate(dsn)
    await database.migrate(dsn)
    made = await database.open_pool(dsn)
    await made.execute(ROWS)
    await made.execute("ANALYZE")
    yield made
    await made.close()


async def everything(
    pool: asyncpg.Pool, criteria: Filter, sort: sessions.HistorySort, order: sessions.Order, limit: int
) -> list[PastSession]:
    found: list[PastSession] = []
    cursor = None
    while True:
        page = await sessions.history(pool, criteria, sort, order, limit, cursor)
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            return found
        assert len(page.items) == limit


def matches(session: PastSession, text: str) -> bool:
    own = (
        *(session.username, session.mac_address, session.ip_address, session.session_id),
        *(session.remote_id, session.circuit_id),
    )
    line = " ".join(each or "" for each in own)
    return text.lower() in line.lower() or text.lower() in (session.customer_name or "").lower()


async def test_a_search_finds_what_reading_everything_finds(pool: asyncpg.Pool) -> None:
    known = await everything(pool, Filter(), "stopped", "desc", 500)
    assert len(known) == 400
    for text in (
        "user-1",
        "USER-39",
        "1/0/7",
        "an-1",
        "00:1f",
        "100.64.1.",
        "ada 1",
        "Ada",
        "7",
        "nobody",
        "%",
    ):
        expected = sorted(s.session_id for s in known if matches(s, text))
        assert bool(expected) == (text not in ("nobody", "%")), text
        for sort, order in (("stopped", "desc"), ("username", "asc"), ("out_octets", "desc")):
            found = await everything(pool, Filter(q=text), sort, order, 17)  # type: ignore[arg-type]
            assert sorted(s.session_id for s in found) == expected, (text, sort)
        times = [s.stopped for s in await everything(pool, Filter(q=text), "stopped", "desc", 17)]
        assert times == sorted(times, reverse=True), "one order, wherever they were found"
    owned = {(s.session_id, s.customer_name) for s in known if s.customer_name == "Ada 7"}
    assert owned, "of who has the line now"
    whole = {
        (s.session_id, s.customer_name)
        for s in await everything(pool, Filter(q="Ada 7"), "stopped", "asc", 5)
    }
    assert whole == owned


async def test_there_is_an_index_for_it(pool: asyncpg.Pool) -> None:
    """Whatever PostgreSQL thinks of it for so few rows."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off")
        plan = await connection.fetch(
            f"EXPLAIN SELECT 1 FROM sessions_history s WHERE {sessions._INDEXED} ILIKE '%user-7%'"
        )
    assert any("sessions_history_searched" in row[0] for row in plan)
