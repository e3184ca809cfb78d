"""What is in the tables against what is in the journals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

import asyncpg

from collector.fold import SESSION_EVENTS
from collector.schema import COUNTERS
from tests.chaos.elements import Element, Event, Real
from tests.chaos.world import TAKEOVER, World

STEADY = 3 * 10**9
"""Nanoseconds after its start, and before its end, within which a session may be absent from a tick."""


@dataclass
class Verdict:
    """All lists are of what is wrong; they name the first few.

    Attributes:
        events: in the journals; missing: not in the table, and thrown away by the element before they were
        read.
        real_events: in the journals of the product; real_starts, real_octets: sessions that began there, and
            what their ends account for.
        lost: not in the table and no row of `gaps` says so, or not thrown away at all.
        doubled: more than once in the table, a session that is live and past, a sample that is there twice.
        wrong: events and sessions, live and past, that are not what the journal says.
        unaccounted_ticks: between two samples, and no row of `gaps` says so.
        torn_ticks: the same of a session that was there, in a tick that others have samples of.
    """

    kills: dict[str, int] = field(default_factory=dict)
    events: int = 0
    real_events: int = 0
    real_starts: int = 0
    real_octets: int = 0
    missing: int = 0
    ticks: int = 0
    ticks_missing: int = 0
    takeovers: int = 0
    takeover_most: float = 0.0
    lost: list[Any] = field(default_factory=list)
    doubled: list[Any] = field(default_factory=list)
    wrong: list[Any] = field(default_factory=list)
    unaccounted_ticks: list[Any] = field(default_factory=list)
    torn_ticks: list[Any] = field(default_factory=list)
    late_takeovers: list[float] = field(default_factory=list)

    @property
    def good(self) -> bool:
        wrong = (self.lost, self.doubled, self.wrong, self.unaccounted_ticks, self.torn_ticks)
        return not (any(wrong) or self.late_takeovers)

    def as_dict(self) -> dict[str, Any]:
        found = {
            name: value[:5] if isinstance(value, list) else value for name, value in asdict(self).items()
        }
        return {"good": self.good, "kills_all": sum(self.kills.values()), **found}


def inside(number: int, ranges: Iterable[tuple[int, int]]) -> bool:
    return any(first <= number <= last for first, last in ranges)


async def judge(world: World) -> Verdict:
    """Look at everything, as of one moment. The world must have come to rest."""
    made = Verdict(kills=world.kills)
    made.takeovers = len(world.takeovers)
    made.takeover_most = round(max(world.takeovers, default=0), 2)
    made.late_takeovers = [round(seconds, 2) for seconds in world.takeovers if seconds > TAKEOVER]
    connection = await asyncpg.connect(world.database)
    try:
        async with connection.transaction(isolation="repeatable_read"):
            for element in world.elements:
                await Judge(connection, element, world.marks[element.name], made).look()
    finally:
        await connection.close()
    return made


class Judge:
    """Of one BNG; what it finds goes into the verdict."""

    def __init__(self, connection: asyncpg.Connection, element: Element, mark: int, made: Verdict) -> None:
        self._connection, self._element, self._mark, self._made = connection, element, mark, made
        self._name = element.name

    async def _ask(self, sql: str) -> list[asyncpg.Record]:
        """Rows of this BNG, which is $1."""
        return await self._connection.fetch(sql, self._name)

    async def look(self) -> None:
        cursor = (await self._ask("SELECT seq FROM cursors WHERE bng_id = $1"))[0][0]
        journal = {event.seq: event for event in self._element.events() if event.seq <= cursor}
        gaps = await self._ask("SELECT kind, first, last FROM gaps WHERE bng_id = $1")
        holes = {
            kind: [(row["first"], row["last"]) for row in gaps if row["kind"] == kind]
            for kind in ("events", "samples")
        }
        have = await self._events(journal, holes["events"])
        await self._sessions(journal, have)
        await self._ticks(holes["samples"])
        if isinstance(self._element, Real):
            self._made.real_events += len(journal)
            self._made.real_starts += sum(event.type == "session-start" for event in journal.values())
            ends = (event.counters or (0, 0) for event in journal.values() if event.type == "session-stop")
            self._made.real_octets += sum(sum(counters[:2]) for counters in ends)
            await self._samples(journal, holes["samples"])

    def _tell(self, found: list[Any], *what: Any) -> None:
        found.append((self._name, *what))

    async def _events(self, journal: Mapping[int, Event], holes: list[tuple[int, int]]) -> set[int]:
        """Each event once, and as the journal has it. Returns the numbers that are there."""
        columns = f"seq, time_ns, type, session_id, {', '.join(COUNTERS)}"
        have: set[int] = set()
        for row in await self._ask(f"SELECT {columns} FROM events WHERE bng_id = $1"):
            if row["seq"] in have:
                self._tell(self._made.doubled, "event", row["seq"])
            have.add(row["seq"])
            counters = tuple(row[name] for name in COUNTERS)
            read = Event(*tuple(row)[:4], None if None in counters else counters)
            if read != journal.get(row["seq"]):
                self._tell(self._made.wrong, "event", read, journal.get(row["seq"]))
        self._made.events += len(journal)
        if max(journal, default=0) < self._mark or len(journal) != max(journal, default=0):
            self._tell(self._made.lost, "the journal itself", len(journal), self._mark)
        for seq in journal.keys() - have:
            self._made.missing += 1
            if seq > self._element.trimmed or not inside(seq, holes):
                self._tell(self._made.lost, seq)
        return have

    async def _sessions(self, journal: Mapping[int, Event], have: set[int]) -> None:
        """Live and past ones. Of what has events that were not read, only that it is not both."""
        events: dict[str, list[Event]] = {}
        for event in journal.values():
            if event.session and event.type in SESSION_EVENTS:
                events.setdefault(event.session, []).append(event)
        live = {row[0] for row in await self._ask("SELECT session_id FROM sessions_active WHERE bng_id = $1")}
        rows = await self._ask("SELECT * FROM sessions_history WHERE bng_id = $1")
        past = {row["session_id"]: tuple(row[name] for name in COUNTERS) for row in rows}
        for session in (live & past.keys()) | (live | past.keys()) - events.keys():
            self._tell(self._made.doubled, "session", session, session in events)
        for session, told in events.items():
            if not all(event.seq in have for event in told):
                continue
            ends = [event for event in told if event.type == "session-stop"]
            right = past.get(session) == ends[-1].counters if ends else session in live
            if not right:
                self._tell(self._made.wrong, "session", session, session in live, past.get(session), ends)

    async def _ticks(self, holes: list[tuple[int, int]]) -> None:
        rows = await self._ask("SELECT DISTINCT tick FROM session_samples WHERE bng_id = $1 ORDER BY tick")
        ticks = [row[0] for row in rows]
        self._made.ticks += len(ticks)
        for before, after in pairwise(ticks):
            for tick in range(before + 1, after):
                self._made.ticks_missing += 1
                if not inside(tick, holes):
                    self._tell(self._made.unaccounted_ticks, tick)
        for row in await self._ask(
            "SELECT session_id, time, count(*) FROM session_samples WHERE bng_id = $1 "
            "GROUP BY 1, 2 HAVING count(*) > 1"
        ):
            self._tell(self._made.doubled, "sample", *row)

    async def _samples(self, journal: Mapping[int, Event], holes: list[tuple[int, int]]) -> None:
        """Who is counted from well before a tick until well after it is in that tick."""
        rows = await self._ask(
            "SELECT tick, (extract(epoch FROM min(time)) * 1000000000)::bigint AS time_ns, "
            "array_agg(session_id) AS sessions FROM session_samples WHERE bng_id = $1 GROUP BY tick"
        )
        begun = {e.session: e.time_ns for e in journal.values() if e.type == "policy-apply" and e.session}
        ended = {e.session: e.time_ns for e in journal.values() if e.type == "session-stop" and e.session}
        for row in rows:
            there = set(row["sessions"])
            for session, began in begun.items():
                steady = began + STEADY < row["time_ns"] < ended.get(session, 1 << 63) - STEADY
                if steady and session not in there and not inside(row["tick"], holes):
                    self._tell(self._made.torn_ticks, row["tick"], session)
