"""Who may publish next, whether this message follows that one, and how old it is. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from collector.bus.message import MOST_PARTS, MOST_WHOLE, Message, TooLargeError

STORED = "stored"
"""It is there: what was not acknowledged has been stored nevertheless."""
ABSENT = "absent"
"""It is not there, and nothing else came: send it again."""
BACK = "back"
"""The server has lost what it had acknowledged, or a message that was given up came late: the chain is
where the server says, and events are to be read again from the cursor there."""
TAKEN = "taken"
"""Another publisher has the BNG."""


class Chain:
    """A publisher's end of a BNG's chain of messages.

    Attributes:
        tenure: this publisher, this time.
        seq: number of the last message of the subject within the stream, 0 for none.
        id: of that message.
        cursor: seq and time (ns) of the last event that is published.
        pending: what was sent and not acknowledged.
    """

    def __init__(self, tenure: str) -> None:
        self.tenure = tenure
        self.seq, self.id, self.cursor = 0, "", (0, 0)
        self.pending: Message | None = None
        self._number = 0

    def follow(self, last: Message | None) -> None:
        """Begin behind the last message that is there."""
        self.seq, self.id, self.cursor = (last.seq, last.id, last.cursor) if last else (0, "", (0, 0))
        self.pending = None

    def next(self, kind: str, body: bytes, cursor: tuple[int, int] | None, part: int, parts: int) -> Message:
        """A message to send; `stored` or `settle` tells what became of it."""
        self._number += 1
        identity = f"{self.tenure}.{self._number}"
        self.pending = Message(kind, identity, self.id, cursor or self.cursor, body, part, parts)
        return self.pending

    def stored(self, seq: int) -> None:
        """The pending message got this number."""
        if self.pending:
            self.seq, self.id, self.cursor = seq, self.pending.id, self.pending.cursor
            self.pending = None

    def settle(self, last: Message | None) -> str:
        """Compare with the last message that the server has, after a failure. `pending` is forgotten unless
        it is ABSENT."""
        if last and self.pending and last.id == self.pending.id:
            self.stored(last.seq)
            return STORED
        if last and last.tenure != self.tenure and last.id != self.id:
            return TAKEN
        if (last.id if last else "") == self.id:
            self.seq = last.seq if last else 0
            return ABSENT
        self.pending = None
        if last:
            self.follow(last)
        else:
            self.seq, self.id = 0, ""  # nothing is there any more; what was published was read or is lost
        return BACK


def parts(body: bytes, most: int) -> Iterator[tuple[int, int, bytes]]:
    """Number, count and octets of the parts of a body. Raises TooLargeError."""
    count = max(1, -(-len(body) // most))
    if count > MOST_PARTS or len(body) > MOST_WHOLE:
        raise TooLargeError(f"{len(body)} octets are too many for the bus, which takes {most} at a time")
    for number in range(count):
        yield number + 1, count, body[number * most : (number + 1) * most]


@dataclass(frozen=True, slots=True)
class Seat:
    """Who holds a BNG, as its message says.

    Attributes:
        tenure: of the holder.
        ttl: seconds after which a silent holder has lost it.
        released: whether it was given back.
        seq: number of the message; each renewal has another.
        owner: name of the holder.
    """

    tenure: str
    ttl: float
    released: bool = False
    seq: int = 0
    owner: str = ""


class Watch:
    """Tells when a seat is free, by our own clock: since when its message has not changed."""

    def __init__(self) -> None:
        self._seen: tuple[int, str] | None = None
        self._since = 0.0

    def free(self, seat: Seat | None, clock: float) -> bool:
        """Look at the seat's message; `clock` is monotonic, in seconds."""
        if seat is None or seat.released:
            return True
        if self._seen != (seat.seq, seat.tenure):
            self._seen, self._since = (seat.seq, seat.tenure), clock
        return clock - self._since > seat.ttl


@dataclass(frozen=True, slots=True)
class Place:
    """How far a writer has come: the last message whose content is committed.

    Attributes:
        seq: its number within the stream, 0 before the first.
        id: its id.
        time_ns: when the server stored it.
    """

    seq: int = 0
    id: str = ""
    time_ns: int = 0

    def of(self, message: Message) -> Place:
        """The place of a message."""
        return Place(message.seq, message.id, message.time_ns)


class Follower:
    """Follows a chain from a place.

    As long as each message names the one before it, nothing is missing. When one does not, either messages
    are gone, or the server has lost its newest ones and gave their numbers to others. Both are met by
    reading anew what was stored after the time of the place.

    Attributes:
        place: the last message that was accepted.
        anew: whether reading begins by time.
        holes: how often the chain was broken.
    """

    def __init__(self, place: Place) -> None:
        self.place, self.anew, self.holes = place, False, 0

    def resume(self, newest: int) -> None:
        """Reading is about to begin; the stream's newest message has this number."""
        if newest < self.place.seq:
            self.anew = True

    def accept(self, message: Message) -> bool | None:
        """Whether to take a message: True; None to skip it, as it was taken before; False when reading is to
        begin anew, by time."""
        if self.anew:
            if message.time_ns <= self.place.time_ns:
                return None
            self.anew = False
            self.holes += message.after != self.place.id
        elif self.place.id and message.after != self.place.id:
            self.anew = True
            return False
        self.place = self.place.of(message)
        return True


class Age:
    """When messages were stored, by PostgreSQL's clock: the server's need not be right, and they may have
    waited."""

    def __init__(self) -> None:
        self._ahead, self._now = 0, 0

    def hear(self, server_ns: int | None, now: int) -> None:
        """What both clocks show, of the server's only what is known."""
        self._now = now
        if server_ns is not None:
            self._ahead = server_ns - now

    def at(self, time_ns: int) -> int:
        """The time by PostgreSQL's clock of when the server's showed this; not later than now."""
        return min(self._now, time_ns - self._ahead)
