"""A small gNMI target for the collector's tests, run as a process that may be killed.

`python -m tests.support.journal_target PORT FOLDER EVENTS OLDEST [OPTIONS]` serves a journal of session
starts and stops that it keeps in FOLDER (so it goes on after a kill), and counter samples as often as they
are asked for. Event n is the start of session (n+1)//2 when n is odd, and its stop when n is even. Ticks
count on while it is dead.

OPTIONS is a JSON object: `per_turn` events are made each 10 ms (50); `flood` sessions are sampled without a
pause, in messages of 200, in place of the one that lives; `live` more sessions are there for who asks once;
every event whose number `strange` divides is one that PostgreSQL does not take.
`FOLDER/control.json`, read again and again, may
have `clock`, seconds that its clock is ahead, `oldest`, the first event that is still there, and `torn`: of
the two messages of a tick only the first is sent, and nothing after it.
"""

from __future__ import annotations

import asyncio
import json
import random
import struct
import sys
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import grpc
import numpy as np

from telemetry.encoder import ColumnEncoder
from telemetry.protocol import gnmi_pb2
from telemetry.rows import ColumnShape

RECORD = struct.Struct(">QQ")
INSTANCE = "6f1c2d1e-0000-4000-8000-000000000001"
COUNTERS = ("in-octets", "out-octets", "in-packets", "out-packets", "in-discards", "out-discards")


STRANGE: tuple[dict[str, int | str], ...] = (
    {"instance-id": "none"},
    {"download-rate": 2**64 - 1},
    {"username": "".join(random.Random(1).choices("0123456789abcdef", k=20_000))},  # an index has no room
    {"router/remote-id": "r", "router/address": "nowhere", "type": "router-update"},
    {},
)


def session_id(number: int) -> str:
    return f"{number:016x}"


def _update(name: str, value: int | str) -> gnmi_pb2.Update:
    path = gnmi_pb2.Path(elem=[gnmi_pb2.PathElem(name=part) for part in name.split("/")])
    typed = (
        gnmi_pb2.TypedValue(uint_val=value)
        if isinstance(value, int)
        else gnmi_pb2.TypedValue(string_val=value)
    )
    return gnmi_pb2.Update(path=path, val=typed)


def event(seq: int, time_ns: int, strange: int = 0) -> gnmi_pb2.SubscribeResponse:
    """The notification of one event."""
    number = (seq + 1) // 2
    when = datetime.fromtimestamp(time_ns / 1e9, UTC).isoformat()
    leaves: dict[str, int | str] = {
        "instance-id": INSTANCE,
        "type": "session-start" if seq % 2 else "session-stop",
        "session-id": session_id(number),
        "access-line/remote-id": "node-1",
        "access-line/circuit-id": f"1/0/{number}",
        "username": f"bng-01/node-1/1/0/{number}",
        "mac-address": "02:00:00:00:00:01",
        "ip-address": "10.0.0.7",
        "status": "authorizing" if seq % 2 else "terminating",
        "started": when,
    }
    if seq % 2 == 0:
        leaves["terminate-cause"] = "User-Request"
        leaves.update({f"counters/{name}": number * 1000 + i for i, name in enumerate(COUNTERS)})
    key = {"seq": str(seq)}
    if strange and seq % strange == 0:
        way = seq // strange % len(STRANGE)
        leaves.update(STRANGE[way])
        key = key if STRANGE[way] else {}  # the last one has no number
    elements = [
        gnmi_pb2.PathElem(name="aether-events:events"),
        gnmi_pb2.PathElem(name="event", key=key),
    ]
    notification = gnmi_pb2.Notification(
        timestamp=time_ns,
        atomic=True,
        prefix=gnmi_pb2.Path(elem=elements),
        update=[_update(name, value) for name, value in leaves.items()],
    )
    return gnmi_pb2.SubscribeResponse(update=notification)


