"""The NETCONF server's settings: what of them changes while it serves, and its state."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bng.daemon.netconf import NetconfSettings, clients_of, limits_of, settings
from nbi.callhome import Client, Endpoint
from nbi.info import Limits
from nbi.server import MODULES_DIR, NetconfServer
from tests.support.waiting import until
from yang.access import User
from yang.datastore.model import PathOperation
from yang.path import DataPath
from yang.provider import OperationError, Registration
from yang.tree import Tree

ROOT = User("root", recovery=True)
PATH = "/aether-bng:bng/management/netconf"
STARTUP = {"aether-bng:bng": {"identity": {"bng-id": "bng-01"}}}


class Served:
    def __init__(self, tree: Tree, server: NetconfServer) -> None:
        self.tree = tree
        self.server = server

    async def configure(self, path: str, value: Any) -> None:
        operation = PathOperation("update", DataPath.parse(f"{PATH}/{path}"), value)
        await self.tree.transaction(ROOT, "test", [operation])

    def read(self, path: str) -> list[dict[str, Any]]:
        """Values at a path, their members without the module's name."""
        selection = self.tree.select_paths([DataPath.parse(f"{PATH}/{path}")])
        return [
            {name.partition(":")[2]: member for name, member in value.items()}
            for _, value in self.tree.read_json(selection, ROOT)
        ]


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    startup = tmp_path / "startup.json"
    startup.write_text(json.dumps(STARTUP))
    wiring = NetconfSettings()
    registration = Registration(state=wiring.providers(), config=[wiring])
    tree = await Tree.open(registration, tmp_path, startup, module_dirs=[MODULES_DIR])
    configured = settings(tree.running_json())
    server = NetconfServer(
        tree, [("127.0.0.1", 0)], tmp_path / "ssh_host_ed25519_key", limits=limits_of(configured)
    )
    served = Served(tree, server)
    assert served.read("host-key") == []
    await server.start()
    await wiring.serve(server, configured)
    yield served
    await server.stop()
    await tree.close()


async def test_defaults_of_the_model_are_those_of_the_server(served):
    assert served.server.limits == Limits()
    assert served.server.call_home.states == {}


async def test_limits_change_at_once(served):
    await served.configure("limits", {"max-sessions": 3, "idle-timeout": 600})
    assert (served.server.limits.max_sessions, served.server.limits.idle_timeout) == (3, 600)


async def test_host_keys_can_be_read(served):
    keys = served.read("host-key")
    told = {key["algorithm"]: key["fingerprint"] for key in keys}
    assert set(told) == {"ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"}
    assert all(fingerprint.startswith("SHA256:") for fingerprint in told.values())


async def test_clients_are_called_at_once_and_no_more_when_they_are_gone(served):
    called = asyncio.Event()
    peer = await asyncio.start_server(lambda _reader, writer: (called.set(), writer.close()), "127.0.0.1", 0)
    port = peer.sockets[0].getsockname()[1]
    endpoint = {"name": "first", "remote-address": "127.0.0.1", "remote-port": port}
    await served.configure("call-home/netconf-client[name='oss']", {"endpoint": [endpoint]})
    await asyncio.wait_for(called.wait(), 30)
    await until(lambda: served.server.call_home.states["oss"].failures)
    state = served.read("call-home/netconf-client[name='oss']/state")[0]
    assert (state["status"], state["endpoint"]) == ("waiting", "first")
    assert (state["attempts"], state["failures"]) == (1, 1)
    assert state["last-error"]
    assert "last-connected" not in state
    await served.configure("call-home/netconf-client[name='oss']", {"enabled": False})
    assert served.server.call_home.states == {}
    state = served.read("call-home/netconf-client[name='oss']/state")[0]
    assert state == {"status": "disabled"}
    peer.close()


async def test_backoff_bounds_must_fit(served):
    entry = {
        "endpoint": [{"name": "first", "remote-address": "oss.example"}],
        "reconnect-strategy": {"min-backoff": 60, "max-backoff": 30},
    }
    with pytest.raises(OperationError, match="max-backoff must not be less"):
        await served.configure("call-home/netconf-client[name='oss']", entry)


def test_a_client_in_full():
    entry = {
        "name": "oss",
        "endpoint": [{"name": "a", "remote-address": "2001:db8::1"}, {"name": "b", "remote-address": "oss"}],
        "reconnect-strategy": {"max-wait": 7, "min-backoff": 2, "max-backoff": 9},
    }
    configured = {"call-home": {"netconf-client": [entry, {"name": "off", "enabled": False}]}}
    endpoints = (Endpoint("a", "2001:db8::1", 4334), Endpoint("b", "oss", 4334))
    assert clients_of(configured) == [Client("oss", endpoints, 7, 2, 9)]
