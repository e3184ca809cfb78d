"""The console in a real browser, on a stand-alone OSS or on a running lab.

By default the OSS runs here, with rows as the collector writes them. ``AETHER_E2E_URL`` (with
``AETHER_E2E_USERNAME`` and ``AETHER_E2E_PASSWORD``) names an OSS that runs already, such as the lab's;
nothing is changed there.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import oss, postgres
from tests.support.oss import ADMIN, ROOT, Rows

pytestmark = [pytest.mark.servers, pytest.mark.browser, pytest.mark.timeout(300)]

CONSOLE = ROOT / "oss" / "console"
SESSIONS = 30
LAB_PATIENCE = 90_000
"""Milliseconds: in a lab, rates change when somebody causes traffic."""


@pytest.fixture(scope="module")
def console() -> None:
    """The built console; made when it is not there."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    if not (CONSOLE / "node_modules" / "playwright-core").is_dir():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=CONSOLE, check=True, capture_output=True)
    if not (CONSOLE / "dist" / "index.html").is_file():
        subprocess.run(["npm", "run", "build"], cwd=CONSOLE, check=True, capture_output=True)


class Traffic(threading.Thread):
    """A collector that reports every half second."""

    def __init__(self, database: str) -> None:
        super().__init__(daemon=True)
        self._database = database
        self.stopping = threading.Event()

    def run(self) -> None:
        asyncio.run(self._report())

    async def _report(self) -> None:
        totals = {f"{number:016x}": (0, 0) for number in range(1, SESSIONS + 1)}
        async with Rows.to(self._database) as rows:
            while not self.stopping.is_set():
                for session, (into, out) in totals.items():
                    totals[session] = (into + random.randint(0, 10**5), out + random.randint(0, 10**6))
                await rows.sample("bng-01", totals)
                await asyncio.sleep(0.5)


async def fill(database: str) -> None:
    async with Rows.to(database) as rows:
        await rows.bng("bng-01")
        await rows.router("bng-01", "an-01")
        for number in range(1, SESSIONS + 1):
            await rows.session(number, port=number)


@pytest.fixture
def target(console: None, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """What the browser is to visit: URL, login, and whether it may change things."""
    if url := os.environ.get("AETHER_E2E_URL"):
        login = {name: os.environ[f"AETHER_E2E_{name.upper()}"] for name in ("username", "password")}
        yield {"url": url.rstrip("/"), **login, "writes": False, "patience": LAB_PATIENCE}
        return
    with postgres.cluster() as cluster:
        database, radius = oss.run(oss.databases(cluster, "console"))
        oss.run(fill(database))
        traffic = Traffic(database)
        with oss.server(tmp_path, oss.config(database, radius)) as server:
            traffic.start()
            yield {"url": server.url, **ADMIN, "writes": True}
            traffic.stopping.set()
            traffic.join(10)


def test_log_in_and_watch_the_sessions(target: dict[str, Any], tmp_path: Path) -> None:
    options = json.dumps({**target, "folder": str(tmp_path)})
    run = subprocess.run(
        ["node", str(Path(__file__).with_name("console.mjs")), options], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    seen = json.loads(run.stdout)
    assert "failure" not in seen, f"{seen['failure']} (see {tmp_path}/failure.png)"

    assert seen["refusal"] == "User name or password is wrong."
    assert seen["sessions"] >= 1
    changed = [s for s, rate in seen["ratesAfter"].items() if seen["ratesBefore"].get(s, rate) != rate]
    assert changed, "no rate has changed"
    assert all("bit/s" in seen["ratesAfter"][session] for session in changed)
    assert seen["found"] >= 1
    assert "q=" in seen["address"], "what was searched is in the address"
    assert "Disconnect" in seen["drawer"]
    first, second, kept = seen["themes"]
    assert first != second == kept, "the theme changes, and is kept"
    assert seen["errors"] == [], "no script error, and nothing against the content security policy"
    if target["writes"]:
        assert seen["occupied"] is True
        assert "gold" in seen["service"]
        assert "active" in seen["service"]