def sample(session: int, tick: int, time_ns: int) -> gnmi_pb2.SubscribeResponse:
    """Counters of one session, which are 10 × tick and up."""
    updates = []
    for i, name in enumerate((*COUNTERS, "tick")):
        update = _update(f"session/counters/{name}", tick if name == "tick" else 10 * tick + i)
        update.path.elem[0].key["id"] = session_id(session)
        updates.append(update)
    prefix = gnmi_pb2.Path(elem=[gnmi_pb2.PathElem(name="aether-subscriber:sessions")])
    notification = gnmi_pb2.Notification(timestamp=time_ns, prefix=prefix, update=updates)
    return gnmi_pb2.SubscribeResponse(update=notification)


def identity() -> gnmi_pb2.SubscribeResponse:
    """What follows a tick."""
    prefix = gnmi_pb2.Path(elem=[gnmi_pb2.PathElem(name=name) for name in ("aether-bng:bng", "identity")])
    update = [_update("instance-id", INSTANCE)]
    return gnmi_pb2.SubscribeResponse(update=gnmi_pb2.Notification(prefix=prefix, update=update))


def _live(number: int) -> gnmi_pb2.SubscribeResponse:
    """A session that no event tells of."""
    entry = gnmi_pb2.PathElem(name="session", key={"id": f"{number + 0xA000_0000:016x}"})
    prefix = gnmi_pb2.Path(elem=[gnmi_pb2.PathElem(name="aether-subscriber:sessions"), entry])
    leaves = {"username": f"bng-01/node-2/1/0/{number}", "status": "active", "interface": "x" * 600}
    update = [_update(name, value) for name, value in leaves.items()]
    return gnmi_pb2.SubscribeResponse(update=gnmi_pb2.Notification(prefix=prefix, update=update))


