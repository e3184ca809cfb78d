"""The Python of docs/netconf.md, run as it stands, one block after the other, against a NETCONF server."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from nbi.server import MODULES_DIR, NetconfServer
from tests.contract.netconf.element import PASSWORDS, Element, Sessions, startup
from yang.provider import Keys, Registration
from yang.tree import Tree

PAGE = Path(__file__).parents[2] / "docs" / "netconf.md"
SESSION = "/aether-subscriber:sessions/session"


class Documented(Element):
    """The element of the NETCONF tests, with all actions of a BNG."""

    def registration(self) -> Registration:
        registration = super().registration()
        registration.operations |= {
            f"{SESSION}/reauthenticate": self.note,
            f"{SESSION}/set-profile": self.note,
        }
        return registration

    async def note(self, keys: Keys, input: Mapping[str, Any], user: str) -> None:
        self.invoked.append((keys, input, user))


class Server(threading.Thread):
    """Serves an element in a thread, for ncclient blocks."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.element = Documented(Sessions(20))
        self.port = 0
        self.listening = threading.Event()
        self._folder = folder
        self._event_loop = asyncio.new_event_loop()
        self._ending = asyncio.Event()

    def run(self) -> None:
        self._event_loop.run_until_complete(self._serve())
        self._event_loop.close()

    async def _serve(self) -> None:
        file = self._folder / "startup.json"
        file.write_text(json.dumps(startup()))
        self.element.tree = await Tree.open(
            self.element.registration(), self._folder, file, module_dirs=[MODULES_DIR]
        )
        server = NetconfServer(
            self.element.tree,
            [("127.0.0.1", 0)],
            self._folder / "ssh_host_ed25519_key",
            replay=self.element.journal,
            files_dir=self._folder / "files",
        )
        await server.start()
        self.port = server.ports[0]
        self.listening.set()
        await self._ending.wait()
        await server.stop()
        await self.element.tree.close()

    def stop(self) -> None:
        self._event_loop.call_soon_threadsafe(self._ending.set)
        self.join(20)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    made.start()
    assert made.listening.wait(30)
    yield made
    made.stop()


def test_the_python_of_the_page(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    login = {"host": "127.0.0.1", "port": server.port, "username": "admin", "password": PASSWORDS["admin"]}
    status = json.dumps({"bngs": [{"id": "bng-01", "netconf": login}]})
    asked: list[list[str]] = []

    def check_output(command: list[str]) -> bytes:
        asked.append(command)
        return status.encode()

    monkeypatch.setattr(subprocess, "check_output", check_output)
    names: dict[str, Any] = {}
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    for number, block in enumerate(blocks):
        exec(compile(block, f"{PAGE.name}, block {number + 1}", "exec"), names)
    said = capsys.readouterr().out

    assert ["aether", "lab", "status", "--json"] in asked
    assert said.count("bng-01/an-0000/1/0/") >= 20, "sessions are listed"
    assert "operation-not-supported running is not written directly" in said
    rates = server.element.tree.running_json()["aether-shaping:shaping-profiles"]["profile"]
    assert [(entry["name"], entry["download"]["rate"]) for entry in rates] == [
        ("gold", "90000000"),  # the confirmed commit was confirmed
        ("bronze", "20000000"),
        ("silver", "65000000"),  # the update preferred the candidate
    ]
    assert "running and this candidate have both changed /aether-shaping:shaping-profiles/profile" in said
    profile, asked_again, ended, several = (given for _, given, _ in server.element.invoked)
    assert (profile, ended["reason"]) == ({"profile": "gold"}, "moved out")
    assert not asked_again and several == {"remote-id": "an-11"}
    assert "session-stop" in said and "notificationComplete" in said
