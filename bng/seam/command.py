"""The command socket: how management asks the control plane for something.

A Unix stream socket, mode 0600, in the state folder. A frame is a length (u32, network order) and JSON:
requests ``{"id", "method", "params"}``, answers ``{"id", "result"}`` or ``{"id", "error": {"tag", "message",
"path", "app_tag"}}``, and what control tells unasked: ``{"push": kind, …}``.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
import structlog

from yang.provider import OperationError

log = structlog.get_logger()

Method = Callable[[dict[str, Any]], Awaitable[Any]]

MAX_FRAME = 64 << 20
"""100,000 shaping profiles are less than half of it."""
_LENGTH = struct.Struct("!I")
_HIGH_WATER = 4 << 20
_MAX_PEERS = 16


class FrameError(Exception):
    """The peer sent what is no frame."""


def encode(message: Mapping[str, Any]) -> bytes:
    """The frame that carries a message."""
    body = orjson.dumps(message)
    if len(body) > MAX_FRAME:
        raise FrameError(f"a message of {len(body)} octets is longer than {MAX_FRAME}")
    return _LENGTH.pack(len(body)) + body


async def read_frame(reader: asyncio.StreamReader) -> dict[str, Any]:
    """The next message.

    Raises:
        asyncio.IncompleteReadError: the peer closed.
        FrameError: what came is no frame.
    """
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    if length > MAX_FRAME:
        raise FrameError(f"a frame of {length} octets is longer than {MAX_FRAME}")
    try:
        message = orjson.loads(await reader.readexactly(length))
    except orjson.JSONDecodeError as error:
        raise FrameError(f"a frame is no JSON: {error}") from None
    if not isinstance(message, dict):
        raise FrameError("a frame is no JSON object")
    return message


def error_of(error: OperationError) -> dict[str, Any]:
    return {"tag": error.tag, "message": str(error), "path": error.path, "app_tag": error.app_tag}


def _raised(error: Any) -> OperationError:
    """The error of an answer."""
    try:
        path, app_tag = error.get("path"), error.get("app_tag")
        return OperationError(error["tag"], error["message"], path=path, app_tag=app_tag)
    except (AttributeError, KeyError):
        return OperationError("operation-failed", "the control plane refused, and did not say why")


class _Peer:
    """One connected management process, as control sees it."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.held: dict[str, bytes] = {}
        """Pushes that wait because the peer does not read: the newest of each kind."""

    def push(self, kind: str, frame: bytes) -> None:
        if self.writer.transport.get_write_buffer_size() > _HIGH_WATER:
            self.held[kind] = frame
            return
        for held in self.held.values():
            self.writer.write(held)
        self.held.clear()
        self.writer.write(frame)


