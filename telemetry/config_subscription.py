"""The Config Subscription extension: configuration alone, and where the changes of each commit end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from telemetry.changes import ChangeSource
from telemetry.plan import Feed, Part, Planner
from telemetry.protocol import gnmi_ext_pb2 as ext
from telemetry.protocol import gnmi_pb2 as pb
from telemetry.source import Source, Wake
from telemetry.subscribe import Mode, Timer
from yang.datastore.past import Commit, Past
from yang.path import DataPath


def parts_of_configuration(planner: Planner, path: DataPath, mode: Mode | None) -> list[Part]:
    """The configuration that a path leads to."""
    parts = [part for part in planner.plan(path, Mode.ON_CHANGE) if part.feed is Feed.CONFIG]
    if mode in (None, Mode.SAMPLE):
        return [replace(part, feed=Feed.READ) for part in parts]
    return parts


def sync_done(commit: Commit, reader: str) -> bytes:
    """The SubscribeResponse that ends the changes of a commit.

    The token of a confirmed commit is told to the user who made it, as it is all that it takes to confirm.
    """
    confirm_id = commit.confirm_id if commit.user == reader else None
    done = ext.ConfigSubscriptionSyncDone(
        commit_confirm_id=confirm_id or "", server_commit_id=str(commit.number), done=True
    )
    extension = ext.Extension(config_subscription=ext.ConfigSubscription(sync_done=done))
    octets: bytes = pb.SubscribeResponse(extension=[extension]).SerializeToString()
    return octets


class ConfigSubscription(Source):
    """Sources of configuration, and after what a commit changed the end of that commit.

    Ends are told of commits that changed something at, above or below what is subscribed to on change.
    Commits that follow each other faster than the client reads are told of together.
    """

    def __init__(self, past: Past, reader: str, sources: Sequence[Source]) -> None:
        super().__init__()
        self._past = past
        self._reader = reader
        self._sources = tuple(sources)
        self._changing = [source for source in sources if isinstance(source, ChangeSource)]
        self._next = past.newest + 1

    def start(self, wake: Wake) -> None:
        """Hear of commits too."""
        self._past.listeners[self] = wake
        for source in self._sources:
            source.start(wake)
            self.timers.extend(source.timers)

    def expired(self, timer: Timer) -> None:
        """It is one of the sources' own."""
        for source in self._sources:
            if timer in source.timers:
                source.expired(timer)

    @property
    def ready(self) -> bool:
        """There was a commit, or a source has something."""
        return self._next <= self._past.newest or any(source.ready for source in self._sources)

    async def initial(self) -> AsyncIterator[bytes]:
        """The configuration."""
        for source in self._sources:
            async for message in source.initial():
                yield message

    async def skip(self) -> AsyncIterator[bytes]:
        """Take the configuration as known."""
        for source in self._sources:
            async for message in source.skip():
                yield message

    async def messages(self) -> AsyncIterator[bytes]:
        """What has changed, and which commits did that."""
        commits = self._past.since(self._next)
        self._next = self._past.newest + 1
        ended = [commit for commit in commits if any(source.shows(commit) for source in self._changing)]
        for changing in self._changing if ended else ():
            changing.touch()
        for source in self._sources:
            if source.ready:
                async for message in source.messages():
                    yield message
        for commit in ended:
            yield sync_done(commit, self._reader)

    def close(self) -> None:
        """Hear of nothing any more."""
        self._past.listeners.pop(self, None)
        for source in self._sources:
            source.close()
