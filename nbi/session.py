"""One NETCONF session: requests in, replies in the same order, notifications in between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from typing import Protocol

import structlog

from nbi.files import ConfigFiles
from nbi.info import Counters, Limits, SessionInfo
from nbi.intake import LARGE, Intake
from nbi.link import Link, PeerStalled
from nbi.operations import HANDLERS, Context, Operation, Reply, model
from nbi.output import Output, ReplyBroken
from nbi.protocol.connection import (
    HelloReceived,
    ProtocolViolation,
    RpcReceived,
    RpcRejected,
    ServerConnection,
)
from nbi.protocol.errors import ERROR_TAGS, ERROR_TYPES, RpcError
from nbi.protocol.names import CAP_PRIVATE_CANDIDATE
from nbi.protocol.rpc import OK, REPLY_END, Rpc, error_reply
from nbi.subscriptions import Registry, SessionSubscriptions
from yang.datastore.merge import ConflictError
from yang.provider import OperationError, OperationErrors
from yang.tree import Tree

log = structlog.get_logger(__name__)

READ_AHEAD = 65536
"""Octets that may wait while a request is carried out; beyond, the transport stops reading."""


class SessionOwner(Protocol):
    """What a session needs of its server."""

    tree: Tree
    subscriptions: Registry
    limits: Limits
    totals: Counters
    capabilities: list[str]
    namespaces: dict[str, str]
    files: ConfigFiles | None
    intake: Intake

    async def kill(self, session_id: int, by: int) -> None: ...

    def bad_hello(self) -> None: ...


class _End(Exception):
    """The session is over; `reason` is a termination-reason of ietf-netconf-notifications."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason = reason


