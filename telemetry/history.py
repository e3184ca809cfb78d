"""The History extension: what was, of logs and of configuration; other state has no past.

The configurations of the past are those that the history of commits keeps. What a user may read of them is
what the rules of today permit.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Final

from telemetry.config_subscription import sync_done
from telemetry.errors import Code, Refused, invalid, unimplemented
from telemetry.known import Known, packed
from telemetry.memory import StreamMemory
from telemetry.packing import Entry
from telemetry.plan import Feed, Part, Planner
from telemetry.protocol import gnmi_pb2 as pb
from telemetry.reader import Look
from telemetry.requests import Extras
from telemetry.source import Source, Wake
from telemetry.subscribe import SECOND, History, Lost, Mode, Timer
from yang.path import DataPath
from yang.provider import OperationError

OLDEST: Final = "oldest-commit"
"""What DATA_LOSS says of commits: the oldest that is remembered."""


def history_of(extras: Extras, mode: int) -> History | None:
    """What a request asks for (History extension, 2.2.1 and 2.2.2). Raises Refused."""
    if extras.history is None:
        return None
    kind = extras.history.WhichOneof("request")
    if kind == "snapshot_time":
        at = extras.history.snapshot_time
        if mode != pb.SubscriptionList.ONCE:
            raise invalid("a snapshot of the past goes with the mode ONCE")
        if at > time.time_ns():
            raise unimplemented("the time of the snapshot has not come yet")
        if at < 0:
            raise invalid("the time of the snapshot is before 1970")
        return History(at, at + 1, snapshot=True)
    if kind is None:
        raise invalid("the History extension needs a snapshot_time or a range")
    if mode != pb.SubscriptionList.STREAM:
        raise invalid("a range of the past goes with the mode STREAM")
    start, end = extras.history.range.start, extras.history.range.end
    if start < 0 or end < 0 or 0 < end < start:
        raise invalid("the range of the History extension ends before it starts")
    return History(start, end)


def parts_with_a_past(
    planner: Planner, path: DataPath, mode: Mode | None, *, config_only: bool
) -> list[Part]:
    """Logs and configuration, of what a path leads to; other state is left out.

    Raises:
        Refused: UNIMPLEMENTED, when nothing is left; INVALID_ARGUMENT for samples.
    """
    if mode is Mode.SAMPLE:
        raise invalid("the past is not sampled: subscribe to it ON_CHANGE or TARGET_DEFINED")
    feeds = {Feed.CONFIG} if config_only else {Feed.CONFIG, Feed.LOG}
    parts = [part for part in planner.plan(path, Mode.ON_CHANGE) if part.feed in feeds]
    if not parts and not config_only:
        raise unimplemented(f"no past is kept of {path}: only logs and configuration have one")
    return parts


class PastSource(Source):
    """The configuration at a time, and then what each commit changed, at its time.

    Args:
        memory: bounds what is remembered.
        boundaries: the end of each commit is told, as config subscriptions have it.

    Raises:
        Lost: the configuration at that time is not remembered.
    """

    def __init__(
        self, part: Part, look: Look, memory: StreamMemory, history: History, *, boundaries: bool
    ) -> None:
        super().__init__()
        self._part = part
        self._look = look
        self._history = history
        self._past = look.tree.past
        self._boundaries = boundaries
        self._known = Known(part, look, memory)
        self._ended = False
        self._next = self._base() + 1
        if history.end and not history.snapshot:
            self.timers.append(Timer(SECOND, time.monotonic_ns()))

    def _base(self) -> int:
        """The commit whose configuration comes first: commits at the start of a range are part of it."""
        try:
            return self._past.at(self._history.start - (0 if self._history.snapshot else 1))
        except LookupError:
            raise Lost(self._past.oldest, OLDEST) from None

    def start(self, wake: Wake) -> None:
        """Hear of commits."""
        self._past.listeners[self] = wake

    def expired(self, timer: Timer) -> None:
        """Only wakes the stream, which then looks at `ended`."""

    @property
    def ready(self) -> bool:
        """There are commits that were not looked at."""
        return not self._ended and self._next <= self._past.newest

    @property
    def ended(self) -> bool:
        """The end of the range has been reached, by a commit or by the clock."""
        return self._ended or (0 < self._history.end <= time.time_ns() and not self.ready)

    async def initial(self) -> AsyncIterator[bytes]:
        """The configuration at the start."""
        self._known.clear()
        async for message in self._configuration(self._base(), self._history.start):
            yield message

    async def skip(self) -> AsyncIterator[bytes]:
        """Keep the configuration at the start to oneself."""
        async for _ in self.initial():
            pass
        return
        yield b""  # makes this a generator

    async def messages(self) -> AsyncIterator[bytes]:
        """What the next commit changed."""
        if self._next < self._past.oldest:
            raise Lost(self._past.oldest, OLDEST)
        commit = self._past.following(self._next)
        if commit is None:
            return
        if 0 < self._history.end <= commit.time_ns:
            self._ended = True
            return
        if any(commit.touches(path.schema_path) for path in self._part.paths):
            async for message in self._configuration(commit.number, commit.time_ns):
                yield message
            if self._boundaries:
                yield sync_done(commit, self._look.user.name)
        self._next = commit.number + 1

    async def _configuration(self, number: int, time_ns: int) -> AsyncIterator[bytes]:
        """What differs, after a commit, from what the client knows."""
        if number < 0:
            return
        try:
            configuration = await self._past.configuration(number)
        except OperationError as error:
            raise Refused(Code.DATA_LOSS, error.message) from None
        entries = self._look.read_slowly(self._part.paths, "config", configuration)
        differences: AsyncIterator[Entry] = self._known.compared(entries)
        async for message in packed(self._look, differences, lambda: time_ns):
            yield message

    def close(self) -> None:
        """Hear of nothing any more."""
        self._past.listeners.pop(self, None)
        self._known.clear()
