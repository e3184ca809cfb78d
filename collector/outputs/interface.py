"""What an output is to its relay."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

Message = Mapping[str, str]
"""One event in the fields and texts of the output."""


class Unavailable(Exception):
    """The output cannot be used now; the text says why. The relay tries again."""


class Displaced(Exception):
    """The output is not where the relay believed it: somebody else wrote, or it lost what it had.

    Attributes:
        position: where it is, None for nowhere.
    """

    def __init__(self, position: int | None) -> None:
        super().__init__(position)
        self.position = position


@dataclass(frozen=True, slots=True)
class Pace:
    """What a relay makes besides the events of the journal.

    Attributes:
        interim: seconds between SESSION_UPDATEs with counters of each session, 0 for none.
        health: seconds between BNG_HEALTH_UPDATEs, 0 for none.
    """

    interim: float = 30.0
    health: float = 5.0


class Output(Protocol):
    """A place that keeps, with the messages themselves, how far it got with each BNG.

    That position (`events.number` in PostgreSQL) is moved in the same atomic step in which messages are
    added. So a kill in between repeats nothing, two relays of one BNG cannot both add, and an output that
    fell back to an older state (a snapshot) is brought up to date from where that state ends.

    Attributes:
        name: as configured.
        pace: what else it gets.
        depth: messages that it keeps; an output that knows no position begins that many events ago.
    """

    name: str
    pace: Pace
    depth: int

    async def positions(self, bng_ids: Collection[str]) -> dict[str, int | None]:
        """How far it got; None for a BNG that it never heard of. Raises Unavailable."""

    async def publish(
        self, bng_id: str, after: int | None, upto: int | None, messages: Sequence[Message]
    ) -> None:
        """Add messages and move the position from `after` to `upto`; both or neither.

        With `upto` None the position stays. Raises Displaced when the position is not `after`, Unavailable
        when it is not known whether anything was added.
        """

    async def close(self) -> None:
        """End connections. Raises nothing."""
