"""How a session reads what came."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import numpy as np
import pytest

from collector import apart, link
from collector.config import Target, parse
from collector.service import Service
from collector.session import Session
from collector.template import SESSION_ID, Samples
from telemetry.encoder import ColumnEncoder, ColumnShape
from telemetry.protocol import gnmi_pb2
from tests.support.journal_target import COUNTERS, session_id


async def test_learning_layouts_holds_nobody_up() -> None:
    """A transaction that waits for the loop would be ended by PostgreSQL."""
    prefix = gnmi_pb2.Path(elem=[gnmi_pb2.PathElem(name="aether-subscriber:sessions")])
    leaves = tuple(("counters", name) for name in ("tick", *COUNTERS))
    encoder = ColumnEncoder(ColumnShape(prefix, "session", ("id",), leaves))
    keys = [(session_id(number),) for number in range(1000)]
    now, values = time.time_ns(), np.ones((len(keys), len(leaves)), np.uint64)
    layout = encoder.layout(keys, membership=1)
    messages = [block.message(values[rows], now) for block, rows in layout.blocks]
    config = parse({"database": "x", "targets": []})
    session = Session(config, Target("b", "192.0.2.1:57400", "u", "p", Path("ca")), 1)
    reading = asyncio.create_task(session._read(messages, now))
    turns = 0
    while not reading.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns >= len(messages) > 1
    assert sum(len(samples.sessions) for samples in reading.result() if samples) == len(keys)


def test_a_clock_that_stands_still_is_not_taken_for_one_tick() -> None:
    config = parse({"database": "x", "targets": []})
    session = Session(config, Target("b", "192.0.2.1:57400", "u", "p", Path("ca")), 1)
    now = time.time_ns()

    def read(told: int, tick: int, at: int) -> int:
        samples = Samples(told, np.array(["0" * 16], SESSION_ID), np.full((1, 7), tick, np.int64))
        return session._in_time(samples, at).time_ns

    for told in (0, -1, 2**64 - 1, 32_503_680_000 * 10**9):
        begun = [read(told, tick, now + after) for tick, after in ((1, 0), (1, 5), (2, 10), (2, 15), (1, 20))]
        assert begun == [now, now, now + 10, now + 10, now + 10]
    assert read(now - 10**9, 9, now) == now - 10**9


class Unlucky(Session):
    """Fails with one error after the other, then waits."""

    def __init__(self, *errors: Exception | None) -> None:
        config = parse({"database": "x", "targets": []})
        super().__init__(config, Target("b", "192.0.2.1:57400", "u", "p", Path("ca")), 1)
        self.errors, self.seen = list(errors), list[bool]()

    async def connected(self) -> None:
        self.seen.append(self.silent_since is not None)
        if not self.errors:
            await asyncio.Event().wait()
        if error := self.errors.pop(0):
            raise error

    async def say(self, up: bool, error: str | None, **columns: Any) -> None:
        pass


async def test_only_what_the_target_does_counts_as_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "RETRY_FIRST", 0.001)
    nothing = grpc.aio.Metadata()
    away = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, nothing, nothing)
    session = Unlucky(away, ExceptionGroup("", [away]), OSError("PostgreSQL"), away, None)
    running = asyncio.create_task(session.run())
    while len(session.seen) < 6:
        await asyncio.sleep(0.001)
    running.cancel()
    assert session.seen == [False, True, True, False, True, False]


async def test_large_messages_are_read_apart() -> None:
    config = parse({"database": "x", "targets": []})
    session = Session(config, Target("b", "192.0.2.1:57400", "u", "p", Path("ca")), 1)
    names = []
    session._reader.read = lambda _: names.append(threading.current_thread())  # type: ignore[assignment,method-assign]
    await session._read([b"small", bytes(apart.LARGE)], 1)
    assert [name is threading.main_thread() for name in names] == [True, False]


async def test_what_is_read_apart_has_ended_when_the_reader_is_cancelled() -> None:
    begun, ended = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        time.sleep(0.05)
        ended.set()
        raise ValueError

    reading = asyncio.create_task(apart.decoded(apart.LARGE, work))
    while not begun.is_set():
        await asyncio.sleep(0.001)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert ended.is_set()


class Unsteady(Service):
    """Its connection for leases fails in the way that is said."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__(parse({"database": "postgresql://127.0.0.1:1/none", "targets": []}))
        self.errors = list(errors)

    async def _migrate(self) -> None:
        pass

    async def _hold(self) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.stop.set()

    async def _pause(self, seconds: float) -> None:
        pass


async def test_a_connection_that_ends_in_any_way_is_made_again() -> None:
    service = Unsteady(
        asyncpg.InternalClientError("cannot switch to state 15"),
        asyncpg.ConnectionDoesNotExistError("closed"),
        asyncpg.InterfaceError("closed"),
        TimeoutError(),
    )
    async with asyncio.timeout(20):
        await service.run()
    assert service.errors == []
