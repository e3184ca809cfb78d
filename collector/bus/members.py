"""Publishers that are alive, by messages that they renew beside the seats: by this they divide the targets as
collectors do by PostgreSQL (`collector.balance`). No clocks are compared."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from collector.balance import Collector
from collector.bus.chain import Seat, Watch
from collector.bus.jetstream import MOST_TTL, Bus, Unavailable

MOST_MEMBERS = 256
MOST_TOLD = 128 << 10
"""Octets of a member's message. Who has more targets than go into it says so, and counts as having all."""
FORGET = 3600.0
"""Seconds of silence after which a member's message is taken away."""
SETTLED = 2.0
"""Times of its ttl that a member must have been alive for before it is given what another one holds."""


@dataclass(frozen=True, slots=True)
class Member:
    """What a publisher says of itself.

    Attributes:
        owner: its name.
        seat: its message, as one of a seat: who is silent for its ttl is dead.
        age: seconds since it started.
        targets: those that it is configured with and wants; None if they are too many to tell.
    """

    owner: str
    seat: Seat
    age: float
    targets: frozenset[str] | None

    def octets(self) -> bytes:
        """Its message."""
        told: dict[str, Any] = {"owner": self.owner, "tenure": self.seat.tenure, "ttl": self.seat.ttl}
        told.update(age=self.age, targets=sorted(self.targets or ()))
        octets = json.dumps(told).encode()
        return octets if len(octets) <= MOST_TOLD else json.dumps({**told, "targets": None}).encode()


def read(octets: bytes, seq: int) -> Member | None:
    """Of a member's message; None of one that is none."""
    with suppress(ValueError, KeyError, TypeError, OverflowError, RecursionError):
        told = json.loads(octets) if len(octets) <= MOST_TOLD else {}
        owner, tenure, targets = told["owner"], told["tenure"], told["targets"]
        ttl, age = float(told["ttl"]), float(told["age"])
        texts = [owner, tenure, *(targets or ())]
        if all(isinstance(text, str) for text in texts) and 0 < ttl <= MOST_TTL and age >= 0:
            named = None if targets is None else frozenset(targets)
            return Member(owner, Seat(tenure, ttl, False, seq), age, named)
    return None


class Members:
    """The publishers of a bus, of which this is one.

    Args:
        bus: which bus.
        me: name of this one.
        ttl: seconds after which it counts as dead when it is silent.
        clock: seconds, monotonic.
    """

    def __init__(self, bus: Bus, me: str, ttl: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._bus, self._me, self._ttl, self._clock = bus, me, ttl, clock
        self._began, self._tenure = clock(), uuid4().hex[:16]
        self._watches: dict[str, tuple[Watch, int, float]] = {}

    async def alive(self, wants: Collection[str], holders: Mapping[str, str]) -> dict[str, Collector]:
        """Say that this one is alive; who else is. `holders`: of each target that is held, its holder's name.

        Raises Unavailable.
        """
        age = self._clock() - self._began
        mine = Member(self._me, Seat(self._tenure, self._ttl), age, frozenset(wants))
        await self._bus.tell_member(self._me, mine.octets())
        held = list(holders.values())
        found = {}
        for member in await self._living():
            everything = member.targets is None
            found[member.owner] = Collector(
                held.count(member.owner),
                wants if everything else member.targets or (),
                member.age >= SETTLED * self._ttl,
            )
        return found

    async def _living(self) -> list[Member]:
        now, found = self._clock(), []
        told = await self._bus.members(MOST_MEMBERS)
        self._watches = {token: watch for token, watch in self._watches.items() if token in told}
        for token, (octets, seq) in told.items():
            member = read(octets, seq)
            watch, last, since = self._watches.get(token) or (Watch(), seq, now)
            since = since if seq == last else now
            self._watches[token] = watch, seq, since
            if now - since > FORGET:
                await self._bus.forget_member(token)
            if member and (member.owner == self._me or not watch.free(member.seat, now)):
                found.append(member)
        return found

    async def leave(self) -> None:
        """This one ends: nobody need wait until it is silent."""
        with suppress(Unavailable):
            await self._bus.forget_member(self._bus.member(self._me))
