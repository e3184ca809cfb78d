"""What feeds a stream: one source per part of the tree that a subscription selects.

A source knows whether it has something to send and makes the messages when it is asked to. None of them
queues: see `telemetry.subscribe`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable

from telemetry.subscribe import Timer
from yang.bus import Watch

Wake = Callable[[], None]


async def follow(watch: Watch, wake: Wake) -> None:
    """Call `wake` whenever a watch of the bus is touched, until it is closed or this is cancelled."""
    try:
        while await watch.wait():
            wake()
    finally:
        watch.close()


class Source(ABC):
    """Feeds one part of one stream.

    Attributes:
        timers: when the source wants `expired` to be called.
    """

    def __init__(self) -> None:
        self.timers: list[Timer] = []

    @abstractmethod
    def initial(self) -> AsyncIterator[bytes]:
        """What there is now: before the sync_response, and again at each poll."""

    def skip(self) -> AsyncIterator[bytes]:
        """Take what there is now as known to the client (updates_only). Yields nothing."""
        return self.initial()

    @abstractmethod
    def start(self, wake: Wake) -> None:
        """From now on call `wake` when there is something to send. Called before `initial`."""

    @property
    def ready(self) -> bool:
        """True when `messages` has something."""
        return False

    @property
    def ended(self) -> bool:
        """True when nothing will ever follow: the end of a range of the past has been reached."""
        return False

    @abstractmethod
    def messages(self) -> AsyncIterator[bytes]:
        """What is to be sent now; may turn out to be nothing."""

    @abstractmethod
    def expired(self, timer: Timer) -> None:
        """One of the timers is due."""

    @abstractmethod
    def close(self) -> None:
        """The stream has ended; safe to call twice."""
