"""The query of docs/operations.md that tells who had a public address and port at a time."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from collector.migrations import migrate
from tests.support import postgres

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
ADDRESS = "203.0.113.7"
ONE, TWO = (39936, 40959), (40960, 41983)

EVENTS = (
    # minutes after noon, type, session, ports
    (-50, "session-start", "a", None),
    (-49, "policy-apply", "a", ONE),
    (-48, "policy-apply", "b", TWO),
    (-20, "session-update", "a", ONE),
    (10, "session-stop", "a", ONE),
    (20, "policy-apply", "c", ONE),
    (30, "policy-apply", "c", None),  # the pool was taken away
)


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with postgres.cluster() as cluster:
        yield cluster.create("nat")


def query(at: datetime) -> str:
    """The query as the page has it, for another time."""
    (found,) = re.findall(r"```sql\n(WITH asked.*?)```", PAGE.read_text(), re.DOTALL)
    return found.replace("2026-11-25 12:00:00+00", at.isoformat())


@pytest.mark.parametrize(
    ("minutes", "holder"), [(-60, None), (-30, "a"), (0, "a"), (15, None), (25, "c"), (35, None)]
)
def test_who_had_an_address_and_port(database: str, minutes: int, holder: str | None) -> None:
    async def ask() -> list[str]:
        connection = await asyncpg.connect(database)
        try:
            await connection.execute("DELETE FROM events")
            for seq, (after, kind, session, ports) in enumerate(EVENTS):
                await connection.execute(
                    "INSERT INTO events (bng_id, seq, time, time_ns, instance_id, type, session_id, "
                    "username, nat_address, nat_port_first, nat_port_last) "
                    "VALUES ('bng-01', $1, $2, 0, $3, $4, $5, $5, $6::text::inet, $7, $8)",
                    seq,
                    NOON + timedelta(minutes=after),
                    uuid.UUID(int=1),
                    kind,
                    session,
                    ADDRESS if ports else None,
                    *(ports or (None, None)),
                )
            rows = await connection.fetch(query(NOON + timedelta(minutes=minutes)))
            return [row["username"] for row in rows]
        finally:
            await connection.close()

    asyncio.run(migrate(database))
    assert asyncio.run(ask()) == ([holder] if holder else [])