class CommandServer:
    """Control's end.

    Args:
        path: of the socket; what is left of an earlier process there is replaced.
        methods: name → what carries it out. OperationError becomes the error of the answer.
    """

    def __init__(self, path: Path, methods: Mapping[str, Method]) -> None:
        self.path = path
        self._methods = dict(methods)
        self._peers: set[_Peer] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def pending(self) -> int:
        """Requests that are not answered yet."""
        return len(self._tasks)

    async def start(self) -> None:
        """Listen. Raises OSError."""
        self.path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.setblocking(False)
        listener.bind(str(self.path))
        self.path.chmod(0o600)
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, backlog=_MAX_PEERS)

    async def close(self) -> None:
        """Stop listening, and let go of those who are connected."""
        if self._server is not None:
            self._server.close()
        for peer in list(self._peers):
            peer.writer.close()
        for task in list(self._tasks):
            task.cancel()
        self.path.unlink(missing_ok=True)

    def push(self, kind: str, **content: Any) -> None:
        """Tell every peer. For one that does not read only the newest of each kind is kept."""
        if self._peers:
            frame = encode({"push": kind, **content})
            for peer in self._peers:
                peer.push(kind, frame)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._peers) >= _MAX_PEERS:
            writer.close()
            return
        peer = _Peer(writer)
        self._peers.add(peer)
        try:
            while True:
                await self._answer(await read_frame(reader), writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except FrameError as error:
            log.warning("command.bad-frame", reason=str(error))
        finally:
            self._peers.discard(peer)
            writer.close()

    async def _answer(self, request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        """Carry out one request in a task of its own: a slow one holds up no other."""
        task = asyncio.ensure_future(self._carry_out(request, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if len(self._tasks) > 256:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    async def _carry_out(self, request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        answer: dict[str, Any] = {"id": request.get("id")}
        method = self._methods.get(str(request.get("method")))
        params = request.get("params") or {}
        try:
            if method is None:
                raise OperationError("operation-not-supported", f"no method {request.get('method')!r}")
            if not isinstance(params, dict):
                raise OperationError("invalid-value", "params must be an object")
            answer["result"] = await method(params)
        except OperationError as error:
            answer["error"] = error_of(error)
        except Exception:
            log.exception("command.failed", method=request.get("method"))
            message = "the control plane failed to carry this out; its log says why"
            answer["error"] = error_of(OperationError("operation-failed", message))
        with contextlib.suppress(ConnectionError):
            writer.write(encode(answer))
            await writer.drain()


class CommandClient:
    """Management's end: connects, and connects again whenever control is back.

    Args:
        path: of the socket.
        on_connect: awaited after each connect, with this client; requests may be made in it.
        on_push: called with each push (a dict with ``push`` and its content).
    """

    def __init__(
        self,
        path: Path,
        on_connect: Callable[[CommandClient], Awaitable[None]],
        on_push: Callable[[dict[str, Any]], None],
    ) -> None:
        self.path = path
        self._on_connect = on_connect
        self._on_push = on_push
        self._writer: asyncio.StreamWriter | None = None
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._ids = itertools.count(1)

    @property
    def connected(self) -> bool:
        return self._writer is not None

    async def run(self) -> None:
        """Keep connected until cancelled."""
        delay = 0.05
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(str(self.path))
            except OSError:
                await asyncio.sleep(delay)
                delay = min(delay * 2, 1.0)
                continue
            delay = 0.05
            await self._session(reader, writer)

    async def call(self, method: str, params: Mapping[str, Any], *, within: float = 10.0) -> Any:
        """Ask control.

        Args:
            within: seconds to wait for the answer.

        Raises:
            OperationError: what control answered, or ``resource-denied`` when it is not there or is silent.
        """
        if self._writer is None:
            raise OperationError(
                "resource-denied", "the control plane is not running at the moment; try again shortly"
            )
        number = next(self._ids)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            self._writer.write(encode({"id": number, "method": method, "params": params}))
            return await asyncio.wait_for(answer, within)
        except TimeoutError:
            raise OperationError(
                "operation-failed", f"the control plane did not answer {method} within {within:g} s"
            ) from None
        except FrameError as error:
            raise OperationError("too-big", str(error)) from None
        finally:
            self._waiting.pop(number, None)

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        greeting = asyncio.ensure_future(self._greet())
        try:
            while True:
                self._take(await read_frame(reader))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except FrameError as error:
            log.warning("command.bad-frame", reason=str(error))
        finally:
            self._writer = None
            greeting.cancel()
            writer.close()
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(
                        OperationError("operation-failed", "the control plane went away before it answered")
                    )

    async def _greet(self) -> None:
        try:
            await self._on_connect(self)
        except OperationError as error:
            log.warning("command.greeting-failed", reason=str(error))

    def _take(self, message: dict[str, Any]) -> None:
        if "push" in message:
            self._on_push(message)
            return
        number = message.get("id")
        answer = self._waiting.get(number) if isinstance(number, int) else None
        if answer is None or answer.done():
            return
        error = message.get("error")
        if error is None:
            answer.set_result(message.get("result"))
        else:
            answer.set_exception(_raised(error))
