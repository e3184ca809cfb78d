"""A dynamic subscription (RFC 8639): an identifier, terms, and what serves them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from nbi.subscriptions.events import EventStream
from nbi.subscriptions.notices import StateNotices, policy
from nbi.subscriptions.push import OnChangePush, Output, Push, SuspendedTooLong
from nbi.subscriptions.terms import EventTerms, Terms
from yang.provider import Record

Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
"""Runs something for a session, which ends when it fails."""


class Dynamic:
    """One subscription.

    Args:
        receiver: name of the receiver.
        served: what serves the terms; begins with `start`.
        output: of the session.
        ended: called when the subscription has come to its end by itself.

    Attributes:
        terms: in force, or in force as soon as the reply that says so has been sent.
    """

    def __init__(
        self,
        identifier: int,
        user: str,
        session: int,
        receiver: str,
        terms: Terms,
        served: EventStream | Push,
        output: Output,
        notices: StateNotices,
        spawn: Spawn,
        ended: Callable[[Dynamic], None],
    ) -> None:
        self.id = identifier
        self.user = user
        self.session = session
        self.terms = terms
        self.notices = notices
        self.served = served
        self._receiver = receiver
        self._output = output
        self._spawn = spawn
        self._ended = ended
        self._sent_before = 0
        self._task: asyncio.Task[None] | None = None
        self._over = False
        self._turn = asyncio.Lock()
        self._changes: set[asyncio.Task[None]] = set()
        self._following: list[Push] = []

    @property
    def leaves(self) -> int:
        """Leaves that are remembered for it."""
        held = (self.served, *self._following)
        return sum(served.leaves for served in held if isinstance(served, Push))

    def start(self) -> None:
        """Begin to send."""
        if not self._over:
            self._task = self._spawn(self._run())

    async def _run(self) -> None:
        try:
            await self.served.run()
        except SuspendedTooLong:
            await self._output.message(self.notices.terminated("suspension-timeout"))
        finally:
            self.served.close()
        self._over = True
        self._ended(self)

    async def stop(self) -> None:
        """Send nothing more; a message that has begun is completed."""
        self.abandon()
        tasks = {task for task in (*self._changes, self._task) if task is not None}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def abandon(self) -> None:
        """Let go of everything that feeds it, now."""
        self._over = True
        for served in (self.served, *self._following):
            served.close()

    def resync(self) -> None:
        """Send everything once more (RFC 8641 section 4.4.3)."""
        if isinstance(self.served, OnChangePush):
            self.served.resync()

    def expect(self, served: Push) -> None:
        """What is to serve other terms: ends with the subscription, also when they never come into force."""
        if self._over:
            served.close()
        else:
            self._following.append(served)

    def modify(self, terms: Terms, served: Push | None = None) -> None:
        """Go on by other terms: first subscription-modified, then what they bring.

        Args:
            served: what serves them from now on, and is expected (`expect`); None for an event stream, which
                changes as it is.
        """
        self.terms = terms
        notice = self.notices.modified(terms)
        if isinstance(self.served, EventStream):
            assert isinstance(terms, EventTerms)
            change = self._spawn(self.served.change(terms.wanted, terms.stop, notice))
        else:
            assert served is not None
            change = self._spawn(self._switch(served, notice))
        self._changes.add(change)
        change.add_done_callback(self._changes.discard)

    async def _switch(self, served: Push, notice: bytes) -> None:
        async with self._turn:
            task, self._task = self._task, None
            if task is not None:
                task.cancel()
                await asyncio.wait({task})
            if self._over:
                return
            self.served.close()
            self._sent_before += self.served.sent
            self.served = served
            self._following.remove(served)
            await self._output.message(notice)
            self.start()

    # --- state -----------------------------------------------------------------------------------

    def record(self) -> Record:
        """As ``subscriptions/subscription`` shows it."""
        suspended = isinstance(self.served, Push) and self.served.suspended
        receiver = SimpleNamespace(
            name=self._receiver,
            sent_event_records=self._sent_before + self.served.sent,
            excluded_event_records=self.served.excluded if isinstance(self.served, EventStream) else 0,
            state="suspended" if suspended else "active",
        )
        return SimpleNamespace(
            id=self.id, receivers=SimpleNamespace(receiver=[receiver]), **policy(self.terms)
        )

    def with_filter(self, xpath: str, **changed: Any) -> Terms:
        """The terms with another expression of the configured filter that they name."""
        return replace(self.terms, filter=replace(self.terms.filter, xpath=xpath), **changed)
