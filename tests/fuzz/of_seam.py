"""What control and management say to each other on the command socket."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from bng.seam import command
from tests.fuzz.runner import Target
from tests.fuzz.streams import JSON_TOKENS, Streams, Writer
from yang.provider import OperationError


def targets() -> Iterator[Target]:
    yield Target("command-frame", _frames(), CommandFrames(), tokens=JSON_TOKENS)
    yield Target("command-answer", [_told()], CommandAnswers(), tokens=JSON_TOKENS)


def _frames() -> list[bytes]:
    asks = [
        {"id": 1, "method": "echo", "params": {"text": "süß"}},
        {"id": 2, "method": "refuse"},
        {"id": 3, "method": "nothing", "params": []},
    ]
    return [command.encode(asks[0]), b"".join(map(command.encode, asks))]


class CommandFrames(Streams):
    """Control's end: each whole frame with an object gets one answer, the first other one ends it."""

    def __init__(self) -> None:
        super().__init__()

        async def echo(params: dict[str, Any]) -> Any:
            return params

        async def refuse(_: dict[str, Any]) -> Any:
            raise OperationError("invalid-value", "no")

        self._methods = {"echo": echo, "refuse": refuse}

    def __call__(self, data: bytes) -> bool:
        return bool(self.run(self._serve(data)))

    async def _serve(self, data: bytes) -> bool:
        server = command.CommandServer(Path("/nonexistent"), self._methods)
        writer = Writer()
        await server._serve(self.reader(data), writer)  # type: ignore[arg-type]
        while server.pending:
            await asyncio.sleep(0)
        asked = _objects(data)
        told = _objects(bytes(writer.written))
        assert len(told) == len(asked), "not one answer for each"
        assert sorted(map(_id, told)) == sorted(map(_id, asked))
        for answer in told:
            assert ("result" in answer) != ("error" in answer)
        return bool(asked)


def _id(message: dict[str, Any]) -> bytes:
    return orjson.dumps(message.get("id"))


def _objects(data: bytes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    at = 0
    while at + 4 <= len(data):
        (length,) = struct.unpack_from("!I", data, at)
        if at + 4 + length > len(data):
            break
        try:
            message = orjson.loads(data[at + 4 : at + 4 + length])
        except orjson.JSONDecodeError:
            break
        if not isinstance(message, dict):
            break
        found.append(message)
        at += 4 + length
    return found


def _told() -> bytes:
    error = {"tag": "data-missing", "message": "there is none", "path": None, "app_tag": None}
    messages: list[dict[str, Any]] = [
        {"id": 1, "result": {"a": 1}},
        {"id": 2, "error": error},
        {"push": "health", "report": {}},
    ]
    return b"".join(map(command.encode, messages))


class CommandAnswers(Streams):
    """Management's end: who waits gets an answer or an error."""

    def __call__(self, data: bytes) -> bool:
        return bool(self.run(self._session(data)))

    async def _session(self, data: bytes) -> bool:
        async def greet(client: command.CommandClient) -> None:
            for method in ("one", "two"):
                asks.append(asyncio.ensure_future(client.call(method, {})))

        asks: list[asyncio.Future[Any]] = []
        client = command.CommandClient(Path("/nonexistent"), greet, lambda message: None)
        client._writer = Writer()  # type: ignore[assignment]
        await greet(client)
        await asyncio.sleep(0)
        client._on_connect = lambda _: asyncio.sleep(0)
        await client._session(self.reader(data), Writer())  # type: ignore[arg-type]
        answers = await asyncio.gather(*asks, return_exceptions=True)
        for answer in answers:
            assert not isinstance(answer, BaseException) or isinstance(answer, OperationError)
        return isinstance(answers[0], dict)
