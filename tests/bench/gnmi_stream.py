"""gnmi-stream: counter leaves per second that one core of a gNMI server sends.

10,000 sessions with 8 counters each are sampled at the fastest interval by one client in another process,
over TLS, through the real server and tree. What is measured is the processor time of the server, user and
system, while the client received that many leaves. The baseline is the same server with the same content
in ordinary protobuf, one Notification per session.
"""

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
from pathlib import Path
from typing import Any

import grpc
import harness
import numpy as np
import uvloop

from telemetry import samples
from telemetry.encoder import Layout
from telemetry.protocol import gnmi_pb2 as pb
from telemetry.protocol.paths import build, from_text
from telemetry.sampler import ColumnProducer, ColumnTick
from telemetry.server import GnmiServer
from telemetry.subscribe import SECOND, Limits
from tests.support import certificates
from yang.provider import Columns, Keys, Registration
from yang.tree import Tree

SESSIONS = 10_000
COUNTERS = [f"{way}-{what}" for what in ("octets", "packets", "discards", "errors") for way in ("in", "out")]
INTERVAL = SECOND // 20
PASSWORD = "bench"
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
    """Counters that grow at each look."""

    path = "/aether-bench:sessions/session"

    def __init__(self) -> None:
        self._keys = [(f"{number * 7919:016x}",) for number in range(SESSIONS)]
        numbers = np.arange(SESSIONS * len(COUNTERS), dtype=np.uint64).reshape(SESSIONS, -1)
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
        return response.SerializeToString()


class OrdinaryProducer(ColumnProducer):
    """The baseline."""

    def tick(self) -> ColumnTick:
        tick = super().tick()
        return OrdinaryTick(tick.layout, tick.values, tick.time_ns)


async def serve(folder: Path) -> None:
    """Serve until standard input ends."""
    leaves = " ".join(f"leaf {name} {{ type yang:counter64; }}" for name in COUNTERS)
    modules = folder / "modules"
    modules.mkdir()
    (modules / "aether-bench.yang").write_text(MODULE.format(leaves=leaves))
    (folder / "startup.json").write_text(STARTUP)
    key, certificate = certificates.write(folder)
    tree = await Tree.open(
        Registration(state=[Sessions()]), folder, startup=folder / "startup.json", module_dirs=[modules]
    )
    server = GnmiServer(
        tree, [("127.0.0.1", 0)], key.read_bytes(), certificate.read_bytes(), limits=Limits(fastest=INTERVAL)
    )
    await server.start()
    (folder / "port").write_text(str(server.ports[0]))
    await asyncio.to_thread(sys.stdin.read)
    await server.stop()
    await tree.close()


@contextlib.asynccontextmanager
async def server_process(encoder: str) -> AsyncIterator[tuple[int, Path]]:
    """A server; yields its process id and its folder, where `port` and `cert.pem` are."""
    with tempfile.TemporaryDirectory(prefix="aether-bench-") as name:
        command = [sys.executable, __file__, "--serve", name, "--encoder", encoder]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        try:
            port = Path(name) / "port"
            async with asyncio.timeout(30):
                while not port.exists() or not port.read_text():
                    await asyncio.sleep(0.05)
            yield process.pid, Path(name)
        finally:
            process.kill()
            process.wait()


def processor_seconds(pid: int) -> float:
    """User and system time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(encoder: str, seconds: float) -> tuple[float, float]:
    """(leaves per second of the server's processor time, share of one core that it used)."""
    async with server_process(encoder) as (pid, folder):
        credentials = grpc.ssl_channel_credentials((folder / "cert.pem").read_bytes())
        address = f"127.0.0.1:{(folder / 'port').read_text()}"
        async with grpc.aio.secure_channel(address, credentials) as channel:
            call = channel.stream_stream(
                "/gnmi.gNMI/Subscribe", request_serializer=pb.SubscribeRequest.SerializeToString
            )(metadata=(("username", "admin"), ("password", PASSWORD)))
            asked = pb.Subscription(path=build(from_text(PATH)), mode=pb.SAMPLE, sample_interval=INTERVAL)
            wanted = pb.SubscriptionList(subscription=[asked], encoding=pb.PROTO)
            await call.write(pb.SubscribeRequest(subscribe=wanted))
            leaves = await first_tick(call)
            until = time.monotonic() + 1.0
            while time.monotonic() < until:
                await call.read()
            return await count(call, pid, seconds, leaves)


async def first_tick(call: Any) -> dict[int, int]:
    """Leaves of a message by its size, learned from all that comes before the sync_response."""
    leaves: dict[int, int] = {}
    total = 0
    while not (message := pb.SubscribeResponse.FromString(octets := await call.read())).sync_response:
        leaves[len(octets)] = len(message.update.update)
        total += len(message.update.update)
    if total != SESSIONS * len(COUNTERS):
        raise SystemExit(f"the first tick had {total} leaves")
    return leaves


async def count(call: Any, pid: int, seconds: float, leaves: dict[int, int]) -> tuple[float, float]:
    received = 0
    used, began = processor_seconds(pid), time.monotonic()
    while time.monotonic() - began < seconds:
        octets = await call.read()
        known = leaves.get(len(octets))
        if known is None:
            known = leaves[len(octets)] = len(pb.SubscribeResponse.FromString(octets).update.update)
        received += known
    used, elapsed = processor_seconds(pid) - used, time.monotonic() - began
    call.cancel()
    return received / used, used / elapsed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--encoder", choices=("fixed", "ordinary"), default="fixed", help=argparse.SUPPRESS)
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if options.serve is not None:
            if options.encoder == "ordinary":
                samples.ColumnProducer = OrdinaryProducer
            runner.run(serve(options.serve))
            return
        value, share = runner.run(measure("fixed", options.seconds))
        baseline, baseline_share = runner.run(measure("ordinary", options.seconds))
    harness.report(
        "gnmi-stream",
        round(value),
        "leaves/s per server core",
        "ordinary protobuf, one Notification per session",
        round(baseline),
        value / baseline,
        f"{SESSIONS} sessions x {len(COUNTERS)} counters every {INTERVAL // 10**6} ms, TLS, one client in "
        f"another process; the server used {share:.2f} and {baseline_share:.2f} of a core",
    )


if __name__ == "__main__":
    main()
