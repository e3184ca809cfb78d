"""What waits for the writer, in three queues: nobody outside can make our own affairs wait.

Our own events (answers of servers and of the data plane, timers, commands) go before packets of lines that
have a session, and these before packets of lines that have none. Each turn takes something of each, so that
no queue ever stands still.
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum

from bng.session.events import Event

MAX_WAITING = 4096
"""Events of a queue that outsiders fill; more are dropped and counted. At 2,000 a second, the last one waits
half as long as a client before it repeats itself."""
TURN = 128
"""Events of a turn; about ten milliseconds."""
_OWN, _KNOWN = 96, 120
"""How far a turn may be filled before the next queue has its place."""


class Queue(IntEnum):
    """Where an event waits."""

    OWN = 0
    KNOWN = 1
    STRANGER = 2


class Inbox:
    """The queues."""

    def __init__(self) -> None:
        self._queues: tuple[deque[Event], ...] = (deque(), deque(), deque())

    def __len__(self) -> int:
        return sum(map(len, self._queues))

    def put(self, event: Event, queue: Queue = Queue.OWN) -> None:
        """Put an event at the end of its queue."""
        self._queues[queue].append(event)

    def has_room(self, queue: Queue) -> bool:
        """Whether a queue takes events that outsiders cause."""
        return len(self._queues[queue]) < MAX_WAITING

    def take(self) -> list[Event]:
        """The events of the next turn, at most `TURN`."""
        own, known, strangers = self._queues
        if not known and not strangers and len(own) <= TURN:
            turn = list(own)
            own.clear()
            return turn
        turn = [own.popleft() for _ in range(min(len(own), TURN if not known and not strangers else _OWN))]
        room = (_KNOWN if strangers else TURN) - len(turn)
        turn += [known.popleft() for _ in range(min(len(known), room))]
        turn += [strangers.popleft() for _ in range(min(len(strangers), TURN - len(turn)))]
        return turn
