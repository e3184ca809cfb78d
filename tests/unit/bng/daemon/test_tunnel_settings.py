"""Tunnel servers in the configuration: called at once, with their files, and their state."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bng.daemon.tunnel import TunnelSettings, servers_of
from telemetry.tunnel.connection import TunnelServer
from tests.support import tunnel_server
from tests.support.certificates import Authority
from tests.support.waiting import until
from yang.access import User
from yang.datastore.model import PathOperation
from yang.path import DataPath
from yang.provider import OperationError, Registration
from yang.tree import Tree

ROOT = User("root", recovery=True)
PATH = "/aether-bng:bng/management/gnmi/tunnel/tunnel-server[name='noc']"
STARTUP = {"aether-bng:bng": {"identity": {"bng-id": "bng-01"}}}


class Gnmi:
    """Stands in for a gNMI server to which nobody connects."""

    def __init__(self) -> None:
        self.origins: dict[tuple[str, int], str] = {}
        self.local_address = ("127.0.0.1", 1)


@dataclass
class Served:
    tree: Tree
    settings: TunnelSettings
    folder: Path
    collector: tunnel_server.TunnelServer
    authority: Authority
    entry: dict[str, Any] = field(default_factory=dict)

    async def configure(self, **leaves: Any) -> None:
        self.entry |= {name.replace("_", "-"): value for name, value in leaves.items()}
        entry = {name: value for name, value in self.entry.items() if value is not None}
        await self.tree.transaction(ROOT, "test", [PathOperation("replace", DataPath.parse(PATH), entry)])

    def state(self) -> dict[str, Any]:
        selection = self.tree.select_paths([DataPath.parse(f"{PATH}/state")])
        (value,) = (value for _, value in self.tree.read_json(selection, ROOT))
        return {name.partition(":")[2]: member for name, member in value.items()}

    async def until(self, **wanted: Any) -> dict[str, Any]:
        names = {name.replace("_", "-"): value for name, value in wanted.items()}

        def reached() -> dict[str, Any] | None:
            state = self.state()
            return state if names.items() <= state.items() else None

        return await until(reached)

    def write(self, name: str, octets: bytes) -> str:
        path = self.folder / name
        path.write_bytes(octets)
        return str(path)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    startup = tmp_path / "startup.json"
    startup.write_text(json.dumps(STARTUP))
    settings = TunnelSettings()
    tree = await Tree.open(Registration(state=settings.providers(), config=[settings]), tmp_path, startup)
    await settings.serve(Gnmi(), tree.running_json())
    authority, collector = Authority(), tunnel_server.TunnelServer()
    await collector.start(*authority.issue("collector", "127.0.0.1"), authority.certificate)
    made = Served(tree, settings, tmp_path, collector, authority)
    key, certificate = authority.issue("bng-01")
    made.entry = {
        "name": "noc",
        "remote-address": "127.0.0.1",
        "remote-port": collector.port,
        "ca-file": made.write("ca.pem", authority.certificate),
        "certificate-file": made.write("cert.pem", certificate),
        "private-key-file": made.write("key.pem", key),
    }
    yield made
    await settings.stop()
    await collector.stop()
    await tree.close()


async def test_it_is_called_and_changed_while_it_is_called(served):
    await served.configure()
    await served.collector.registered()
    state = await served.until(status="connected", failures=0)
    assert (state["attempts"], state["connections"], state["connections-asked"]) == (1, 0, 0)
    assert state["last-connected"] >= state["last-attempt"]
    assert not {"last-error", "next-attempt"} & state.keys()
    # what does not concern the tunnel leaves it alone; another name of the element is another target
    for leaf, name in (("description", "the first"), ("bng-id", "bng-77")):
        path = DataPath.parse(f"/aether-bng:bng/identity/{leaf}")
        await served.tree.transaction(ROOT, "test", [PathOperation("update", path, name)])
    await served.collector.registered()
    await served.configure(target_name="box", target_type="GNMI")
    await served.collector.registered()
    assert served.collector.targets == [("bng-01", "GNMI_GNOI"), ("bng-77", "GNMI_GNOI"), ("box", "GNMI")]
    await served.configure(enabled=False)
    assert served.state() == {"status": "disabled"}
    assert served.settings.states == {}


async def test_a_server_that_is_not_there(served):
    await served.collector.stop()
    await served.configure()
    state = await served.until(status="waiting")
    assert state["failures"] == state["attempts"] > 0
    assert "refused" in state["last-error"]
    assert state["next-attempt"] > state["last-attempt"]
    assert "last-connected" not in state


async def test_without_the_certificate_that_it_asks_for(served):
    await served.configure(certificate_file=None, private_key_file=None)
    state = await served.until(status="waiting")
    assert state["failures"] > 0
    assert served.collector.targets == []


async def test_files_are_read_at_each_call(served, monkeypatch):
    monkeypatch.setattr("yang.calls.random.uniform", lambda *_: 0.02)  # the next call is soon
    served.write("ca.pem", Authority().certificate)
    await served.configure()
    await until(lambda: served.state()["failures"])
    (served.folder / "ca.pem").unlink()
    missing = f"cannot read {served.folder}/ca.pem: No such file or directory"
    await served.until(last_error=missing)
    served.write("ca.pem", served.authority.certificate)
    await served.until(status="connected")


async def test_what_is_refused(served):
    good = dict(served.entry)
    other = served.write("other.pem", b"no certificate, no key")
    for leaves, reason in (
        ({"ca_file": "/nowhere/ca.pem"}, "cannot read /nowhere/ca.pem"),
        ({"ca_file": other}, "holds no certificate"),
        ({"certificate_file": other}, "is not the key of the certificate"),
        ({"private_key_file": other}, "is not the key of the certificate"),
        ({"certificate_file": None}, "go together"),
        ({"private_key_file": None}, "go together"),
        ({"ca_file": None}, "ca-file"),
        ({"remote_port": None}, "remote-port"),
        ({"reconnect_strategy": {"min-backoff": 60, "max-backoff": 30}}, "must not be less"),
    ):
        with pytest.raises(OperationError, match=reason):
            await served.configure(**leaves)
        served.entry = dict(good)
    assert served.settings.states == {}


def test_a_tunnel_server_in_full():
    entry = {
        "name": "noc",
        "remote-address": "2001:db8::1",
        "remote-port": 57401,
        "target-type": "GNMI_GNOI",
        "ca-file": "ca",
        "certificate-file": "cert",
        "private-key-file": "key",
        "server-name": "tunnel.example",
        "keepalive-interval": 60,
        "reconnect-strategy": {"min-backoff": 2, "max-backoff": 9},
    }
    off = {"name": "off", "enabled": False}
    running = {
        "aether-bng:bng": {
            "identity": {"bng-id": "bng-01"},
            "management": {"gnmi": {"tunnel": {"tunnel-server": [entry, off]}}},
        }
    }
    expected = TunnelServer(
        "noc", "2001:db8::1", 57401, "bng-01", "GNMI_GNOI", "ca", "cert", "key", "tunnel.example", 60, 2, 9
    )
    assert servers_of(running) == [expected]
    assert servers_of({}) == []
