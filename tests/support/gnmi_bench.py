"""A gNMI server in a process of its own with counters that grow at each look, and clients that measure it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import uvloop

from telemetry import samples
from telemetry.encoder import Layout
from telemetry.protocol import gnmi_pb2 as pb
from telemetry.protocol.paths import build, from_text
from telemetry.sampler import ColumnProducer, ColumnTick
from telemetry.server import GnmiServer
from telemetry.subscribe import Limits
from tests.support import certificates
from yang.provider import Columns, Keys, Registration
from yang.tree import Tree

COUNTERS = [f"{way}-{what}" for what in ("octets", "packets", "discards", "errors") for way in ("in", "out")]
USER, PASSWORD = "admin", "bench"
PATH = "/aether-bench:sessions/session/counters"
MODULE = """module aether-bench {{
  yang-version 1.1;
  namespace "urn:aether:yang:aether-bench";
  prefix b;
  import ietf-yang-types {{ prefix yang; }}
  revision 2026-11-21;
  container sessions {{
    config false;
    list session {{
      key "id";
      leaf id {{ type string; }}
      container counters {{
        {leaves}
      }}
    }}
  }}
}}
"""
STARTUP = (
    """{"ietf-system:system": {"authentication": {"user": [{"name": "admin", "password": "$0$bench"}]}}}"""
)


class Sessions:
    """Counters of so many sessions."""

    path = "/aether-bench:sessions/session"

    def __init__(self, count: int) -> None:
        self._keys = [(f"{number * 7919:016x}",) for number in range(count)]
        numbers = np.arange(count * len(COUNTERS), dtype=np.uint64).reshape(count, -1)
        self._values = numbers * np.uint64(1_000_003) + np.uint64(10**11)
        self._tick = 0

    def get(self, keys: Keys) -> None:
        return None

    def iter(self) -> list[Any]:
        return []

    def columns(self) -> Columns:
        self._tick += 1
        self._values = self._values + np.uint64(150_000)
        leaves = [("counters", name) for name in COUNTERS]
        return Columns(self._keys, leaves, self._values, 1, self._tick, time.time_ns())


class OrdinaryTick(ColumnTick):
    """One Notification per session, by protobuf."""

    def __init__(self, layout: Layout, values: np.ndarray, time_ns: int) -> None:
        super().__init__(layout, values, time_ns)
        self._rows = values.tolist()
        self._keys = [key for (key,) in layout.rows()]

    def message(self, number: int, duplicates: int) -> bytes | None:
        if number >= len(self._rows):
            return None
        response = pb.SubscribeResponse()
        response.update.timestamp = self.time_ns
        elements = response.update.prefix.elem
        elements.add(name="aether-bench:sessions")
        elements.add(name="session").key["id"] = self._keys[number]
        elements.add(name="counters")
        for name, value in zip(COUNTERS, self._rows[number], strict=True):
            update = response.update.update.add(duplicates=duplicates)
            update.path.elem.add(name=name)
            update.val.uint_val = value
        octets: bytes = response.SerializeToString()
        return octets


class OrdinaryProducer(ColumnProducer):
    """The baseline."""

    def tick(self) -> ColumnTick:
        tick = super().tick()
        return OrdinaryTick(tick.layout, tick.values, tick.time_ns)


async def _serve(folder: Path, sessions: int, interval: int, tls: bool) -> None:
    """Serve until standard input ends."""
    leaves = " ".join(f"leaf {name} {{ type yang:counter64; }}" for name in COUNTERS)
    modules = folder / "modules"
    modules.mkdir()
    (modules / "aether-bench.yang").write_text(MODULE.format(leaves=leaves))
    (folder / "startup.json").write_text(STARTUP)
    key, certificate = certificates.write(folder)
    tree = await Tree.open(
        Registration(state=[Sessions(sessions)]),
        folder,
        startup=folder / "startup.json",
        module_dirs=[modules],
    )
    if not tls:  # the server itself knows no port without
        kind: Any = type(grpc.aio.server())
        kind.add_secure_port = lambda server, address, _: server.add_insecure_port(address)
    server = GnmiServer(
        tree, [("127.0.0.1", 0)], key.read_bytes(), certificate.read_bytes(), limits=Limits(fastest=interval)
    )
    await server.start()
    (folder / "port").write_text(str(server.ports[0]))
    await asyncio.to_thread(sys.stdin.read)
    await server.stop()
    await tree.close()


@dataclass(frozen=True, slots=True)
class Running:
    """A server.

    Attributes:
        folder: where its `cert.pem` is.
        interval: of samples, nanoseconds.
        leaves: of one tick.
    """

    pid: int
    folder: Path
    port: int
    interval: int
    leaves: int
    tls: bool

    def processor(self) -> float:
        """User and system time that it has used, seconds."""
        return processor_seconds(self.pid)

    def memory(self) -> int:
        """Octets that are resident."""
        fields = Path(f"/proc/{self.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    @contextlib.asynccontextmanager
    async def subscription(self) -> AsyncIterator[Any]:
        """A call on a connection of its own whose counters have been asked for, and nothing read."""
        options = [("grpc.use_local_subchannel_pool", 1)]
        address = f"127.0.0.1:{self.port}"
        if self.tls:
            credentials = grpc.ssl_channel_credentials((self.folder / "cert.pem").read_bytes())
            channel = grpc.aio.secure_channel(address, credentials, options)
        else:
            channel = grpc.aio.insecure_channel(address, options)
        async with channel:
            call = channel.stream_stream(
                "/gnmi.gNMI/Subscribe", request_serializer=pb.SubscribeRequest.SerializeToString
            )(metadata=(("username", USER), ("password", PASSWORD)))
            asked = pb.Subscription(
                path=build(from_text(PATH)), mode=pb.SAMPLE, sample_interval=self.interval
            )
            wanted = pb.SubscriptionList(subscription=[asked], encoding=pb.PROTO)
            await call.write(pb.SubscribeRequest(subscribe=wanted))
            yield call
            call.cancel()


@contextlib.asynccontextmanager
async def server(
    sessions: int, interval: int, *, encoder: str = "fixed", tls: bool = True
) -> AsyncIterator[Running]:
    """A server with these sessions that samples as fast as `interval` (nanoseconds)."""
    with tempfile.TemporaryDirectory(prefix="aether-bench-") as name:
        folder = Path(name)
        command = [sys.executable, "-m", __name__, name, str(sessions), str(interval), encoder]
        command += ["tls"] if tls else ["plain"]
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment)
        try:
            port = folder / "port"
            async with asyncio.timeout(60):
                while not port.exists() or not port.read_text():
                    await asyncio.sleep(0.05)
            leaves = sessions * len(COUNTERS)
            yield Running(process.pid, folder, int(port.read_text()), interval, leaves, tls)
        finally:
            process.kill()
            process.wait()


def processor_seconds(pid: int) -> float:
    """User and system time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Counting:
    """Counts the leaves of a subscription: a message of a known size has a known number of them."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self._leaves: dict[int, int] = {}

    async def read(self) -> tuple[int, int]:
        """(leaves, timestamp in nanoseconds) of the next message; none are the sync_response."""
        octets = await self._call.read()
        if octets is grpc.aio.EOF:
            raise SystemExit(
                f"the subscription ended: {await self._call.code()} {await self._call.details()}"
            )
        known = self._leaves.get(len(octets))
        if known is None or known == 0:
            message = pb.SubscribeResponse.FromString(octets)
            known = self._leaves[len(octets)] = len(message.update.update)
        return known, timestamp(octets) if known else 0

    async def begin(self, leaves: int) -> None:
        """Read up to the sync_response. Ends the program when there were not so many leaves before it."""
        total = 0
        while (found := (await self.read())[0]) != 0:
            total += found
        if total != leaves:
            raise SystemExit(f"the first tick had {total} leaves in place of {leaves}")


def timestamp(octets: bytes) -> int:
    """Of a SubscribeResponse that begins with its update, and that with its timestamp."""
    at = 1
    while octets[at] > 0x7F:
        at += 1
    at, value, shift = at + 2, 0, 0
    while True:
        value |= (octets[at] & 0x7F) << shift
        if octets[at] < 0x80:
            return value
        at, shift = at + 1, shift + 7


@dataclass
class Ticks:
    """What a subscriber saw.

    Attributes:
        delays: for each complete tick, seconds from its timestamp until its last message was read.
        skipped: ticks that did not come, or not whole.
    """

    delays: list[float]
    skipped: int = 0


async def follow(counting: Counting, running: Running, seconds: float) -> Ticks:
    """Read whole ticks for so long."""
    seen = Ticks([])
    end = time.monotonic() + seconds
    last = current = got = 0
    while time.monotonic() < end:
        leaves, time_ns = await counting.read()
        if time_ns != current:
            seen.skipped += 1 if 0 < got < running.leaves and last else 0
            current, got = time_ns, 0
        got += leaves
        if got == running.leaves:
            seen.delays.append((time.time_ns() - time_ns) / 1e9)
            if last:
                seen.skipped += max(0, round((time_ns - last) / running.interval) - 1)
            last = time_ns
    return seen


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("sessions", type=int)
    parser.add_argument("interval", type=int)
    parser.add_argument("encoder", choices=("fixed", "ordinary"))
    parser.add_argument("connection", choices=("tls", "plain"))
    options = parser.parse_args()
    if options.encoder == "ordinary":
        samples.ColumnProducer = OrdinaryProducer
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(options.folder, options.sessions, options.interval, options.connection == "tls"))


if __name__ == "__main__":
    main()
