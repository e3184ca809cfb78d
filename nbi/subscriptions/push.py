"""Subscriptions to datastores (RFC 8641): periodic and on-change.

A client that reads slowly costs no memory: a periodic update that is due while the last one is still being
sent is left out, and changes are looked for only when the last ones have been sent.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from typing import Final, Protocol

import structlog

from nbi.protocol import push
from nbi.protocol.notification import SECOND
from nbi.protocol.schedule import Dampening, Periodic
from nbi.subscriptions.terms import OnChangeTerms, PeriodicTerms, PushTerms
from yang.access import User
from yang.bus import Watch
from yang.encode.fragment import Fragments
from yang.observe import Edit, Observation, TooMuch
from yang.provider import OperationError
from yang.query import Selection
from yang.query.plan import Content
from yang.tree import Tree

log = structlog.get_logger(__name__)

CENTISECOND: Final = SECOND // 100
_LONGEST_SLEEP: Final = 10.0
# The clock may be set while we wait.
RETRY: Final = 30.0
"""Seconds after which a suspended subscription is tried again."""
PATIENCE: Final = 600.0
"""Seconds after which a suspended subscription is terminated."""


class Output(Protocol):
    """Where the messages of a session go; each waits while the client does not read."""

    async def message(self, message: bytes) -> None:
        """Send one message."""

    async def stream(self, parts: AsyncIterator[bytes]) -> None:
        """Send one message piece by piece; to its end, even if the caller is cancelled meanwhile."""


class Notices(Protocol):
    """Makes the messages that tell of the subscription itself."""

    def suspended(self, reason: str) -> bytes: ...

    def resumed(self) -> bytes: ...


async def read(tree: Tree, user: User, selection: Selection, datastore: str) -> Iterator[bytes]:
    """What is selected, as XML in slices.

    Raises:
        OperationError: see `yang.tree.Tree.read`.
    """
    operational = datastore == "operational"
    if operational:
        await tree.prepare(selection)
    content: Content = "all" if operational else "config"
    return await tree.read(selection, user, content=content)


class Push(ABC):
    """Serves one subscription to a datastore.

    Attributes:
        sent: updates.
        skipped: periodic updates that were due while the client was still reading.
        suspended: nothing can be sent for now.
    """

    def __init__(
        self, tree: Tree, user: User, identifier: int, terms: PushTerms, output: Output, notices: Notices
    ) -> None:
        self.sent = 0
        self.skipped = 0
        self.suspended = False
        self._tree = tree
        self._user = user
        self._id = identifier
        self._terms = terms
        self._output = output
        self._notices = notices

    @abstractmethod
    async def run(self) -> None:
        """Send updates until the stop time, or until cancelled."""

    @abstractmethod
    def close(self) -> None:
        """Let go of everything; safe to call twice."""

    @property
    def leaves(self) -> int:
        """Leaves that are remembered."""
        return 0

    def _left(self) -> float | None:
        """Seconds until the stop time."""
        stop = self._terms.stop
        return None if stop is None else (stop - time.time_ns()) / SECOND

    async def _send_all(self, selection: Selection) -> None:
        """A push-update.

        Raises:
            OperationError: an XPath filter has to look at too much; nothing has been sent.
        """
        contents = await read(self._tree, self._user, selection, self._terms.datastore)
        await self._send_update(contents)

    async def _send_update(self, contents: Iterator[bytes]) -> None:
        self.sent += 1
        await self._output.stream(self._everything(contents))

    async def _everything(self, contents: Iterator[bytes]) -> AsyncIterator[bytes]:
        yield push.update_start(time.time_ns(), self._id)
        for part in contents:
            yield part
        yield push.UPDATE_END


class PeriodicPush(Push):
    """Sends everything that is selected, again and again."""

    def __init__(
        self, tree: Tree, user: User, identifier: int, terms: PushTerms, output: Output, notices: Notices
    ) -> None:
        super().__init__(tree, user, identifier, terms, output, notices)
        assert isinstance(terms.trigger, PeriodicTerms)
        now, anchor = time.time_ns(), terms.trigger.anchor
        self._schedule = Periodic(terms.trigger.period * CENTISECOND, now if anchor is None else anchor)
        self._due = now if anchor is None else self._schedule.after(now)
        self._patience = 0.0

    async def run(self) -> None:
        """See `Push`.

        Raises:
            SuspendedTooLong: it was suspended, and did not become possible again.
        """
        while await self._wait():
            await self._update()
            following = self._schedule.after(max(time.time_ns(), self._due))
            self.skipped += self._schedule.skipped(self._due, following)
            self._due = following

    async def _update(self) -> None:
        """One update; while an XPath filter has to look at too much the subscription is suspended."""
        selection = self._terms.selection
        try:
            contents = await read(self._tree, self._user, selection, self._terms.datastore)
        except OperationError:
            if not self.suspended:
                self.suspended = True
                self._patience = time.monotonic() + PATIENCE
                await self._output.message(self._notices.suspended("update-too-big"))
            elif time.monotonic() >= self._patience:
                raise SuspendedTooLong from None
            return
        if self.suspended:
            self.suspended = False
            await self._output.message(self._notices.resumed())
        await self._send_update(contents)

    def close(self) -> None:
        """See `Push`: there is nothing to let go of."""

    async def _wait(self) -> bool:
        """Until the next update is due; False when the subscription ends before."""
        while True:
            left = self._left()
            if left is not None and left <= 0:
                return False
            wait = (self._due - time.time_ns()) / SECOND
            if wait <= 0:
                return True
            await asyncio.sleep(min(wait, _LONGEST_SLEEP, wait if left is None else left))


class OnChangePush(Push):
    """Sends what changed; `prepare` comes before `run`.

    Args:
        limit: leaves that may be remembered.
    """

    def __init__(
        self,
        tree: Tree,
        user: User,
        identifier: int,
        terms: PushTerms,
        output: Output,
        notices: Notices,
        *,
        limit: int,
    ) -> None:
        super().__init__(tree, user, identifier, terms, output, notices)
        assert isinstance(terms.trigger, OnChangeTerms)
        self._trigger = terms.trigger
        self._observation = Observation(tree, user, terms.selection, terms.datastore, limit)
        self._fragments = Fragments(tree.schema)
        self._dampening = Dampening(terms.trigger.dampening / 100)
        self._wake = asyncio.Event()
        self._resync = terms.trigger.sync
        self._patch = 0
        self._overflow = False
        self._watch: Watch = tree.bus.watch(*self._observation.watched)
        self._follower = asyncio.create_task(self._follow(), name="netconf-watch")

    async def prepare(self) -> None:
        """Take what there is as known to the client.

        Raises:
            TooMuch: it is more than may be remembered.
        """
        await self._observation.baseline()

    async def _follow(self) -> None:
        while touched := await self._watch.wait():
            self._observation.touch(touched)
            self._wake.set()

    def close(self) -> None:
        """See `Push`."""
        self._watch.close()
        self._follower.cancel()

    @property
    def leaves(self) -> int:
        """See `Push`."""
        return self._observation.leaves

    def resync(self) -> None:
        """Send everything once more."""
        self._resync = True
        self._wake.set()

    async def run(self) -> None:
        """See `Push`.

        Raises:
            SuspendedTooLong: it was suspended, and did not become possible again.
        """
        first = True
        while (left := self._left()) is None or left > 0:
            self._wake.clear()
            if self._resync:
                self._resync = False
                await self._send_sync(fresh=not first)
            elif self._delay() == 0.0:
                await self._send_changes()
            first = False
            if self._overflow:
                await self._suspend()
                continue
            wait = [seconds for seconds in (self._delay(), self._left()) if seconds is not None]
            await self._sleep(min(wait) if wait else None)

    def _delay(self) -> float | None:
        """Seconds until changes may be looked for; None: when something happens."""
        now = time.monotonic()
        due = self._observation.due(now)
        return None if due is None else max(due, self._dampening.remaining(now))

    async def _sleep(self, seconds: float | None) -> None:
        if self._resync:
            return
        if seconds is None:
            await self._wake.wait()
        elif seconds <= 0:
            await asyncio.sleep(0)
        else:
            alarm = asyncio.get_running_loop().call_later(min(seconds, _LONGEST_SLEEP), self._wake.set)
            try:
                await self._wake.wait()
            finally:
                alarm.cancel()

    async def _send_sync(self, *, fresh: bool) -> None:
        """Everything. What is known is read first: what changes meanwhile is then told of once more, not
        missed."""
        try:
            if fresh:
                await self._observation.baseline()
        except TooMuch:
            self._overflow = True
            return
        self._dampening.sent(time.monotonic())
        await self._send_all(self._terms.selection)

    async def _send_changes(self) -> None:
        edits = self._edits()
        first = await anext(edits, None)
        if first is None:
            return
        self._dampening.sent(time.monotonic())
        self.sent += 1
        await self._output.stream(self._patch_of(first, edits))

    async def _edits(self) -> AsyncIterator[Edit]:
        """What changed and is wanted; ends early, with `_overflow` set, when it is more than is allowed."""
        try:
            async for edit in self._observation.edits():
                if edit.operation not in self._trigger.excluded:
                    yield edit
        except TooMuch:
            self._overflow = True

    async def _patch_of(self, first: Edit, rest: AsyncIterator[Edit]) -> AsyncIterator[bytes]:
        self._patch += 1
        yield push.changes_start(time.time_ns(), self._id, self._patch)
        yield push.edit_element(self._fragments, 1, first)
        number = 1
        async for edit in rest:
            number += 1
            yield push.edit_element(self._fragments, number, edit)
        yield push.changes_end(incomplete=self._overflow)

    async def _suspend(self) -> None:
        """Wait until what is selected is small enough again."""
        self.suspended = True
        await self._output.message(self._notices.suspended("update-too-big"))
        ends = time.monotonic() + PATIENCE
        while self._overflow:
            left = self._left()
            if left is not None and left <= 0:
                return
            if time.monotonic() >= ends:
                raise SuspendedTooLong
            await asyncio.sleep(RETRY if left is None else min(RETRY, left))
            self._overflow = False
            try:
                await self._observation.baseline()
            except TooMuch:
                self._overflow = True
        self.suspended = False
        await self._output.message(self._notices.resumed())
        await self._send_sync(fresh=False)


class SuspendedTooLong(Exception):
    """A subscription could not be served for `PATIENCE` seconds."""
