"""A target that cannot be dialled calls the collector, and is collected without loss."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest

from telemetry.tunnel.connection import TunnelServer
from telemetry.tunnel.dialer import Tunnels
from tests.support import postgres
from tests.support.certificates import Authority
from tests.support.collector_rig import Rig, rows

pytestmark = pytest.mark.servers

EVENTS = 2000


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with postgres.cluster() as cluster:
        made = Rig(tmp_path, cluster.create("tunnel"))
        yield made
        made.end()


@pytest.fixture
def sockets() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="tun"))  # short, as names of sockets have to be
    yield folder
    shutil.rmtree(folder)


@dataclass
class Local:
    """The gNMI server of the element."""

    local_address: tuple[str, int]
    origins: dict[tuple[str, int], str] = field(default_factory=dict)


async def test_a_target_behind_nat_while_the_collector_is_killed(rig: Rig, sockets: Path) -> None:
    authority = Authority()
    pair = authority.issue("collector", "127.0.0.1")
    files = {"key": pair[0], "certificate": pair[1], "ca": authority.certificate}
    for name, octets in files.items():
        (rig.folder / f"tunnel-{name}.pem").write_bytes(octets)
    port = rig.free_port()
    served = {name: str(rig.folder / f"tunnel-{name}.pem") for name in files}
    target = {**rig.entry(), "address": f"unix:{sockets}/box", "server_name": "127.0.0.1"}
    more = {
        "tunnel": {"address": f"127.0.0.1:{port}", "folder": str(sockets), **served},
        "targets": [target],
    }
    rig.target(EVENTS)
    shown = authority.issue("box")
    credentials = grpc.ssl_channel_credentials(authority.certificate, *shown)
    tunnels = Tunnels(Local(("127.0.0.1", rig.port)), lambda _: credentials)
    await tunnels.configure([TunnelServer("noc", "127.0.0.1", port, "box", min_wait=0.1, max_wait=0.2)])
    try:
        collector = rig.collector(lease_ttl=1, **more)
        await asyncio.to_thread(rig.until, "SELECT count(*) FROM events", lambda n: n > 0)
        collector.kill()
        collector.wait()
        rig.collector(lease_ttl=1, targets=[target])
        await asyncio.to_thread(rig.until, "SELECT max(epoch) FROM leases", lambda epoch: epoch == 2)
        rig.configure(lease_ttl=1, **more)  # it serves from now on
        await asyncio.to_thread(rig.until, "SELECT count(DISTINCT seq) FROM events", lambda n: n == EVENTS)
    finally:
        await tunnels.stop()
    kept = "SELECT (SELECT count(*) FROM events), count(*) FROM gaps WHERE kind = 'events'"
    (found,) = await asyncio.to_thread(rows, rig.database, kept)
    assert tuple(found) == (EVENTS, 0)
