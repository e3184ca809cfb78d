"""The single writer: what happened goes in one after the other, what follows from it is done in batches.

Shells `post` events; a *turn* takes what has arrived, runs the machine, and carries the effects out:

- DHCP packets, RADIUS questions and timers at once,
- the data plane's effects of the turn in one batch, whose results go back into the machine in the same turn,
- journal events into one group commit,
- accounting and answers to commands when the journal events before them are durable.

Nothing here waits. Whoever is slow (the disk, a RADIUS server, a manager) has a task or a thread of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Protocol

import structlog

from bng.commit import GroupCommit
from bng.enforcement import Effect as EnforcementEffect
from bng.enforcement import Enforcer, failure_of
from bng.inbox import Inbox, Queue
from bng.session import effects as fx
from bng.session import events as ev
from bng.session.machine import Machine
from bng.session.records import AccessLine
from bng.timers import Wheel
from yang.provider import OperationError

log = structlog.get_logger()

_LOOK_AGAIN = 1.0
"""Seconds after which the clock is looked at even if no timer is due: it may have been set."""


class Outlets(Protocol):
    """Where effects leave the writer. No method may block."""

    def to_server(self, effect: fx.SendToServer) -> None: ...

    def to_subscriber(self, effect: fx.SendToSubscriber) -> None: ...

    def ask(self, effect: fx.AskRadius) -> None: ...

    def account(self, effect: fx.Account, seq: int) -> None:
        """`effect.counters` is never None here; seq is the journal event that it follows from."""

    def router_seen(self, effect: fx.RouterSeen) -> None: ...


class Witness(Protocol):
    """Who looks on. What it does must be short, and nothing here depends on it."""

    def before(self, event: ev.Event, now: int) -> None:
        """An event is about to be handed to the machine."""

    def after(self, event: ev.Event, effects: list[fx.Effect], now: int) -> None:
        """It was handled, and its effects are carried out."""

    def failed(self, event: ev.Event, error: Exception, now: int) -> None:
        """It was not handled to its end."""

    def shed(self, line: AccessLine, reason: str, now: int) -> None:
        """A packet of an access line was dropped before it was decoded."""


class Writer:
    """The loop around the session machine.

    Args:
        clock: nanoseconds since the epoch.

    Attributes:
        outlets: set before the first event.
        witness: who remembers what happens; None for nobody.
        dropped: events from the network that found the queue full.
    """

    outlets: Outlets
    witness: Witness | None = None

    def __init__(
        self,
        machine: Machine,
        enforcer: Enforcer,
        commit: GroupCommit,
        *,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.machine = machine
        self.enforcer = enforcer
        self.commit = commit
        self.dropped = 0
        self._clock = clock
        self._now = 0
        self._inbox = Inbox()
        self._scheduled = False
        self._enforcements: list[EnforcementEffect] = []
        self._wheel: Wheel[tuple[ev.Timer, str]] = Wheel()
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_for: int | None = None
        self._tokens = 0
        self._commands: dict[int, asyncio.Future[Mapping[str, Any] | None]] = {}
        self._carriers: dict[type, Callable[[Any], None]] = {
            fx.SendToServer: lambda effect: self.outlets.to_server(effect),
            fx.SendToSubscriber: lambda effect: self.outlets.to_subscriber(effect),
            fx.AskRadius: lambda effect: self.outlets.ask(effect),
            fx.Account: self._hold_account,
            fx.EnforceStart: self._enforcements.append,
            fx.EnforceChange: self._enforcements.append,
            fx.EnforceStop: self._enforcements.append,
            fx.Journal: lambda effect: self.journal(effect.event),
            fx.SetTimer: lambda effect: self._wheel.set((effect.timer, effect.key), effect.deadline),
            fx.CancelTimer: lambda effect: self._wheel.cancel((effect.timer, effect.key)),
            fx.Answer: lambda effect: self.commit.after(lambda: self._answer(effect)),
            fx.Continue: lambda _effect: self.post(ev.Continue()),
            fx.RouterSeen: lambda effect: self.outlets.router_seen(effect),
            fx.Log: self._log,
        }

    @property
    def waiting(self) -> int:
        """Events that wait for the writer."""
        return len(self._inbox)

    def post(self, event: ev.Event) -> None:
        """Take in an event of our own: an answer, a timer, a command, something that the sweep saw."""
        self._inbox.put(event)
        self._schedule()

    def offer(self, event: ev.Event, queue: Queue = Queue.STRANGER) -> None:
        """Take in an event that somebody out there caused; dropped when too many wait."""
        if not self._inbox.has_room(queue):
            self.dropped += 1
            return
        self._inbox.put(event, queue)
        self._schedule()

    async def command(self, make: Callable[[int], ev.Event]) -> Mapping[str, Any] | None:
        """Have a command carried out, and wait until what follows from it is durable.

        Args:
            make: makes the event from the token.

        Raises:
            OperationError: why it was not carried out.
        """
        self._tokens += 1
        token = self._tokens
        answer: asyncio.Future[Mapping[str, Any] | None] = asyncio.get_running_loop().create_future()
        self._commands[token] = answer
        try:
            self.post(make(token))
            return await answer
        finally:
            self._commands.pop(token, None)

    def due(self, timer: ev.Timer, key: str) -> int | None:
        """When a timer of the machine is due, nanoseconds since the epoch; None when it is not set."""
        return self._wheel.deadline((timer, key))

    def journal(self, event: Mapping[str, Any]) -> None:
        """Append an event to the journal; it is durable and published soon."""
        self.commit.journal.append(event)
        self.commit.request()

    def carry_out(self, effects: Iterable[fx.Effect]) -> None:
        """Carry out effects that the machine gave outside of a turn (at recovery and reconciliation)."""
        for effect in effects:
            self._carriers[type(effect)](effect)
        self._finish()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        for event in self._inbox.take():
            self._handle(event)
        self._finish()
        if self._inbox:
            self._schedule()

    def _handle(self, event: ev.Event) -> None:
        self._now = max(self._now, self._clock())
        witness = self.witness
        try:
            if witness is not None:
                witness.before(event, self._now)
            effects = self.machine.handle(event, self._now)
            for effect in effects:
                self._carriers[type(effect)](effect)
            if witness is not None:
                witness.after(event, effects, self._now)
        except Exception as error:
            # One event that goes wrong must not end the service of all others.
            log.exception("writer.event-failed", event_type=type(event).__name__)
            if witness is not None:
                witness.failed(event, error, self._now)
            answer = self._commands.get(getattr(event, "token", 0))
            if answer is not None and not answer.done():
                message = "the control plane failed to carry this out; its log says why"
                answer.set_exception(OperationError("operation-failed", message))

    def _finish(self) -> None:
        while self._enforcements:
            effects = self._enforcements[:]
            self._enforcements.clear()
            for result in self._enforce(effects):
                self._handle(result)
        self.commit.request()
        self._arm()

    def _enforce(self, effects: list[EnforcementEffect]) -> list[ev.Enforced]:
        try:
            return self.enforcer.run(effects)
        except Exception:
            log.exception("writer.enforcement-failed", effects=len(effects))
            return [failure_of(effect, "the data plane failed; the log says why") for effect in effects]

    def _arm(self) -> None:
        due = self._wheel.next_due()
        if self._alarm is not None:
            if due == self._alarm_for:
                return
            self._alarm.cancel()
            self._alarm = None
        self._alarm_for = due
        if due is not None:
            delay = min(max(0.0, (due - self._clock()) / 1e9), _LOOK_AGAIN)
            self._alarm = asyncio.get_running_loop().call_later(delay, self._look)

    def _look(self) -> None:
        self._alarm = None
        for timer, key in self._wheel.take_due(self._clock()):
            self.post(ev.TimerDue(timer, key))
        self._arm()

    def _hold_account(self, effect: fx.Account) -> None:
        seq = self.commit.journal.newest
        self.commit.after(lambda: self._account(effect, seq))

    def _account(self, effect: fx.Account, seq: int) -> None:
        if effect.counters is None:
            counters = self.enforcer.totals(effect.slot, effect.generation)
            effect = replace(effect, counters=counters or ev.Counters())
        self.outlets.account(effect, seq)

    def _answer(self, effect: fx.Answer) -> None:
        answer = self._commands.get(effect.token)
        if answer is None or answer.done():
            return
        if effect.error_tag:
            answer.set_exception(OperationError(effect.error_tag, effect.message))
        else:
            answer.set_result(effect.output)

    def _log(self, effect: fx.Log) -> None:
        getattr(log, effect.level)(effect.message_id, **effect.fields)
