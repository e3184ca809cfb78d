"""An element for the OSS to manage: that of the NETCONF contract tests, with all session actions.

Run as a program it prints ``{"port": …}`` and serves until its standard input ends. Each invoked action is
printed as a line of JSON. A configuration with the profile named by ``--refuse`` is refused at commit.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog

from nbi.server import MODULES_DIR, NetconfServer
from tests.contract.netconf.element import Element, Profiles, Sessions, startup
from yang.provider import ConfigDiff, Keys, OperationError, Registration
from yang.tree import Tree

ACTIONS = ("disconnect", "reauthenticate", "set-profile")


class Refusing(Profiles):
    def __init__(self, refused: str) -> None:
        super().__init__()
        self._refused = refused

    async def prepare(self, diff: ConfigDiff) -> ConfigDiff:
        profiles = diff.new.get("aether-shaping:shaping-profiles", {}).get("profile", [])
        if any(profile["name"] == self._refused for profile in profiles):
            raise OperationError("resource-denied", f"no room for profile {self._refused}")
        return diff


class Managed(Element):
    """An element that tells which actions were invoked on it."""

    def registration(self) -> Registration:
        path = "/aether-subscriber:sessions/session/"
        registration = super().registration()
        registration.operations = {path + name: self._action(name) for name in ACTIONS}
        return registration

    def _action(self, name: str) -> Any:
        async def invoke(keys: Keys, input: Mapping[str, Any], user: str) -> None:
            if name == "disconnect":
                del self.sessions.by_id[keys[0]]
            print(json.dumps({"action": name, "session": keys[0], "input": dict(input)}), flush=True)

        return invoke


async def serve(options: argparse.Namespace) -> None:
    state_dir = Path(options.state_dir)
    element = Managed(Sessions(20))
    element.profiles = Refusing(options.refuse)
    file = state_dir / "startup.json"
    file.write_text(json.dumps(startup()))
    element.tree = await Tree.open(element.registration(), state_dir, startup=file, module_dirs=[MODULES_DIR])
    server = NetconfServer(element.tree, [("127.0.0.1", options.port)], state_dir / "ssh_host_ed25519_key")
    await server.start()
    print(json.dumps({"port": server.ports[0]}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop()
    await element.tree.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--state-dir", required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--refuse", default="")
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(serve(parser.parse_args()))
