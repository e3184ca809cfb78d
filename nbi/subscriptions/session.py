"""The subscriptions of one session."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

import structlog

from nbi.link import PeerStalled
from nbi.protocol import notification
from nbi.protocol.errors import RpcError
from nbi.protocol.subscription_errors import Structure, subscription_error
from nbi.subscriptions.dynamic import Dynamic
from nbi.subscriptions.events import EventStream, SubscriptionEnded
from nbi.subscriptions.notices import StateNotices
from nbi.subscriptions.push import OnChangePush, PeriodicPush, Push, read
from nbi.subscriptions.registry import Registry
from nbi.subscriptions.terms import EventTerms, OnChangeTerms, PushTerms, Terms
from yang.access import User
from yang.observe import TooMuch, observable
from yang.provider import OperationError

log = structlog.get_logger(__name__)


class SessionOutput(Protocol):
    """What the session gives: whole messages, and messages in pieces. Both wait for the client."""

    async def send_notification(self, message: bytes) -> None: ...

    async def stream_notification(self, parts: AsyncIterator[bytes]) -> None: ...


class SessionSubscriptions:
    """What one session subscribed to. Changes take effect with `begin`, once the reply has been sent.

    Args:
        session: the session-id.
        peer: where the client is.
        end: ends the session, for a reason of ietf-netconf-notifications.

    Attributes:
        registry: those of all sessions.
    """

    def __init__(
        self,
        registry: Registry,
        user: User,
        session: int,
        peer: str,
        output: SessionOutput,
        end: Callable[[str], None],
    ) -> None:
        self.registry = registry
        self._user = user
        self._session = session
        self._receiver = f"{user.name}@{peer or 'local'}, session {session}"
        self._session_output = output
        self._end = end
        self._deferred: list[Callable[[], object]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._sending: set[asyncio.Future[None]] = set()
        self._classic: asyncio.Task[None] | None = None
        self._requested: EventStream | None = None

    @property
    def mine(self) -> list[Dynamic]:
        """The dynamic subscriptions of this session."""
        held = self.registry.subscriptions.values()
        return [subscription for subscription in held if subscription.session == self._session]

    @property
    def active(self) -> bool:
        """Whether the client is told something: events, or data."""
        return bool(self.mine) or (self._classic is not None and not self._classic.done())

    # --- output ----------------------------------------------------------------------------------

    async def message(self, message: bytes) -> None:
        """See `nbi.subscriptions.push.Output`."""
        await self._session_output.send_notification(message)

    async def stream(self, parts: AsyncIterator[bytes]) -> None:
        """See `nbi.subscriptions.push.Output`."""
        task = asyncio.ensure_future(self._session_output.stream_notification(parts))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait({task})
            raise

    # --- RFC 5277 --------------------------------------------------------------------------------

    def create(self, terms: EventTerms) -> None:
        """create-subscription.

        Raises:
            RpcError: there is one already, or one of RFC 8639 (RFC 8640 section 3).
        """
        if self._requested is not None or (self._classic is not None and not self._classic.done()):
            raise RpcError("in-use", "this session has a subscription already")
        if self.mine:
            raise RpcError(
                "operation-not-supported",
                "this session has subscriptions of establish-subscription: use another session",
                "application",
            )
        _check_start(terms.start)
        self._requested = self._event_stream(
            terms,
            replayed=lambda: notification.complete(time.time_ns(), "replayComplete"),
            completed=lambda: notification.complete(time.time_ns(), "notificationComplete"),
        )

    def _event_stream(
        self,
        terms: EventTerms,
        *,
        replayed: Callable[[], bytes],
        completed: Callable[[], bytes] | None = None,
    ) -> EventStream:
        registry = self.registry
        return EventStream(
            registry.tree,
            registry.encoded,
            self._user,
            registry.replay,
            terms,
            self.message,
            replayed=replayed,
            completed=completed,
        )

    # --- RFC 8639 and 8641 -----------------------------------------------------------------------

    async def establish(self, terms: Terms) -> Dynamic:
        """establish-subscription; it begins to send with `begin`.

        Raises:
            RpcError: with the identities of RFC 8639 section 2.4.6 and RFC 8641 appendix A.
        """
        structure = _structure("establish", terms)
        if self._requested is not None or (self._classic is not None and not self._classic.done()):
            raise RpcError(
                "operation-not-supported",
                "this session has a subscription of create-subscription: use another session",
                "application",
            )
        full = self.registry.room(self._user.name, self._session)
        if full is not None:
            raise subscription_error(structure, "insufficient-resources", full)
        identifier = self.registry.new_id()
        notices = StateNotices(self.registry.tree, identifier)
        if isinstance(terms, EventTerms):
            served: EventStream | Push = self._event_stream(terms, replayed=notices.replayed)
        else:
            served, terms = await self._push(identifier, terms, notices, structure)
        subscription = Dynamic(
            identifier,
            self._user.name,
            self._session,
            self._receiver,
            terms,
            served,
            self,
            notices,
            self._spawn,
            self._ended,
        )
        self.registry.add(subscription, self)
        self._deferred.append(subscription.start)
        return subscription

    async def _push(
        self, identifier: int, terms: PushTerms, notices: StateNotices, structure: Structure
    ) -> tuple[Push, PushTerms]:
        registry = self.registry
        if terms.selection.top is not None and not terms.selection.top:
            text = "the filter selects nothing that the model has"
            raise subscription_error(structure, "unchanging-selection", text, {"filter-failure-hint": text})
        if terms.selection.query is not None:
            await self._try_query(terms, structure)
        if isinstance(terms.trigger, OnChangeTerms):
            selection = observable(registry.tree, terms.selection)
            if selection is None:
                text = "the filter selects counters, logs, or what has to be fetched"
                hints: dict[str, str | int] = {"filter-failure-hint": text}
                raise subscription_error(structure, "on-change-unsupported", text, hints)
            terms = replace(terms, selection=selection)
        arguments = registry.tree, self._user, identifier, terms, self, notices
        if not isinstance(terms.trigger, OnChangeTerms):
            return PeriodicPush(*arguments), terms
        limit = registry.leaves_left
        served = OnChangePush(*arguments, limit=limit)
        try:
            await served.prepare()
        except TooMuch as error:
            served.close()
            if limit < registry.limits.max_on_change_leaves:
                text = "on-change subscriptions remember as many leaves as they may, all together"
                raise subscription_error(structure, "insufficient-resources", text) from None
            hints = {"object-count-limit": error.limit}
            raise subscription_error(structure, "sync-too-big", str(error), hints) from None
        except BaseException:
            served.close()
            raise
        return served, terms

    async def _try_query(self, terms: PushTerms, structure: Structure) -> None:
        """Evaluate an XPath filter that is more than location paths once: what it cannot do shows here."""
        if isinstance(terms.trigger, OnChangeTerms):
            text = "on-change takes location paths only: this XPath filter has to be evaluated as a whole"
            hints = {"filter-failure-hint": text}
            raise subscription_error(structure, "on-change-unsupported", text, hints)
        try:
            await read(self.registry.tree, self._user, terms.selection, terms.datastore)
        except OperationError as error:
            identity = "update-too-big" if error.tag == "too-big" else "filter-unsupported"
            hints = {"filter-failure-hint": error.message}
            raise subscription_error(structure, identity, error.message, hints) from None

    async def change(self, subscription: Dynamic, terms: Terms) -> None:
        """Other terms for a subscription, at once.

        Raises:
            RpcError: they cannot be served; it goes on by the old ones.
        """
        apply = await self._modification(subscription, terms)
        apply()

    async def modify(self, subscription: Dynamic, terms: Terms) -> None:
        """modify-subscription; takes effect with `begin`. Raises as `change`."""
        self._deferred.append(await self._modification(subscription, terms))

    async def _modification(self, subscription: Dynamic, terms: Terms) -> Callable[[], object]:
        if isinstance(terms, EventTerms):
            return lambda: subscription.modify(terms)
        structure = _structure("modify", terms)
        served, terms = await self._push(subscription.id, terms, subscription.notices, structure)
        subscription.expect(served)
        return lambda: subscription.modify(terms, served)

    async def delete(self, identifier: int) -> None:
        """delete-subscription: when this returns nothing more is sent for it."""
        subscription = self.own(identifier, "delete-subscription-error-info", "no-such-subscription")
        self.registry.remove(identifier)
        await subscription.stop()

    def kill(self, identifier: int) -> None:
        """kill-subscription: anybody's."""
        if not self.registry.terminate(identifier, "no-such-subscription"):
            raise subscription_error(
                "delete-subscription-error-info",
                "no-such-subscription",
                f"there is no subscription {identifier}",
            )

    def resync(self, identifier: int) -> None:
        """resync-subscription, with `begin`."""
        structure: Structure = "resync-subscription-error"
        subscription = self.own(identifier, structure, "no-such-subscription-resync")
        if not isinstance(subscription.served, OnChangePush):
            text = f"subscription {identifier} is not an on-change subscription"
            raise subscription_error(structure, "on-change-sync-unsupported", text)
        self._deferred.append(subscription.resync)

    def own(self, identifier: int, structure: Structure, identity: str) -> Dynamic:
        """A subscription of this session.

        Raises:
            RpcError: there is none with this identifier.
        """
        subscription = self.registry.subscriptions.get(identifier)
        if subscription is None or subscription.session != self._session:
            text = f"this session has no subscription {identifier}"
            raise subscription_error(structure, identity, text)
        return subscription

    # --- life ------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start what was asked for; called when its reply has been sent."""
        if self._requested is not None:
            requested, self._requested = self._requested, None
            self._classic = self._spawn(requested.run())
            # a session that ends at once cancels the task before it has begun: `run` closes nothing then
            self._classic.add_done_callback(lambda _: requested.close())
        deferred, self._deferred = self._deferred, []
        for action in deferred:
            action()

    def terminate(self, subscription: Dynamic, reason: str) -> None:
        """End one of this session's from outside, and tell the client."""
        self.registry.remove(subscription.id)
        self._spawn(self._terminate(subscription, reason))

    async def _terminate(self, subscription: Dynamic, reason: str) -> None:
        await subscription.stop()
        await self.message(subscription.notices.terminated(reason))

    def _ended(self, subscription: Dynamic) -> None:
        self.registry.remove(subscription.id)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._guard(work), name=f"netconf-{self._session}-subscription")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: work.close())
        return task

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except (SubscriptionEnded, PeerStalled) as ended:
            log.warning("netconf.subscription-ended", session=self._session, detail=str(ended))
            self._end("dropped")
        except ConnectionError:
            self._end("dropped")
        except Exception:
            log.exception("netconf.subscription-failed", session=self._session)
            self._end("other")

    async def close(self) -> None:
        """End them all at once; what is being sent is cut off."""
        if self._requested is not None:
            self._requested.close()
        for sending in tuple(self._sending):
            sending.cancel()
        for subscription in self.mine:
            self.registry.remove(subscription.id)
            subscription.abandon()
        while self._tasks:
            tasks = tuple(self._tasks)
            for task in tasks:
                task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.wait(tasks)


def _structure(rpc: str, terms: Terms) -> Structure:
    if isinstance(terms, EventTerms):
        return (
            "establish-subscription-stream-error-info"
            if rpc == "establish"
            else "modify-subscription-stream-error-info"
        )
    return (
        "establish-subscription-datastore-error-info"
        if rpc == "establish"
        else "modify-subscription-datastore-error-info"
    )


def _check_start(start: int | None) -> None:
    if start is not None and start > time.time_ns():
        raise RpcError(
            "bad-element", "<startTime> must not be in the future", info={"bad-element": "startTime"}
        )
