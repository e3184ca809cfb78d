"""What is in the tables against what was in the journals."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

from tests.chaos.world import TAKEOVER, World


@dataclass
class Verdict:
    """All lists are of what is wrong; they name the first few.

    Attributes:
        events: in the journals; missing: not in the table, and thrown away by the element before they were
        read.
        lost: not in the table and no row of `gaps` says so, or not thrown away at all.
        doubled: more than once in the table, or a session that is live and past.
        wrong: sessions whose end is not what the event said.
        unaccounted_ticks: between two samples, and no row of `gaps` says so.
    """

    kills: dict[str, int] = field(default_factory=dict)
    events: int = 0
    missing: int = 0
    ticks: int = 0
    ticks_missing: int = 0
    takeovers: int = 0
    takeover_most: float = 0.0
    lost: list[Any] = field(default_factory=list)
    doubled: list[Any] = field(default_factory=list)
    wrong: list[Any] = field(default_factory=list)
    unaccounted_ticks: list[Any] = field(default_factory=list)
    late_takeovers: list[float] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not (self.lost or self.doubled or self.wrong or self.unaccounted_ticks or self.late_takeovers)

    def as_dict(self) -> dict[str, Any]:
        found = {
            name: value[:5] if isinstance(value, list) else value for name, value in asdict(self).items()
        }
        return {"good": self.good, "kills_all": sum(self.kills.values()), **found}


def inside(number: int, ranges: list[tuple[int, int]]) -> bool:
    return any(first <= number <= last for first, last in ranges)


async def judge(world: World) -> Verdict:
    """Look at everything. The world must have come to rest."""
    made = Verdict(kills=world.kills)
    made.takeovers = len(world.takeovers)
    made.takeover_most = round(max(world.takeovers, default=0), 2)
    made.late_takeovers = [round(seconds, 2) for seconds in world.takeovers if seconds > TAKEOVER]
    rows = await world.ask("SELECT bng_id, kind, first, last FROM gaps")
    for element in world.elements:
        name = element.name
        holes = {
            kind: [(r["first"], r["last"]) for r in rows if (r["bng_id"], r["kind"]) == (name, kind)]
            for kind in ("events", "samples")
        }
        found = [r[0] for r in await world.ask("SELECT seq FROM events WHERE bng_id = $1", name)]
        have = set(found)
        made.events += element.newest
        made.doubled += [
            (name, "event", seq) for seq in have if len(found) > len(have) and found.count(seq) > 1
        ]
        for seq in range(1, element.newest + 1):
            if seq not in have:
                made.missing += 1
                if seq > element.trimmed or not inside(seq, holes["events"]):
                    made.lost.append((name, seq))
        ticks = sorted(
            r[0] for r in await world.ask("SELECT DISTINCT tick FROM session_samples WHERE bng_id = $1", name)
        )
        made.ticks += len(ticks)
        for before, after in pairwise(ticks):
            for tick in range(before + 1, after):
                made.ticks_missing += 1
                if not inside(tick, holes["samples"]):
                    made.unaccounted_ticks.append((name, tick))
    both = "SELECT bng_id, session_id FROM sessions_active JOIN sessions_history USING (bng_id, session_id)"
    made.doubled += [(r["bng_id"], "session", r["session_id"]) for r in await world.ask(both)]
    # whose start and stop were read, one after the other, must have ended as the stop said
    made.wrong = [
        (r["bng_id"], r["session_id"])
        for r in await world.ask(
            """SELECT e.bng_id, e.session_id FROM events e
               JOIN events s ON s.bng_id = e.bng_id AND s.seq = e.seq - 1 AND s.type = 'session-start'
               LEFT JOIN sessions_history h ON h.bng_id = e.bng_id AND h.session_id = e.session_id
               WHERE e.type = 'session-stop' AND (h.session_id IS NULL OR h.terminate_cause IS NOT NULL AND
                   (h.in_octets, h.out_discards) IS DISTINCT FROM (e.in_octets, e.out_discards))"""
        )
    ]
    return made
