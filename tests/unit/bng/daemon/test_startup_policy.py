"""When a BNG's running configuration is its startup configuration too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bng.daemon.management import saves_commits
from yang.provider import Registration
from yang.tree import Tree


@pytest.mark.parametrize(("save", "saves"), [(None, True), ("automatic", True), ("explicit", False)])
async def test_the_leaf_says_when(tmp_path: Path, save: str | None, saves: bool) -> None:
    bng: dict[str, Any] = {"identity": {"bng-id": "b"}}
    if save:
        bng["management"] = {"startup": {"save": save}}
    file = tmp_path / "first.json"
    file.write_text(json.dumps({"aether-bng:bng": bng}))
    tree = await Tree.open(Registration(), tmp_path / "state", file)
    assert saves_commits(tree.datastores.running.tree) is saves
    assert saves_commits(tree.running_json()) is saves
    await tree.close()


def test_an_empty_configuration_saves() -> None:
    assert saves_commits({})