class Target:
    """Makes events up to a number, durable in a file; serves them."""

    def __init__(
        self,
        folder: Path,
        most: int,
        oldest: int = 1,
        per_turn: int = 50,
        flood: int = 0,
        live: int = 0,
        strange: int = 0,
    ) -> None:
        self._folder = folder
        self._file = (folder / "journal").open("a+b")
        self._file.seek(0)
        data = self._file.read()
        whole = len(data) - len(data) % RECORD.size
        self._file.truncate(whole)
        self.events = [RECORD.unpack_from(data, at) for at in range(0, whole, RECORD.size)]
        self.most, self.oldest, self.clock, self.torn = most, oldest, 0.0, False
        self.per_turn, self.flood, self.live, self.strange = per_turn, flood, live, strange
        self._news = asyncio.Event()

    async def look(self) -> None:
        """Look into control.json."""
        try:
            told = json.loads((self._folder / "control.json").read_text())
        except (OSError, ValueError):
            return
        self.clock, self.oldest = told.get("clock", 0.0), told.get("oldest", self.oldest)
        self.most, self.torn = told.get("most", self.most), told.get("torn", False)

    async def obey(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(0.1)

    def now(self) -> int:
        """Its clock, in ns, to the microsecond."""
        return int((time.time() + self.clock) * 1e6) * 1000

    async def make(self) -> None:
        while len(self.events) < self.most:
            for _ in range(min(self.per_turn, self.most - len(self.events))):
                time_ns = self.now()
                if self.events and time_ns <= self.events[-1][1]:
                    time_ns = self.events[-1][1] + 1000
                self.events.append((len(self.events) + 1, time_ns))
                self._file.write(RECORD.pack(*self.events[-1]))
            self._file.flush()
            self._news.set()
            self._news = asyncio.Event()
            await asyncio.sleep(0.01)
        (self._folder / "made").write_text(str(len(self.events)))

    async def capabilities(self, _request: object, _context: object) -> gnmi_pb2.CapabilityResponse:
        return gnmi_pb2.CapabilityResponse(gNMI_version="0.10.0")

    async def get(self, request: gnmi_pb2.GetRequest, _context: object) -> gnmi_pb2.GetResponse:
        names = [e.name.rpartition(":")[2] for e in request.path[0].elem]
        if names[-1] == "identity":
            notification = identity().update
        elif names[-1] == "journal":
            notification = gnmi_pb2.Notification(
                prefix=request.path[0], update=[_update("oldest-seq", self.oldest)]
            )
        else:
            notification = gnmi_pb2.Notification()
        return gnmi_pb2.GetResponse(notification=[notification])

    async def subscribe(
        self, requests: AsyncIterator[gnmi_pb2.SubscribeRequest], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[gnmi_pb2.SubscribeResponse]:
        request = await anext(requests)
        if request.subscribe.mode == gnmi_pb2.SubscriptionList.ONCE:
            for number in range(self.live):
                yield _live(number)
            yield gnmi_pb2.SubscribeResponse(sync_response=True)
            return
        kind = request.subscribe.subscription[0].path.elem[0].name
        if kind == "aether-events:events":
            since = request.extension[0].history.range.start if request.extension else 0
            if since and self.oldest > 1 and since < self.events[self.oldest - 1][1]:
                await context.abort(grpc.StatusCode.DATA_LOSS, f"oldest-seq={self.oldest}")
            at = next((i for i, (_, time) in enumerate(self.events) if time >= since), len(self.events))
            at = max(at, self.oldest - 1)
            yield gnmi_pb2.SubscribeResponse(sync_response=True)
            while True:
                news = self._news
                while at < len(self.events):
                    if at + 1 < self.oldest:
                        await context.abort(grpc.StatusCode.DATA_LOSS, f"oldest-seq={self.oldest}")
                    yield event(*self.events[at], self.strange)
                    at += 1
                await news.wait()
        asked = request.subscribe.subscription
        interval = asked[0].sample_interval / 1e9 or 1
        if kind == "aether-subscriber:sessions" and self.flood:
            async for message in self._flood():
                yield message
        while True:
            tick = int(time.monotonic() / interval)
            if kind == "aether-subscriber:sessions":
                for message in self._sample(tick):
                    yield message
                    while self.torn:
                        await asyncio.sleep(1)
                if len(asked) > 1:
                    yield identity()
            await asyncio.sleep((tick + 1) * interval - time.monotonic())

    async def _flood(self) -> AsyncIterator[gnmi_pb2.SubscribeResponse]:
        prefix = gnmi_pb2.Path(elem=[gnmi_pb2.PathElem(name="aether-subscriber:sessions")])
        leaves = tuple(("counters", name) for name in ("tick", *COUNTERS))
        keys = [(session_id(number),) for number in range(self.flood)]
        blocks = (
            ColumnEncoder(ColumnShape(prefix, "session", ("id",), leaves)).layout(keys, membership=1).blocks
        )
        values = np.zeros((self.flood, len(leaves)), np.uint64)
        while True:
            values += np.uint64(1)
            now = self.now()
            for block, rows in blocks:
                yield gnmi_pb2.SubscribeResponse.FromString(block.message(values[rows], now))
                await asyncio.sleep(0)

    def _sample(self, tick: int) -> Iterator[gnmi_pb2.SubscribeResponse]:
        """Counters of the live session and of the one that comes next; a message each."""
        number, now = (len(self.events) + 1) // 2, self.now()
        for session in (number, number + 1):
            yield sample(session, tick, now)


async def main(port: int, folder: Path, most: int, oldest: int, options: dict[str, int]) -> None:
    target = Target(folder, most, oldest, **options)
    server = grpc.aio.server()
    unary, stream = grpc.unary_unary_rpc_method_handler, grpc.stream_stream_rpc_method_handler
    handlers = {
        "Capabilities": unary(
            target.capabilities,
            gnmi_pb2.CapabilityRequest.FromString,
            gnmi_pb2.CapabilityResponse.SerializeToString,
        ),
        "Get": unary(target.get, gnmi_pb2.GetRequest.FromString, gnmi_pb2.GetResponse.SerializeToString),
        "Subscribe": stream(
            target.subscribe,
            gnmi_pb2.SubscribeRequest.FromString,
            gnmi_pb2.SubscribeResponse.SerializeToString,
        ),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("gnmi.gNMI", handlers),))
    key, cert = (folder / "key.pem").read_bytes(), (folder / "cert.pem").read_bytes()
    server.add_secure_port(f"127.0.0.1:{port}", grpc.ssl_server_credentials([(key, cert)]))
    await server.start()
    await target.look()
    obeying = asyncio.create_task(target.obey())
    await target.make()
    await asyncio.gather(obeying, server.wait_for_termination())


if __name__ == "__main__":
    more = json.loads(sys.argv[5]) if len(sys.argv) > 5 else {}
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), more))
