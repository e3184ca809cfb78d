"""The browsable model, opened as a file in Chromium."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/yang/model.html"
PLAYWRIGHT = ROOT / "oss/console/node_modules/playwright-core"

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    if shutil.which("node") is None or not PLAYWRIGHT.is_dir():
        pytest.skip("playwright-core is not installed: make setup")
    options = {"url": PAGE.as_uri(), "folder": str(tmp_path_factory.mktemp("model"))}
    done = subprocess.run(
        ["node", str(Path(__file__).with_name("model.mjs")), json.dumps(options)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_it_needs_nothing_else(seen: dict[str, Any]) -> None:
    assert seen["errors"] == []
    assert {url.partition("#")[0] for url in seen["requests"]} == {PAGE.as_uri()}


def test_the_tree_opens_and_closes(seen: dict[str, Any]) -> None:
    assert seen["modules"] == seen["collapsed"] == seen["closed"] > 5
    assert seen["expanded"] > seen["modules"]
    assert seen["byKeys"] == "/aether-bng:bng"
    assert seen["deeper"] > seen["expanded"]
    assert seen["all"] == f"{seen['open']} nodes"


def test_search_finds_and_shows(seen: dict[str, Any]) -> None:
    assert seen["count"].split()[0] == "2"
    for text in (
        "/aether-bng:bng/aaa/server/secret",
        "Shared secret.",
        "1..128",
        "default-deny-all",
        "bng.units",
    ):
        assert text in seen["secret"]
    assert "deny-all" in seen["denied"]
    assert seen["none"] == [0, f"0 of {seen['open']} nodes"]


def test_a_link_opens_its_node(seen: dict[str, Any]) -> None:
    assert "/aether-subscriber:sessions/session/counters/in-octets" in seen["linked"]
    assert "octets" in seen["linked"]


def test_limits_of_a_type_are_limits_of_its_leaf(seen: dict[str, Any]) -> None:
    assert "8000..100000000000" in seen["typed"]