class NetconfSession:
    """Runs one session over a `Link`.

    The transport calls `data_received`, `eof_received` and `connection_lost`; `run` is the session's task.
    """

    def __init__(self, owner: SessionOwner, link: Link, info: SessionInfo) -> None:
        self.info = info
        self.counters = Counters()
        self.reason = ""
        self.killed_by: int | None = None
        self._owner = owner
        self._link = link
        self._connection = ServerConnection(
            info.datastore.id, owner.capabilities, owner.limits.max_message, owner.namespaces
        )
        self._output = Output(self._connection.framer, link, lambda: self._count("out_notifications"))
        self._context = Context(owner.tree, info.datastore, self, owner.files)
        self._input = asyncio.Event()
        self._eof = False
        self._busy = False
        self._in_hand = 0
        self._closing = False
        self._interruptible = False
        self.task: asyncio.Task[None]
        self.subscriptions = SessionSubscriptions(
            owner.subscriptions, info.datastore.user, info.datastore.id, info.peer, self._output, self.end
        )
        self._log = log.bind(session=info.datastore.id, user=info.datastore.user.name, peer=info.peer)

    @property
    def id(self) -> int:
        """The session-id."""
        return self.info.datastore.id

    @property
    def user_name(self) -> str:
        """Name of its user."""
        return self.info.datastore.user.name

    @property
    def held(self) -> int:
        """Octets received of requests that are not answered."""
        return self._connection.buffered + self._in_hand

    # --- called by the transport -----------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Octets from the client."""
        self._connection.receive(data)
        if self._connection.buffered > READ_AHEAD:
            if self._busy:
                self._link.read(False)
            refusal = self._owner.intake.refusal(self.user_name)
            if refusal is not None:
                self._connection.refuse(refusal)
        self._input.set()

    def eof_received(self) -> None:
        """The client sends nothing more; what it has sent is still answered."""
        self._eof = True
        self._input.set()

    def connection_lost(self) -> None:
        """The transport is gone."""
        self._link.connection_lost()
        self.end("dropped")

    def end(self, reason: str, killed_by: int | None = None) -> None:
        """End the session as soon as what it is changing at this moment is changed."""
        if not self.reason:
            self.reason = reason
            self.killed_by = killed_by
        if self._interruptible:
            self._interruptible = False  # once: a second time would not wait for that change any more
            self.task.cancel()

    # --- the session's task ----------------------------------------------------------------------

    def start(self, on_end: Callable[[NetconfSession], None]) -> None:
        """Begin `task`; `on_end` is called when everything of this session has been released."""
        self.task = asyncio.create_task(self._run(on_end), name=f"netconf-{self.id}")

    async def _run(self, on_end: Callable[[NetconfSession], None]) -> None:
        self._log.info("netconf.session-start", transport=self.info.transport)
        detail = ""
        try:
            self._interruptible = True
            if self.reason:
                raise _End(self.reason, "ended before it began")
            self._link.write(self._connection.greeting())
            await self._say_hello()
            await self._serve()
        except _End as end:
            self.reason, detail = self.reason or end.reason, str(end)
        except ReplyBroken as broken:
            self.reason, detail = self.reason or "dropped", str(broken)
        except PeerStalled as stalled:
            self.reason, detail = self.reason or "timeout", str(stalled)
        except ConnectionError:
            self.reason = self.reason or "dropped"
        except asyncio.CancelledError:
            self.reason = self.reason or "other"
        except Exception:
            self.reason = self.reason or "other"
            self._log.exception("netconf.session-failed")
        finally:
            self._interruptible = False
            await self._release()
            self._log.info("netconf.session-end", reason=self.reason, detail=detail)
            on_end(self)

    async def _release(self) -> None:
        """Let go of everything, in an order that lets the last octets out."""
        await self.subscriptions.close()
        await self._owner.tree.datastores.close_session(self.id)
        if self._eof or self.reason in ("closed", "bad-hello", "other"):
            self._link.close()
        else:
            self._link.abort()

    async def _say_hello(self) -> None:
        try:
            async with asyncio.timeout(self._owner.limits.hello_timeout):
                message = await self._next_message()
        except TimeoutError:
            raise _End("timeout", "no hello in time") from None
        if message is None:
            raise _End("dropped")
        try:
            event = self._connection.interpret(message)
        except ProtocolViolation as violation:
            self._owner.bad_hello()
            raise _End("bad-hello", str(violation)) from None
        assert isinstance(event, HelloReceived)
        if event.hello.private_candidate and CAP_PRIVATE_CANDIDATE in self._owner.capabilities:
            self._owner.tree.datastores.make_private(self.id)

    async def _serve(self) -> None:
        while not self._closing:
            message = await self._next_message()
            if message is None:
                raise _End("dropped", "the client closed the connection without close-session")
            self._busy, self._in_hand = True, len(message)
            try:
                if len(message) < LARGE:
                    await self._answer(message, None)
                else:
                    async with AsyncExitStack() as turn:
                        await turn.enter_async_context(self._owner.intake.large)
                        await self._answer(message, turn)
            finally:
                self._busy, self._in_hand = False, 0
        raise _End("closed")

    async def _next_message(self) -> bytes | None:
        """The next message; None when the client has closed its side."""
        while True:
            try:
                message = self._connection.next_message()
            except ProtocolViolation as violation:
                await self._farewell(violation)
                raise _End("other", str(violation)) from None
            if message is not None:
                return message
            if self._eof:
                return None
            # first, for a transport that held octets back hands them over inside of read()
            self._input.clear()
            self._link.read(True)
            await self._wait_for_input()

    async def _wait_for_input(self) -> None:
        """Wait for octets; a session that asks nothing and is told nothing ends in the end."""
        while True:
            idle_timeout = self._owner.limits.idle_timeout
            try:
                async with asyncio.timeout(idle_timeout or None):
                    await self._input.wait()
                return
            except TimeoutError:
                if not self.subscriptions.active:
                    raise _End("timeout", f"idle for {idle_timeout:g} s") from None

    async def _farewell(self, violation: ProtocolViolation) -> None:
        self._count("in_bad_rpcs")
        await self._output.send_last(violation.farewell)

    async def _answer(self, message: bytes, turn: AsyncExitStack | None) -> None:
        """Carry out a request and reply; `turn` is that of a large one, which is over before the reply, also
        one that tells of an error: others would wait for a client that does not read."""
        try:
            if turn is not None:
                event = await asyncio.to_thread(self._connection.interpret, message)
            else:
                event = self._connection.interpret(message)
        except ProtocolViolation as violation:
            await _give_up(turn)
            await self._farewell(violation)
            raise _End("other", str(violation)) from None
        if isinstance(event, RpcRejected):
            self._count("in_bad_rpcs")
            self._count("out_rpc_errors")
            await _give_up(turn)
            await self._output.send([event.reply])
        elif isinstance(event, RpcReceived):
            self._count("in_rpcs")
            await self._carry_out(event.rpc, turn)

    async def _carry_out(self, rpc: Rpc, turn: AsyncExitStack | None) -> None:
        started = time.monotonic()
        errors: list[RpcError] = []
        try:
            content = await self._invoke(rpc)
            if turn is not None:
                rpc.forget()
            await _give_up(turn)
            await self._reply(rpc, content)
        except OperationErrors as failure:
            errors = [_rpc_error(error) for error in failure.errors]
        except OperationError as failure:
            errors = [_rpc_error(failure)]
        except RpcError as failure:
            errors = [failure]
        except (_End, ReplyBroken, PeerStalled, ConnectionError):
            raise
        except Exception:
            self._log.exception("netconf.operation-failed", operation=rpc.name)
            errors = [RpcError("operation-failed", "an internal error; the server's log has details")]
        if errors:
            self._count("out_rpc_errors")
            await _give_up(turn)
            await self._output.send([error_reply(rpc.reply_start, errors, self._owner.namespaces)])
        self._log.debug(
            "netconf.operation",
            operation=rpc.name,
            error=errors[0].tag if errors else None,
            milliseconds=round((time.monotonic() - started) * 1000, 1),
        )
        self.subscriptions.begin()

    async def _invoke(self, rpc: Rpc) -> Reply:
        operation = HANDLERS.get(str(rpc.operation.tag))
        if operation is None or self._owner.tree.schema.find(operation.schema_path) is None:
            return await self._to_its_end(model.handle(self._context, rpc.operation))
        self._check_access(operation)
        if operation.interruptible:
            return await operation.handler(self._context, rpc.operation)
        return await self._to_its_end(operation.handler(self._context, rpc.operation))

    def _check_access(self, operation: Operation) -> None:
        # close-session is always permitted (RFC 8341 section 3.2.4).
        if operation.schema_path != "/ietf-netconf:close-session":
            self._owner.tree.check_exec(operation.schema_path, self.info.datastore.user)

    async def _to_its_end(self, change: Awaitable[Reply]) -> Reply:
        """Await a change that must not be left half done when the session is ended."""
        task = asyncio.ensure_future(change)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait({task})
            raise

    # --- output ----------------------------------------------------------------------------------

    async def _reply(self, rpc: Rpc, content: Reply) -> None:
        def parts() -> Iterable[bytes]:
            yield rpc.reply_start
            if content is None:
                yield OK
            else:
                yield from content
            yield REPLY_END

        await self._output.send(parts())

    def _count(self, name: str) -> None:
        for counters in (self.counters, self._owner.totals):
            setattr(counters, name, getattr(counters, name) + 1)

    # --- SessionControl --------------------------------------------------------------------------

    def close_after_reply(self) -> None:
        """End the session once the reply has been sent."""
        self._closing = True

    async def kill(self, session_id: int) -> None:
        """End another session; returns when its locks are released."""
        if session_id == self.id:
            raise RpcError(
                "invalid-value", "a session cannot kill itself", info={"bad-element": "session-id"}
            )
        await self._owner.kill(session_id, self.id)


async def _give_up(turn: AsyncExitStack | None) -> None:
    if turn is not None:
        await turn.aclose()


def _rpc_error(error: OperationError) -> RpcError:
    """What a client is told of an error of the tree."""
    return RpcError(
        error.tag if error.tag in ERROR_TAGS else "operation-failed",
        error.message,
        error.error_type if error.error_type in ERROR_TYPES else "application",
        error.path,
        error.app_tag,
        error.info,
        error.conflicts if isinstance(error, ConflictError) else (),
    )
